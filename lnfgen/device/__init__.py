"""The machine: its device, threads and memory, and what makes torch faster on a CPU."""
