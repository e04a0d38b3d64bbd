"""Who uses the coach: clubs, which pay, and their members, who ask."""

MEMBERS = {
    "annecy": ("amina", "bruno", "chloe"),
    "brest": ("diego", "elise"),
    "lyon": ("farid", "gabin", "hanna"),
}
"""By club. The club is the tenant of what is spent for a member."""
HOUSE = "house"
"""The coach's own account: for what is done for nobody in particular."""
