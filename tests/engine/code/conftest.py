"""A notebook without Jupyter: cells whose source is where IPython leaves it."""

from __future__ import annotations

import ast
import hashlib
import linecache
import sys
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from nbflow._engine.code import Code, code_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType


class Notebook:
    """A namespace, and cells that are run in it."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.filenames: list[str] = []

    def cell(self, source: str) -> None:
        """Compile statement by statement under a name made from the text."""
        source = dedent(source).lstrip("\n")
        digest = hashlib.blake2b(source.encode(), digest_size=6).hexdigest()
        filename = f"<ipython-input-1-{digest}>"
        lines = source.splitlines(keepends=True)
        linecache.cache[filename] = (len(source), None, lines, filename)
        self.filenames.append(filename)
        for statement in ast.parse(source).body:
            code = compile(ast.Module([statement], []), filename, "exec")
            exec(code, self.names)  # noqa: S102 - this is what a notebook does

    def code(self, name: str) -> Code:
        """Return the code of what a name stands for."""
        return code_of(self.names[name])

    def close(self) -> None:
        """Forget the sources of the cells."""
        for filename in self.filenames:
            linecache.cache.pop(filename, None)


@pytest.fixture
def notebook() -> Iterator[Notebook]:
    opened = Notebook()
    yield opened
    opened.close()


@pytest.fixture
def fresh_code() -> Callable[..., Code]:
    """Return the code of a function in a notebook of these cells and no other."""

    def run(*cells: str, name: str = "fetch") -> Code:
        opened = Notebook()
        try:
            for cell in cells:
                opened.cell(cell)
            return opened.code(name)
        finally:
            opened.close()

    return run


@pytest.fixture
def write_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], ModuleType]]:
    """Write a module of the user's own, and import it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    written: set[str] = set()

    def write(name: str, source: str) -> ModuleType:
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(source).lstrip("\n"), encoding="utf-8")
        written.update(_with_parents(name))
        __import__(name)
        return sys.modules[name]

    yield write
    for name in written:
        sys.modules.pop(name, None)


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
