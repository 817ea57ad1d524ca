"""What counts as the code of a task, and when it changed.

Here a function becomes a fingerprint and a text for the log. Nothing here knows
of runs, calls or stores.
"""

from __future__ import annotations

from nbflow._engine.code.rule import refingerprint
from nbflow._engine.code.taken import Code, code_of

__all__ = ["Code", "code_of", "refingerprint"]
