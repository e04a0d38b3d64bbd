"""The API: questions, plans and summaries, each with a model of its own."""
