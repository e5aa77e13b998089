"""Runs: their folders on disk, the data to score them on, and trained models for Python."""
