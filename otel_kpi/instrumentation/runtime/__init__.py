"""The process itself: its threads, its figures, the run of a script."""
