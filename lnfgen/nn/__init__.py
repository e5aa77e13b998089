"""Neural networks that the flows and models are built from."""
