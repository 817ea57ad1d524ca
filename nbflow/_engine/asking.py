"""What a caller of `invoke` or `stream` asks for, read once."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from nbflow._engine.control import RunControl
from nbflow._engine.inject import as_context
from nbflow._engine.options import Options, Watch, options_from
from nbflow._engine.streaming.shape import Shape, shape_of
from nbflow.errors import LangGraphDeprecatedSinceV10

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nbflow._engine.begin import Definition
    from nbflow._engine.run import Run
    from nbflow._values import Durability, StreamMode

__all__ = ["Asked", "names_of"]


class Asked(Struct, frozen=True, kw_only=True):
    """The arguments of a call beside its input; named as `Workflow.invoke` says.

    Attributes
    ----------
    on_run : callable or None
        Called with the live run before its first event.
    """

    config: Mapping[str, Any] | None = None
    context: Any = None
    stream_mode: StreamMode | Sequence[StreamMode] | None = None
    print_mode: StreamMode | Sequence[StreamMode] = ()
    output_keys: str | Sequence[str] | None = None
    interrupt_before: Literal["*"] | Sequence[str] | None = None
    interrupt_after: Literal["*"] | Sequence[str] | None = None
    durability: Durability | None = None
    control: RunControl | None = None
    version: str = "v1"
    subgraphs: bool = False
    debug: bool | None = None
    deprecated: Mapping[str, Any] | None = None
    on_run: Callable[[Run], None] | None = None

    def shape(self, name: str, *, default: StreamMode = "updates") -> Shape:
        """Return what is to be shown of a workflow's run.

        Raises
        ------
        ValueError
            A mode, a key or the version is unknown.
        """
        after = names_of("interrupt_after", self.interrupt_after)
        return shape_of(
            self.stream_mode,
            default=default,
            print_mode=("updates", "values") if self.debug else self.print_mode,
            output_keys=self.output_keys,
            version=self.version,
            subgraphs=self.subgraphs,
            stops_after="*" in after or name in after,
        )

    @property
    def is_plain(self) -> bool:
        """Whether only the result is asked for."""
        return (
            self.stream_mode == "values"
            and self.version == "v1"
            and self.output_keys is None
            and not (self.print_mode or self.debug)
        )

    def options(
        self, definition: Definition, *joining: Callable[[Run], None]
    ) -> Options:
        """Return what the run needs to know.

        Raises
        ------
        ValueError, TypeError
            An argument is not what it has to be; the error names it.
        """
        durability = self._durability()
        if self.control is not None and not isinstance(self.control, RunControl):
            raise TypeError(f"control must be a RunControl, not {self.control!r}")
        if durability is not None and definition.saver is None:
            warnings.warn(
                "`durability` has no effect when no checkpointer is present.",
                stacklevel=4,
            )
        return options_from(
            self.config,
            durability=durability,
            context=as_context(definition.context_schema, self.context),
            watch=self._watch(joining),
            control=self.control,
            interrupt_before=names_of("interrupt_before", self.interrupt_before),
            interrupt_after=names_of("interrupt_after", self.interrupt_after),
        )

    def _watch(self, joining: tuple[Callable[[Run], None], ...]) -> Watch:
        told = joining if self.on_run is None else (self.on_run, *joining)
        if not told:
            return Watch()

        def on_run(run: Run) -> None:
            for tell in told:
                tell(run)

        return Watch(on_run=on_run)

    def _durability(self) -> str | None:
        given = dict(self.deprecated or {})
        during = given.pop("checkpoint_during", None)
        if given:
            raise TypeError(f"unexpected keyword argument {next(iter(given))!r}")
        if during is None:
            return self.durability
        warnings.warn(
            LangGraphDeprecatedSinceV10(
                "`checkpoint_during` is deprecated and will be removed. "
                "Please use `durability` instead."
            ),
            stacklevel=5,
        )
        if self.durability is not None:
            raise ValueError(
                "Cannot use both `checkpoint_during` and `durability` parameters. "
                "Please use `durability` instead."
            )
        return "async" if during else "exit"


def names_of(argument: str, given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the names that an argument was given, of which ``"*"`` is each.

    Raises
    ------
    TypeError
        It is something else.
    """
    if given is None or isinstance(given, str):
        return () if given is None else (given,)
    if not isinstance(given, list | tuple | set | frozenset):
        raise TypeError(f"{argument} must be '*' or a list of names, not {given!r}")
    return tuple(given)
