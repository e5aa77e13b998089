"""The range that most pieces of the training data have of each figure that one can wish for."""

Ranges = dict[str, tuple[float, float]]
"""The ends of the range of each figure, by its name."""
