"""Names with a meaning of their own, as LangGraph spells them."""

from typing import Final

from nbflow._values import END, START

__all__ = ["END", "START", "TAG_HIDDEN", "TAG_NOSTREAM"]

TAG_HIDDEN: Final = "langsmith:hidden"
"""Marks what a tracer should not show."""

TAG_NOSTREAM: Final = "nostream"
"""Marks a model whose tokens are not streamed."""
