"""Log records: `logging`, structlog and loguru, each sent once."""
