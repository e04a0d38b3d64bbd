"""Traffic whose consequences are known before it is sent."""
