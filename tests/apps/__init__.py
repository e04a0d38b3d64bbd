"""Small applications that process tests start as a person would."""
