"""Stores: what is remembered across threads, by namespace and key."""
