"""Work with a trained model: scoring, sampling, filling. Here models and data meet."""
