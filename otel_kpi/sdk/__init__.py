"""The way out of the process: queues, encoder, transport, one thread. Knows nothing of settings."""
