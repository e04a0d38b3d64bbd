"""What is done to the system, what that causes, and doing it."""
