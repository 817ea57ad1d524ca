"""What `entrypoint` makes of a function: invoke it, stream it, look at its threads."""

from __future__ import annotations

import functools
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from msgspec.structs import replace

from nbflow._engine.asking import Asked
from nbflow._engine.batching import (
    batched,
    batched_async,
    configs_for,
    shared_threads,
)
from nbflow._engine.caching import namespace_of
from nbflow._engine.code import code_of
from nbflow._engine.execution import execute, execute_async
from nbflow._engine.options import limit_of
from nbflow._engine.reading import Reading
from nbflow._engine.threads import Threads

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Callable,
        Generator,
        Mapping,
        Sequence,
    )

    from nbflow._engine.begin import Definition
    from nbflow._engine.control import RunControl
    from nbflow._engine.execution import Ended
    from nbflow._engine.options import Options
    from nbflow._engine.run import Run
    from nbflow._values import Durability, StreamMode
    from nbflow.cache.base import BaseCache, Namespace
    from nbflow.checkpoint.base import BaseCheckpointSaver

__all__ = ["Workflow"]

InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")


class Workflow(Threads, Generic[InputT, OutputT]):
    """A function whose runs are recorded; made by `nbflow.func.entrypoint`.

    Attributes
    ----------
    name : str
        Name of the function.
    checkpointer : BaseCheckpointSaver or None
        Where its runs are kept.
    """

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition)
        functools.update_wrapper(self, definition.spec.func)  # type: ignore[arg-type] # not a call

    @property
    def code_fingerprint(self) -> str:
        """What stands for the body, and all it uses, in the log."""
        return code_of(self._definition.spec.func).fingerprint

    def __nbflow_code__(self) -> Callable[..., Any]:
        """Return the function whose code counts as this workflow's."""
        return self._definition.spec.func

    def __repr__(self) -> str:
        return f"<workflow {self.name!r}>"

    def with_saver(self, saver: BaseCheckpointSaver) -> Workflow[InputT, OutputT]:
        """Return this workflow with another saver."""
        return Workflow(self._with(saver))

    def _with(self, saver: BaseCheckpointSaver) -> Definition:
        return replace(self._definition, saver=saver)

    def clear_cache(self, nodes: Sequence[str] | None = None) -> None:
        """Forget what the body returned in other runs; tasks have their own names.

        Parameters
        ----------
        nodes : sequence of str, optional
            The workflow's own name, or nothing, which means it too.

        Raises
        ------
        ValueError
            The workflow has no node of that name.
        """
        cache, namespaces = self._cached_nodes(nodes)
        if cache is not None:
            cache.clear(namespaces)

    async def aclear_cache(self, nodes: Sequence[str] | None = None) -> None:
        """Like `clear_cache`, off the event loop."""
        cache, namespaces = self._cached_nodes(nodes)
        if cache is not None:
            await cache.aclear(namespaces)

    def _cached_nodes(
        self, nodes: Sequence[str] | None
    ) -> tuple[BaseCache | None, list[Namespace]]:
        for node in nodes or ():
            if node != self.name:
                raise ValueError(
                    f"{self.name!r} has no node {node!r}. What its tasks returned is "
                    "cleared by task.clear_cache(cache)."
                )
        namespaces = [namespace_of(self._definition.spec)]
        return self._definition.cache, namespaces if nodes is None or nodes else []

    # Running.

    def invoke(
        self,
        input: InputT | Any,  # noqa: A002 - LangGraph's name
        config: Mapping[str, Any] | None = None,
        *,
        context: Any = None,
        stream_mode: StreamMode | Sequence[StreamMode] = "values",
        print_mode: StreamMode | Sequence[StreamMode] = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: Literal["*"] | Sequence[str] | None = None,
        interrupt_after: Literal["*"] | Sequence[str] | None = None,
        durability: Durability | None = None,
        control: RunControl | None = None,
        version: Literal["v1", "v2"] = "v1",
        **deprecated: Any,
    ) -> Any:
        """Run the workflow to its end, a question or an error.

        Parameters
        ----------
        input : Any
            What the body gets. None continues the thread's unfinished run;
            ``Command(resume=...)`` answers its question and continues it.
        config : mapping, optional
            ``{"configurable": {"thread_id": ...}}``, required with a saver.
        context : Any, optional
            Handed to bodies as ``runtime.context``; a dict is made into the
            entrypoint's `context_schema`.
        stream_mode : str or sequence of str, default "values"
            With anything else than ``"values"`` the list of chunks is returned.
        print_mode : str or sequence of str, optional
            Modes whose chunks are printed as they come.
        output_keys : str or sequence of str, optional
            ``"__end__"`` is what the body returned, ``"__previous__"`` what it saved;
            of several keys a dict.
        interrupt_before, interrupt_after : "*" or sequence of str, optional
            Names of workflows to stop before or after; None as input continues.
        durability : {"sync", "async", "exit"}, default "async"
            When outcomes are on disk: before they are used, soon after, or when
            the run ends.
        control : RunControl, optional
            Asks the run from elsewhere to end early.
        version : {"v1", "v2"}, default "v1"
            With ``"v2"`` a `GraphOutput` is returned.

        Returns
        -------
        Any
            What the body returned, or ``{"__interrupt__": [Interrupt, ...]}``.

        Raises
        ------
        EmptyInputError, UnknownInterruptError, ThreadBusyError, StoreError
            Nothing was run.
        WorkflowStopped
            The run was stopped.
        GraphDrained
            The run ended early because its `control` was asked to.
        Exception
            Whatever the body raised.
        """
        asked = Asked(
            config=config,
            context=context,
            stream_mode=stream_mode,
            print_mode=print_mode,
            output_keys=output_keys,
            interrupt_before=interrupt_before,
            interrupt_after=interrupt_after,
            durability=durability,
            control=control,
            version=version,
            deprecated=deprecated,
        )
        return Reading(self, asked).result(input)

    async def ainvoke(
        self,
        input: InputT | Any,  # noqa: A002 - LangGraph's name
        config: Mapping[str, Any] | None = None,
        *,
        context: Any = None,
        stream_mode: StreamMode | Sequence[StreamMode] = "values",
        print_mode: StreamMode | Sequence[StreamMode] = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: Literal["*"] | Sequence[str] | None = None,
        interrupt_after: Literal["*"] | Sequence[str] | None = None,
        durability: Durability | None = None,
        control: RunControl | None = None,
        version: Literal["v1", "v2"] = "v1",
        **deprecated: Any,
    ) -> Any:
        """Like `invoke`, on the running loop; a synchronous body gets a thread."""
        asked = Asked(
            config=config,
            context=context,
            stream_mode=stream_mode,
            print_mode=print_mode,
            output_keys=output_keys,
            interrupt_before=interrupt_before,
            interrupt_after=interrupt_after,
            durability=durability,
            control=control,
            version=version,
            deprecated=deprecated,
        )
        return await Reading(self, asked).result_async(input)

    def stream(
        self,
        input: InputT | Any,  # noqa: A002 - LangGraph's name
        config: Mapping[str, Any] | None = None,
        *,
        context: Any = None,
        stream_mode: StreamMode | Sequence[StreamMode] | None = None,
        print_mode: StreamMode | Sequence[StreamMode] = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: Literal["*"] | Sequence[str] | None = None,
        interrupt_after: Literal["*"] | Sequence[str] | None = None,
        durability: Durability | None = None,
        control: RunControl | None = None,
        subgraphs: bool = False,
        debug: bool | None = None,
        version: Literal["v1", "v2"] = "v1",
        **deprecated: Any,
    ) -> Generator[Any, None, None]:
        """Run the workflow and yield what happens, as it happens.

        Parameters not listed here are those of `invoke`.

        Parameters
        ----------
        stream_mode : str or sequence of str, default "updates"
            ``"updates"``: each finished task. ``"values"``: the result.
            ``"custom"``: what bodies write. ``"messages"``: the tokens of chat
            models, each with where it came from. ``"tasks"``: begin and end of each
            call. ``"checkpoints"``: the thread's checkpoints. ``"debug"``: the
            two before. With a sequence chunks are ``(mode, chunk)``.
        subgraphs : bool, default False
            Show nested runs too: chunks then begin with their namespace.
        debug : bool, optional
            Print updates and values.
        version : {"v1", "v2"}, default "v1"
            With ``"v2"`` chunks are dicts of ``type``, ``ns`` and ``data``.

        Yields
        ------
        Any
            Chunks. Leaving the loop early stops the run.
        """
        asked = Asked(
            config=config,
            context=context,
            stream_mode=stream_mode,
            print_mode=print_mode,
            output_keys=output_keys,
            interrupt_before=interrupt_before,
            interrupt_after=interrupt_after,
            durability=durability,
            control=control,
            subgraphs=subgraphs,
            debug=debug,
            version=version,
            deprecated=deprecated,
        )
        return Reading(self, asked).chunks(input)

    def astream(
        self,
        input: InputT | Any,  # noqa: A002 - LangGraph's name
        config: Mapping[str, Any] | None = None,
        *,
        context: Any = None,
        stream_mode: StreamMode | Sequence[StreamMode] | None = None,
        print_mode: StreamMode | Sequence[StreamMode] = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: Literal["*"] | Sequence[str] | None = None,
        interrupt_after: Literal["*"] | Sequence[str] | None = None,
        durability: Durability | None = None,
        control: RunControl | None = None,
        subgraphs: bool = False,
        debug: bool | None = None,
        version: Literal["v1", "v2"] = "v1",
        **deprecated: Any,
    ) -> AsyncGenerator[Any, None]:
        """Like `stream`, on the running event loop."""
        asked = Asked(
            config=config,
            context=context,
            stream_mode=stream_mode,
            print_mode=print_mode,
            output_keys=output_keys,
            interrupt_before=interrupt_before,
            interrupt_after=interrupt_after,
            durability=durability,
            control=control,
            subgraphs=subgraphs,
            debug=debug,
            version=version,
            deprecated=deprecated,
        )
        return Reading(self, asked).chunks_async(input)

    def batch(
        self,
        inputs: Sequence[InputT | Any],
        config: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        *,
        return_exceptions: bool = False,
        **arguments: Any,
    ) -> list[Any]:
        """Run the workflow for each input, side by side.

        Parameters
        ----------
        inputs : sequence
            One for each run.
        config : mapping or sequence of mapping, optional
            For all, or one for each. ``max_concurrency`` of the first bounds the
            runs at once, as well as the tasks of each.
        return_exceptions : bool, default False
            Put a run's exception into the list instead of raising the first.
        **arguments
            As for `invoke`.

        Returns
        -------
        list
            Results in the order of the inputs.

        Raises
        ------
        ThreadBusyError
            Two of them name one thread; none of them is run.
        """
        configs = configs_for(inputs, config)
        busy = self._busy(configs, return_exceptions=return_exceptions)
        runs: list[Run] = []
        works = [
            _raiser(busy[number])
            if number in busy
            else partial(self._one(configs[number], arguments, runs).result, given)
            for number, given in enumerate(inputs)
        ]
        limit = limit_of(configs[0]) if configs else None
        try:
            return batched(works, limit=limit, return_exceptions=return_exceptions)
        except KeyboardInterrupt:
            for run in runs:
                run.stop("from the keyboard")
            raise

    async def abatch(
        self,
        inputs: Sequence[InputT | Any],
        config: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        *,
        return_exceptions: bool = False,
        **arguments: Any,
    ) -> list[Any]:
        """Like `batch`, on the running loop."""
        configs = configs_for(inputs, config)
        busy = self._busy(configs, return_exceptions=return_exceptions)
        works = [
            _raiser_async(busy[number])
            if number in busy
            else partial(self.ainvoke, given, configs[number], **arguments)
            for number, given in enumerate(inputs)
        ]
        limit = limit_of(configs[0]) if configs else None
        return await batched_async(
            works, limit=limit, return_exceptions=return_exceptions
        )

    def _one(
        self,
        config: Mapping[str, Any] | None,
        arguments: Mapping[str, Any],
        runs: list[Run],
    ) -> Reading:
        named = {"stream_mode": "values", **arguments}
        during = named.pop("checkpoint_during", None)
        deprecated = {} if during is None else {"checkpoint_during": during}
        asked = Asked(config=config, deprecated=deprecated, on_run=runs.append, **named)
        return Reading(self, asked)

    def _busy(
        self, configs: Sequence[Mapping[str, Any] | None], *, return_exceptions: bool
    ) -> dict[int, Exception]:
        found: dict[int, Exception] = {}
        if self._definition.saver is not None:
            found.update(shared_threads(configs))
        if found and not return_exceptions:
            raise found[min(found)]
        return found

    # What a session calls.

    def execute(self, given: Any, options: Options) -> Ended:
        """Run a synchronous body in this thread and return how it ended."""
        return execute(self.synchronous(), given, options)

    async def aexecute(self, given: Any, options: Options) -> Ended:
        """Run a body of either kind, and return how it ended."""
        return await execute_async(self._definition, given, options)

    def synchronous(self) -> Definition:
        """Return the definition of a synchronous body.

        Raises
        ------
        TypeError
            The body is asynchronous.
        """
        if self._definition.spec.is_async:
            raise TypeError(
                f"No synchronous function provided to {self.name!r}. It is 'async "
                "def': use ainvoke or astream, or the cell magic."
            )
        return self._definition


def _raiser(error: Exception) -> Callable[[], Any]:
    def work() -> Any:
        raise error

    return work


def _raiser_async(error: Exception) -> Callable[[], Any]:
    async def work() -> Any:
        raise error

    return work
