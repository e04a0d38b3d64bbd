"""Chat services: sessions, messages, recommendations, feedback, and what was turned away."""
