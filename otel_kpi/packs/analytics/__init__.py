"""Analytics: analyses, their stages and methods, and what they find."""
