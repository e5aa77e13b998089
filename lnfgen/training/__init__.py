"""Training: the loop, its schedules, and all that a resumed run needs."""
