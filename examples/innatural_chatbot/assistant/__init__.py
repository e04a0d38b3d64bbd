"""What stands where a language model would."""
