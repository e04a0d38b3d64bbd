"""What is asked of the store: one module for each kind of question, functions of a connection."""
