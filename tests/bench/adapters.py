"""The engines that are measured, each behind the same few names.

nbflow has LangGraph's names, so an adapter only says where they are imported from
and how a saver is opened. What is measured is not known here.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from pathlib import Path

__all__ = ["Engine", "Store", "langgraph_engines", "nbflow_engines"]

Store: TypeAlias = Literal["memory", "file"]


@dataclass(frozen=True, slots=True)
class Engine:
    """A workflow engine with one of its savers.

    Attributes
    ----------
    name : str
        Engine and saver, as the table shows them.
    store : {"memory", "file"}
        Where the saver keeps things: engines of the same kind are compared.
    version : str
        Of the engine's distribution.
    modules : tuple of str
        What a user of both imports.
    func : Any
        The module with `task` and `entrypoint`.
    saver, async_saver : callable
        Open a new saver in a folder, for sync and for async runs.
    """

    name: str
    store: Store
    version: str
    modules: tuple[str, ...]
    func: Any
    saver: Callable[[Path], AbstractContextManager[Any]]
    async_saver: Callable[[Path], AbstractAsyncContextManager[Any]]


def nbflow_engines() -> list[Engine]:
    """Return nbflow with each of its savers, in its default durability."""

    @contextmanager
    def memory(_folder: Path) -> Iterator[Any]:
        with import_module("nbflow.checkpoint.memory").InMemorySaver() as saver:
            yield saver

    @contextmanager
    def duckdb(folder: Path) -> Iterator[Any]:
        module = import_module("nbflow.checkpoint.duckdb")
        with module.DuckDBSaver(folder / "bench.duckdb") as saver:
            yield saver

    func, number = import_module("nbflow.func"), _version("nbflow")
    return [
        Engine(
            "nbflow memory",
            "memory",
            number,
            ("nbflow.func", "nbflow.checkpoint.memory"),
            func,
            memory,
            _as_async(memory),
        ),
        Engine(
            "nbflow DuckDB",
            "file",
            number,
            ("nbflow.func", "nbflow.checkpoint.duckdb"),
            func,
            duckdb,
            _as_async(duckdb),
        ),
    ]


def langgraph_engines() -> list[Engine]:
    """Return LangGraph with its memory and SQLite savers, in its default durability.

    Raises
    ------
    ImportError
        It or its SQLite saver is not installed.
    """
    func = import_module("langgraph.func")
    in_memory = import_module("langgraph.checkpoint.memory")
    sqlite = import_module("langgraph.checkpoint.sqlite")
    async_sqlite = import_module("langgraph.checkpoint.sqlite.aio")

    @contextmanager
    def memory(_folder: Path) -> Iterator[Any]:
        yield in_memory.InMemorySaver()

    def file(folder: Path) -> AbstractContextManager[Any]:
        path = str(folder / "bench.sqlite")
        opened: AbstractContextManager[Any] = sqlite.SqliteSaver.from_conn_string(path)
        return opened

    def async_file(folder: Path) -> AbstractAsyncContextManager[Any]:
        path = str(folder / "bench.sqlite")
        opened: AbstractAsyncContextManager[Any]
        opened = async_sqlite.AsyncSqliteSaver.from_conn_string(path)
        return opened

    number = _version("langgraph")
    return [
        Engine(
            "LangGraph memory",
            "memory",
            number,
            ("langgraph.func", "langgraph.checkpoint.memory"),
            func,
            memory,
            _as_async(memory),
        ),
        Engine(
            "LangGraph SQLite",
            "file",
            number,
            ("langgraph.func", "langgraph.checkpoint.sqlite"),
            func,
            file,
            async_file,
        ),
    ]


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        # A checkout on the path is importable without being installed.
        return "of a checkout"


def _as_async(
    saver: Callable[[Path], AbstractContextManager[Any]],
) -> Callable[[Path], AbstractAsyncContextManager[Any]]:
    @asynccontextmanager
    async def opened(folder: Path) -> AsyncIterator[Any]:
        with saver(folder) as made:
            yield made

    return opened
