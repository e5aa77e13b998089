"""Polyphonic music: the piano-roll and the files that it comes from and goes to."""
