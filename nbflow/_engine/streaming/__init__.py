"""What a run shows while it goes on: a projection of its records into chunks."""
