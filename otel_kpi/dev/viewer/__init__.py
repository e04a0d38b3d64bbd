"""The pages: drawn on the server, with a little script for what must move."""
