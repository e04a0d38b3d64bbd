"""The script of conversations, what each of them causes, and the driver that sends them."""
