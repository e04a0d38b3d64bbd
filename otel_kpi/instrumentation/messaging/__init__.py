"""Tasks, queues and topics: who sends, who works, and the link between them."""
