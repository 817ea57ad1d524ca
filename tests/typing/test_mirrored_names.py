"""Programs for LangGraph find each name here, at its place and with its parameters."""

from __future__ import annotations

import inspect
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# What the functional API is made of; places are below both packages.
NAMES = {
    "func": "entrypoint task",
    "types": """All CachePolicy Checkpointer Command Durability GraphOutput Interrupt
        Overwrite PregelTask RetryPolicy Send StateSnapshot StateUpdate StreamMode
        StreamWriter TimeoutPolicy interrupt""",
    "config": "get_config get_store get_stream_writer",
    "runtime": "ExecutionInfo RunControl Runtime get_runtime",
    "constants": "END START TAG_HIDDEN TAG_NOSTREAM",
    "errors": """EmptyChannelError EmptyInputError ErrorCode GraphBubbleUp GraphDrained
        GraphInterrupt GraphRecursionError InvalidUpdateError NodeCancelledError
        NodeError NodeInterrupt NodeTimeoutError ParentCommand TaskNotFound
        UnknownInterruptError is_invalid_resume""",
    "graph": "END START MessagesState StateGraph add_messages",
    "graph.message": "MessagesState add_messages push_message",
    "checkpoint.base": """BaseCheckpointSaver Checkpoint CheckpointMetadata
        CheckpointTuple""",
    "checkpoint.memory": "InMemorySaver MemorySaver",
    "cache.base": "BaseCache FullKey Namespace",
    "cache.memory": "InMemoryCache",
    "store.base": """BaseStore Embeddings GetOp IndexConfig InvalidNamespaceError Item
        ListNamespacesOp MatchCondition NOT_PROVIDED NamespaceMatchType NamespacePath
        NotProvided Op PutOp Result SearchItem SearchOp TTLConfig""",
    "store.memory": "InMemoryStore",
}
LISTED = [(place, name) for place, names in NAMES.items() for name in names.split()]


@pytest.mark.parametrize(("place", "name"), LISTED)
def test_a_name_is_at_its_mirrored_place(place: str, name: str) -> None:
    module = import_module(f"nbflow.{place}")

    assert name in module.__all__
    assert hasattr(module, name)


# What LangGraph has and this package has not, and why.
LEFT_OUT = (
    {
        "cache.base.BaseCache(serde)": "values are encoded by nbflow.serde everywhere",
        "cache.memory.InMemoryCache(serde)": "values are encoded by nbflow.serde",
        "cache.memory.InMemoryCache.set(keys)": "named `pairs`, as in BaseCache",
        "cache.memory.InMemoryCache.aset(keys)": "named `pairs`, as in BaseCache",
        "errors.NodeInterrupt(id)": "kept for programs that catch it",
        "errors.NodeInterrupt(value)": "kept for programs that catch it",
        "errors.UnknownInterruptError(message)": "an error makes its text of its data",
        "runtime.Runtime(server_info)": "there is no server",
        "store.base.Embeddings.aembed_documents": "an AEmbeddingsFunc is one",
        "store.base.Embeddings.aembed_query": "an AEmbeddingsFunc is awaited",
        "store.base.Embeddings.embed_documents(texts)": "a protocol: any name will do",
        "store.base.Embeddings.embed_query(text)": "a protocol: any name will do",
        "types.Interrupt.from_ns": "ids come from the call that asks",
        "types.Overwrite(type)": "a value's class says what it is",
        "types.Send(timeout)": "a node's own timeout holds for each of its calls",
    }
    | {
        f"checkpoint.{saver}{what}": why
        for saver in ("base.BaseCheckpointSaver", "memory.InMemorySaver")
        for what, why in {
            "(serde)": "values are encoded by nbflow.serde everywhere",
            ".put": "a saver is a log of events: append, read, heads",
            ".aput": "a saver is a log of events",
            ".put_writes": "a saver is a log of events",
            ".aput_writes": "a saver is a log of events",
            ".get_next_version": "a log of events has no channels with versions",
            ".get_delta_channel_history": "there is no DeltaChannel",
            ".aget_delta_channel_history": "there is no DeltaChannel",
            ".with_allowlist": "classes are registered by nbflow.serde.register",
        }.items()
    }
    | {"checkpoint.memory.InMemorySaver(factory)": "it keeps one log, in lists"}
)

# The graph builder grows by itself; an alias is looked at under its own name.
APART = {"StateGraph", "MemorySaver"}
# What the objects offer that decorators and the builder return.
MADE = {
    ("langgraph.pregel:Pregel", "nbflow._engine.workflow:Workflow"): """abatch
        abulk_update_state aclear_cache aget_graph aget_state aget_state_history
        ainvoke astream aupdate_state batch bulk_update_state clear_cache get_graph
        get_state get_state_history invoke stream update_state""",
    ("langgraph.func:_TaskFunction", "nbflow.func:Task"): "aclear_cache clear_cache",
}


def test_every_parameter_of_theirs_is_taken_here() -> None:
    pytest.importorskip("langgraph")

    missing = set(_missing())

    assert sorted(missing - LEFT_OUT.keys()) == []
    assert sorted(LEFT_OUT.keys() - missing) == []


def _missing() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs, of what is deprecated
        for place, name in LISTED:
            if name not in APART:
                theirs = getattr(import_module(f"langgraph.{place}"), name)
                ours = getattr(import_module(f"nbflow.{place}"), name)
                yield from _missing_in(f"{place}.{name}", theirs, ours)
        for (their_path, our_path), names in MADE.items():
            theirs, ours = _named(their_path), _named(our_path)
            for name in names.split():
                label = f"{ours.__name__}.{name}"
                yield from _not_taken(label, getattr(theirs, name), getattr(ours, name))


def _named(path: str) -> Any:
    module, name = path.split(":")
    return getattr(import_module(module), name)


def _missing_in(label: str, theirs: Any, ours: Any) -> Iterator[str]:
    if callable(theirs):
        yield from _not_taken(label, theirs, ours)
    for name in _methods(theirs) if inspect.isclass(theirs) else ():
        if not hasattr(ours, name):
            yield f"{label}.{name}"
        else:
            method, own = getattr(theirs, name), getattr(ours, name)
            yield from _not_taken(f"{label}.{name}", method, own)


def _methods(owner: type) -> list[str]:
    inherited = {name for base in (tuple, dict, Exception) for name in dir(base)}
    return [
        name
        for name in dir(owner)
        if not name.startswith("_")
        and name not in inherited
        and inspect.isroutine(getattr(owner, name))
    ]


def _not_taken(label: str, theirs: Any, ours: Any) -> Iterator[str]:
    """Yield each parameter that a call with LangGraph's names could not pass."""
    asked, taken = _parameters(theirs), _parameters(ours)
    for name in asked:
        if name not in taken:
            yield f"{label}({name})"
    by_place = [n for n, p in asked.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    places = [n for n, p in taken.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    for name, place in zip(by_place, places, strict=False):
        if name in taken and name != place and taken[name].kind is not _BY_NAME:
            yield f"{label}({name}) in its place"


_BY_NAME = inspect.Parameter.KEYWORD_ONLY


def _parameters(function: Any) -> dict[str, inspect.Parameter]:
    try:
        found = inspect.signature(function).parameters
    except (TypeError, ValueError):  # aliases, and classes that take anything
        return {}
    unnamed = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.VAR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    )
    return {
        name: parameter
        for name, parameter in found.items()
        if name != "self" and name[:2] != "__" and parameter.kind not in unnamed
    }
