"""Savers: where the log of each thread is kept."""
