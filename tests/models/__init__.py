"""A package, because a test file of another room has the name of one of these."""
