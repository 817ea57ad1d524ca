"""The public fixtures, as a user's own tests name them."""

from nbflow.testing.fixtures import fake_clock

__all__ = ["fake_clock"]
