"""Polyphonic music as values: the piano-roll, and everything that is found in it or done to it."""
