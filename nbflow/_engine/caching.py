"""Results that other runs may use: found by name, code and arguments.

A call with a cache policy is looked up before it runs. Identical calls at once run
once: the first leads, and the others wait for what it gives, in whichever run of
this process they are. Where values are kept is not known here.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from nbflow import serde
from nbflow._engine.code import code_of
from nbflow._engine.ids import digest
from nbflow._engine.loops import call_soon
from nbflow._engine.pool import pool
from nbflow._values import FinalValue
from nbflow.errors import NbflowWarning, RunStopped, UnstorableValueError

if TYPE_CHECKING:
    from nbflow._engine.context import RunContext
    from nbflow._engine.run import Call, Run
    from nbflow._engine.spec import Spec
    from nbflow.cache.base import BaseCache, FullKey, Namespace

__all__ = ["CachedBody", "CachedCall", "namespace_of"]

_ROOT = "nbflow"
_Landed: TypeAlias = Callable[[bytes | None], object]


def namespace_of(spec: Spec) -> Namespace:
    """Return where the results of a task or workflow are kept, whatever its code."""
    func = spec.func
    owner = func if hasattr(func, "__qualname__") else type(func)
    return (_ROOT, f"{owner.__module__}.{owner.__qualname__}", spec.name)


def _key_of(
    spec: Spec, code: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> FullKey | None:
    """Return what a call's result is found by; None where its arguments don't say."""
    key_func = spec.cache.key_func if spec.cache is not None else None
    if key_func is None:
        made = serde.fingerprint_exact(spec.normal(args, kwargs))
        if made is None:
            _warn(
                f"A call of {spec.name!r} is not cached: an argument is of a type that "
                "can't be compared. Give its CachePolicy a key_func."
            )
            return None
        return namespace_of(spec), digest(spec.name, code, "arguments", made)
    given = key_func(*args, **kwargs)
    if isinstance(given, bytes):
        return namespace_of(spec), digest(spec.name, code, "bytes", given.hex())
    if isinstance(given, str):
        return namespace_of(spec), digest(spec.name, code, "text", given)
    raise TypeError(
        f"The key_func of {spec.name!r} must return str or bytes, not {given!r}"
    )


class _Flights:
    """What is being made just now, and who waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[tuple[int, FullKey], list[_Landed]] = {}

    def join(self, cache: BaseCache, key: FullKey, landed: _Landed) -> bool:
        """Return whether the caller leads; else have `landed` called once.

        It is called from the leader's thread with the encoded value, or with None
        where there is none to share; it must only hand over.
        """
        with self._lock:
            waiting = self._waiting.get((id(cache), key))
            if waiting is None:
                self._waiting[id(cache), key] = []
                return True
            waiting.append(landed)
            return False

    def leave(self, cache: BaseCache, key: FullKey, landed: _Landed) -> bool:
        """Wait no longer; return whether it was still waiting."""
        with self._lock:
            waiting = self._waiting.get((id(cache), key), [])
            if landed not in waiting:
                return False
            waiting.remove(landed)
            return True

    def land(self, cache: BaseCache, key: FullKey, data: bytes | None) -> None:
        """Hand what was made to those who wait."""
        with self._lock:
            waiting = self._waiting.pop((id(cache), key), [])
        for landed in waiting:
            landed(data)


_FLIGHTS = _Flights()
_leading: ContextVar[frozenset[FullKey]] = ContextVar(
    "nbflow_leading", default=frozenset()
)
"""What the bodies around this one are making: nobody waits for what he makes."""


class _Kept:
    """One value of a cache, read and written so that a broken cache stops nothing."""

    def __init__(self, spec: Spec, cache: BaseCache, key: FullKey) -> None:
        self._name = spec.name
        self._ttl = spec.cache.ttl if spec.cache is not None else None
        self.cache = cache
        self.key = key
        self.data: bytes | None = None

    def read(self) -> tuple[Any] | None:
        """Return a fresh copy of the value, in a tuple, or None if there is none."""
        try:
            found = self.cache.get([self.key])
        except Exception as error:  # noqa: BLE001 - the cache's, whoever wrote it
            self._warn("read", error)
            return None
        return (found[self.key],) if self.key in found else None

    async def aread(self) -> tuple[Any] | None:
        try:
            found = await self.cache.aget([self.key])
        except Exception as error:  # noqa: BLE001 - the cache's, whoever wrote it
            self._warn("read", error)
            return None
        return (found[self.key],) if self.key in found else None

    def write(self, value: Any) -> None:
        """Keep a value, and note it for those who wait."""
        if not self.note(value):
            return
        try:
            self.cache.set({self.key: (value, self._ttl)})
        except Exception as error:  # noqa: BLE001 - the cache's, whoever wrote it
            self._warn("written", error)

    async def awrite(self, value: Any) -> None:
        if not self.note(value):
            return
        try:
            await self.cache.aset({self.key: (value, self._ttl)})
        except Exception as error:  # noqa: BLE001 - the cache's, whoever wrote it
            self._warn("written", error)

    def note(self, value: Any) -> bool:
        """Note a value for those who wait; return whether it can be kept at all."""
        try:
            encoded = serde.encode_with_report(value)
        except UnstorableValueError as error:
            self._warn("written", error)
            return False
        if not encoded.redacted:  # a secret is for whoever made it
            self.data = encoded.data
        return not encoded.redacted

    def _warn(self, what: str, error: Exception) -> None:
        _warn(f"The cache could not be {what} for {self._name!r}: {error!r}")


class CachedCall:
    """A task call on its way through a cache.

    Made by `of`; the run hands it what became of the call.
    """

    def __init__(self, run: Run, kept: _Kept) -> None:
        self._run = run
        self._kept = kept
        self._call: Call | None = None
        self._leads = False

    @classmethod
    def of(cls, run: Run, call: Call, cache: BaseCache | None) -> CachedCall | None:
        """Return the way of a call through a cache; None if it has none."""
        if cache is None:
            return None
        key = _key_of(call.spec, call.event.code, call.args, call.kwargs)
        return None if key is None else cls(run, _Kept(call.spec, cache, key))

    def start(self, call: Call) -> None:
        """Begin an open call: look it up, or wait for the same one, or run it."""
        self._call = call
        run, kept, around = self._run, self._kept, _leading.get()
        if kept.key in around:
            self._begin()
            return
        call.context.run(_leading.set, around | {kept.key})
        run.wait_elsewhere(self._give_up)
        if _FLIGHTS.join(kept.cache, kept.key, self._landed):
            self._leads = True
            run.waits_no_more(self._give_up)
            pool.submit(self._look_up)

    def keep(self, value: Any) -> None:
        """Keep what the call returned, before anyone can change it."""
        self._kept.write(value)

    async def akeep(self, value: Any) -> None:
        """Like `keep`, off the event loop."""
        await self._kept.awrite(value)

    def end(self) -> None:
        """Note that the call has ended, however it did."""
        if self._leads:
            self._leads = False
            _FLIGHTS.land(self._kept.cache, self._kept.key, self._kept.data)

    def _look_up(self) -> None:
        found = self._kept.read()
        if found is None:
            self._begin()
        else:
            self._kept.note(found[0])
            self._use(found[0])

    def _landed(self, data: bytes | None) -> None:
        self._run.waits_no_more(self._give_up)
        pool.submit(partial(self._take, data))

    def _take(self, data: bytes | None) -> None:
        if data is None:
            # It failed, or can't be shared: each of those who waited runs.
            self._begin()
        else:
            self._use(serde.decode(data))

    def _begin(self) -> None:
        call = self._its_call()
        try:
            self._run.hold_back()
        except RunStopped:
            self._run.drop(call)
        else:
            self._run.begin(call)

    def _use(self, value: Any) -> None:
        call, run, error, event = self._its_call(), self._run, None, None
        try:
            call_id = call.event.call_id
            event = run.log.finished(
                call_id,
                value,
                task=call.name,
                cached=True,
                pickles=call.spec.pickles,
            )
            run.log.write_outcome(event)
        except Exception as broken:  # noqa: BLE001 - the store's; the body gets it
            value, error, event = None, broken, None
        run.settle(call, value, error, event)

    def _give_up(self) -> None:
        if _FLIGHTS.leave(self._kept.cache, self._kept.key, self._landed):
            self._run.drop(self._its_call())

    def _its_call(self) -> Call:
        if self._call is None:
            raise AssertionError("start() comes first")
        return self._call


class CachedBody:
    """A workflow's body, whose result may be in a cache."""

    def __init__(self, context: RunContext, kept: _Kept) -> None:
        self._context = context
        self._kept = kept

    @classmethod
    def of(cls, context: RunContext, spec: Spec, given: Any) -> CachedBody | None:
        """Return the way of a body through a cache; None if it has none."""
        cache = context.settings.cache
        if cache is None or spec.cache is None:
            return None
        code = code_of(spec.func).fingerprint
        key = _key_of(spec, code, (given,), {})
        if key is None or key in _leading.get():
            return None
        _leading.set(_leading.get() | {key})
        return cls(context, _Kept(spec, cache, key))

    def result(self, call: Callable[[], Any]) -> Any:
        """Return the body's result: the cached one, or what `call` gives."""
        kept, landed, woken = self._kept, _Once(), threading.Event()
        landed.notify = woken.set
        if not _FLIGHTS.join(kept.cache, kept.key, landed):
            self._wait(landed, woken)
            return self._shared(landed.data) if landed.data is not None else call()
        try:
            found = kept.read()
            if found is not None:
                return self._found(found[0])
            value = call()
            if not self._context.scope.asked:
                kept.write(_packed(value))
            return value
        finally:
            _FLIGHTS.land(kept.cache, kept.key, kept.data)

    async def awaited(self, call: Callable[[], Any]) -> Any:
        """Like `result`, on the running loop."""
        kept, landed, woken = self._kept, _Once(), asyncio.Event()
        landed.notify = partial(call_soon, asyncio.get_running_loop(), woken.set)
        if not _FLIGHTS.join(kept.cache, kept.key, landed):
            try:
                await woken.wait()
            finally:
                _FLIGHTS.leave(kept.cache, kept.key, landed)
            return (
                self._shared(landed.data) if landed.data is not None else await call()
            )
        try:
            found = await kept.aread()
            if found is not None:
                return self._found(found[0])
            value = await call()
            if not self._context.scope.asked:
                await kept.awrite(_packed(value))
            return value
        finally:
            _FLIGHTS.land(kept.cache, kept.key, kept.data)

    def _wait(self, landed: _Once, woken: threading.Event) -> None:
        run, kept = self._context.run, self._kept
        run.when_held(woken.set)
        try:
            woken.wait()
        finally:
            run.forget(woken.set)
            _FLIGHTS.leave(kept.cache, kept.key, landed)
        run.hold_back()

    def _found(self, packed: Any) -> Any:
        self._kept.note(packed)
        return self._unpacked(packed)

    def _shared(self, data: bytes) -> Any:
        return self._unpacked(serde.decode(data))

    def _unpacked(self, packed: Any) -> Any:
        self._context.scope.cached = True
        is_final, value, save = packed
        return FinalValue(value=value, save=save) if is_final else value


class _Once:
    """What a leader hands to a body that waits for it."""

    def __init__(self) -> None:
        self.data: bytes | None = None
        self.notify: Callable[[], object] = lambda: None

    def __call__(self, data: bytes | None) -> None:
        self.data = data
        self.notify()


def _packed(value: Any) -> tuple[bool, Any, Any]:
    if isinstance(value, FinalValue):
        return True, value.value, value.save
    return False, value, None


def _warn(text: str) -> None:
    warnings.warn(text, NbflowWarning, stacklevel=3)
