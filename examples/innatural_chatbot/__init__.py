"""A chat service of a shop, observed under the names of the system that it replaces."""
