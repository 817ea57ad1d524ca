"""A run begun again from one of its checkpoints, and answers for what it will ask.

A fork has the input and the `previous` of the run it comes from, and does all of it
anew: its calls and questions have identities of their own. An answer that is given
along is for a question that the fork has yet to ask.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from nbflow._engine.ids import place_below, question_id
from nbflow._engine.pictures import RunPicture, picture_of
from nbflow.errors import UnknownInterruptError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nbflow._events import Interrupted, Record

__all__ = ["Offers", "offers_for_fork"]


class Offers:
    """Answers on their way to questions that a body is going to ask.

    Those with a schema wait here until the body has checked them; those of a fork,
    until it asks.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[str, tuple[Any, str]] = {}
        self._by_asker: dict[str, tuple[Any, str]] = {}

    def put(self, interrupt_id: str, answer: Any, by: str) -> None:
        """Offer an answer to the question of this id."""
        self._by_id[interrupt_id] = (answer, by)

    def put_first(self, asker: str, answer: Any, by: str) -> None:
        """Offer an answer to the first question that a body of this name asks."""
        self._by_asker[asker] = (answer, by)

    def take(self, interrupt_id: str, asker: str) -> tuple[Any, str] | None:
        """Return the answer to a question with who gave it, once; None if none is."""
        with self._lock:
            if interrupt_id in self._by_id:
                return self._by_id.pop(interrupt_id)
            return self._by_asker.pop(asker, None)


def offers_for_fork(
    records: Iterable[Record], run_id: str, resume: Any, *, by: str, is_map: bool
) -> Offers:
    """Return the answers of a command that forks a run.

    Parameters
    ----------
    records : iterable of Record
        The run that is forked.
    run_id : str
        The fork.
    resume : Any
        One answer, for a run whose first stop had one question: it goes to the first
        question that the same body asks, even where its text is another now. A list
        of as many answers as the first stop had questions, in their order, where
        those were several. Or a map of the run's interrupt ids to answers: each goes
        to the very same question, if the fork asks it.
    by : str
        Who answers.
    is_map : bool
        Whether `resume` is such a map.

    Raises
    ------
    UnknownInterruptError
        It fits no question of that run.
    """
    picture = picture_of(records) or RunPicture("")
    asked = picture.first_shown
    offers = Offers()
    if not is_map and len(asked) == 1:
        offers.put_first(_asker(picture, picture.asked[asked[0]]), resume, by)
        return offers
    if not is_map and asked and isinstance(resume, list) and len(resume) == len(asked):
        resume = dict(zip(asked, resume, strict=True))
    elif not is_map:
        raise UnknownInterruptError("ambiguous" if asked else "not_pending", (), asked)
    if not resume:
        raise UnknownInterruptError("empty_map", (), tuple(picture.asked))
    unknown = tuple(key for key in resume if key not in picture.asked)
    if unknown:
        raise UnknownInterruptError("not_pending", unknown, tuple(picture.asked))
    for interrupt_id, new_id in _ids_in_fork(picture, run_id, resume).items():
        offers.put(new_id, resume[interrupt_id], by)
    return offers


def _asker(picture: RunPicture, question: Interrupted) -> str:
    call = picture.calls.get(question.parent_id)
    if call is not None:
        return call.called.name
    return "" if picture.started is None else picture.started.workflow


def _ids_in_fork(
    picture: RunPicture, run_id: str, wanted: Mapping[str, Any]
) -> dict[str, str]:
    """Return what the questions of a run are called in a fork of it."""
    places = {picture.run_id: run_id}
    for call in picture.calls.values():
        # A caller's begin stands before those of the calls it makes.
        called = call.called
        key = (called.name, called.args_key, called.ordinal)
        if called.place in places:
            below = place_below(called.place, *key)
            places[below] = place_below(places[called.place], *key)
    return {
        interrupt_id: question_id(places[place], question.value_key, question.ordinal)
        for interrupt_id, question in picture.asked.items()
        if interrupt_id in wanted and (place := question.place) in places
    }
