"""Pictures of runs and of the figures of music."""
