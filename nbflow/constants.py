"""Names with a meaning of their own, as LangGraph spells them."""

from typing import Final

__all__ = ["END", "START", "TAG_HIDDEN", "TAG_NOSTREAM"]

START: Final = "__start__"
"""Stands before the first node."""

END: Final = "__end__"
"""Stands after the last node."""

TAG_HIDDEN: Final = "langsmith:hidden"
"""Marks what a tracer should not show."""

TAG_NOSTREAM: Final = "nostream"
"""Marks a model whose tokens are not streamed."""
