"""The user's error as the user's lines: nbflow's own frames left out."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from nbflow._engine.trace import is_ours

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["with_users_lines"]


def with_users_lines(error: BaseException, shell: InteractiveShell) -> BaseException:
    """Have IPython print an error with the user's frames only.

    The error itself is raised as it is; only how it prints is made here.
    IPython asks the exception for it, so nothing of the shell is changed.

    Parameters
    ----------
    error : BaseException
        What the user's code raised.
    shell : InteractiveShell
        Whose traceback style is used.
    """
    trace = _users_frames(error.__traceback__)
    if hasattr(type(error), "_render_traceback_"):
        return error
    if trace is None:
        return error
    for part in _chain(error):
        part.__traceback__ = _users_frames(part.__traceback__) or part.__traceback__
    lines = shell.InteractiveTB.structured_traceback(type(error), error, trace)

    def render() -> list[str]:
        return list(lines)

    error._render_traceback_ = render  # type: ignore[attr-defined] # IPython's protocol
    return error


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    todo: list[Any] = [error.__cause__, error.__context__]
    while todo:
        part = todo.pop()
        if part is not None and part not in found and part is not error:
            found.append(part)
            todo += [part.__cause__, part.__context__]
    return found


def _users_frames(trace: types.TracebackType | None) -> types.TracebackType | None:
    frames = []
    while trace is not None:
        if not is_ours(trace.tb_frame.f_code.co_filename):
            frames.append(trace)
        trace = trace.tb_next
    linked: types.TracebackType | None = None
    for frame in reversed(frames):
        linked = types.TracebackType(
            linked, frame.tb_frame, frame.tb_lasti, frame.tb_lineno
        )
    return linked
