"""Caches: results of tasks that calls of any thread may use again."""
