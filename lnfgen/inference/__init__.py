"""What is done with a trained model: scoring, sampling, filling."""
