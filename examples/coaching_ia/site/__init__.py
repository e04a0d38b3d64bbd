"""The site: who is who, coaching sessions, and the way to the API. Django's REST framework with tokens."""
