"""Runs: their folders on disk, where these lie, the data that they were trained on, and trained
models for Python."""
