"""Answers from a file: which one belongs to which question."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from nbflow.errors import UsageError
from nbflow.session.answers import (
    FORMAT,
    Answers,
    Asked,
    find_answers,
    load_answers,
    paused_hint,
)

if TYPE_CHECKING:
    from pathlib import Path


def asked(
    number: int = 1,
    text: str = "Sure?",
    *,
    thread: str = "review",
    source: str = "",
) -> Asked:
    return Asked(f"{number:032x}", text, thread, source)


def answers(content: Any) -> Answers:
    return Answers(content, origin="answers.json")


def written(folder: Path, content: str) -> Path:
    file = folder / "answers.json"
    file.write_text(content, encoding="utf-8")
    return file


# Lists.


def test_a_list_answers_questions_in_the_order_they_are_asked() -> None:
    given = answers(["a", "b", "c"])

    assert [given.take(asked(n)) for n in (7, 3, 5)] == ["a", "b", "c"]


def test_a_question_that_is_asked_again_gets_the_same_answer() -> None:
    given = answers(["a", "b"])

    taken = [given.take(asked(n)) for n in (1, 1, 2, 1, 2)]

    assert taken == ["a", "a", "b", "a", "b"]


def test_a_list_goes_on_from_one_thread_to_the_next() -> None:
    given = answers(["a", "b"])

    assert given.take(asked(1, thread="first")) == "a"
    assert given.take(asked(1, thread="second")) == "b"


def test_questions_that_another_process_answered_keep_their_place() -> None:
    given = answers(["a", "b", "c"])

    taken = given.take(asked(3), earlier=[asked(1), asked(2)])

    assert taken == "c"


def test_a_continued_run_gets_the_answers_of_an_undisturbed_one() -> None:
    questions = [asked(n) for n in range(1, 5)]
    undisturbed = answers([10, 20, 30, 40])
    expected = [undisturbed.take(question) for question in questions]

    for killed_after in range(4):
        after = answers([10, 20, 30, 40])
        taken = [
            after.take(questions[n], earlier=questions[:n])
            for n in range(killed_after, 4)
        ]
        assert taken == expected[killed_after:]


def test_a_question_does_not_count_twice_when_it_is_among_the_earlier_ones() -> None:
    given = answers(["a", "b"])

    given.take(asked(1))

    assert given.take(asked(2), earlier=[asked(1), asked(2)]) == "b"


def test_a_list_that_is_used_up_says_which_question_is_left() -> None:
    given = answers(["a"])
    given.take(asked(1))

    with pytest.raises(
        UsageError,
        match=r"answers.json holds 1 answer, and this is question 2: 'More\?' "
        r"\(task 'check', thread 'review'\)",
    ):
        given.take(asked(2, "More?", source="check"))


def test_an_empty_list_answers_nothing() -> None:
    with pytest.raises(UsageError, match="holds 0 answers"):
        answers([]).take(asked())


# Objects.


@pytest.mark.parametrize(
    "key", [f"{1:032x}", "Sure?", "check", "review", "*", "  Sure?\n"]
)
def test_an_object_answers_by_id_text_task_thread_or_star(key: str) -> None:
    assert answers({key: "yes"}).take(asked(source="check")) == "yes"


def test_the_more_precise_key_decides() -> None:
    content = {
        "*": "any",
        "review": "thread",
        "check": "task",
        "Sure?": "text",
        f"{1:032x}": "id",
    }
    taken = []

    while content:
        taken.append(answers(content).take(asked(source="check")))
        content.popitem()

    assert taken == ["id", "text", "task", "thread", "any"]


def test_a_key_answers_each_of_its_questions() -> None:
    given = answers({"Sure?": "yes"})

    assert [given.take(asked(n)) for n in range(1, 4)] == ["yes"] * 3


def test_a_questions_text_counts_without_its_line_breaks() -> None:
    given = answers({"Is this correct?": "yes"})

    assert given.take(asked(text="Is this\n  correct?")) == "yes"


def test_one_keys_questions_can_get_different_answers_in_order() -> None:
    given = answers({"Sure?": {"$in_order": ["yes", "no"]}, "Name?": "Ada"})

    taken = [
        given.take(asked(1)),
        given.take(asked(2, "Name?")),
        given.take(asked(3)),
    ]

    assert taken == ["yes", "Ada", "no"]


def test_answers_in_order_count_the_questions_of_their_key_only() -> None:
    given = answers({"Sure?": {"$in_order": ["yes", "no"]}})

    taken = given.take(asked(3), earlier=[asked(1), asked(2, "Name?")])

    assert taken == "no"


def test_answers_in_order_that_are_used_up_name_their_key() -> None:
    given = answers({"Sure?": {"$in_order": []}})

    with pytest.raises(UsageError, match=r"under 'Sure\?', holds 0 answers"):
        given.take(asked())


def test_a_question_without_a_key_is_an_error_that_names_it_and_the_keys() -> None:
    with pytest.raises(UsageError) as caught:
        answers({"Name?": 1, "check": 2}).take(asked(thread="night", source="repair"))

    text = str(caught.value)
    assert "'Sure?' (task 'repair', thread 'night')" in text
    assert f"{1:032x}" in text
    assert "'Name?', 'check'" in text


def test_an_empty_source_is_no_key() -> None:
    with pytest.raises(UsageError, match="no answer"):
        answers({"": "yes"}).take(asked(source=""))


@pytest.mark.parametrize(
    "value", [None, False, 0, "", [], {}, {"action": "continue"}, [{"type": "accept"}]]
)
def test_any_json_value_is_an_answer(value: object) -> None:
    assert answers([value]).take(asked()) == value
    assert answers({"*": value}).take(asked()) == value


def test_changing_an_answer_does_not_change_the_next_one() -> None:
    given = answers({"*": {"args": [1]}})

    given.take(asked(1))["args"].append(2)

    assert given.take(asked(2)) == {"args": [1]}


@pytest.mark.parametrize(
    "value", [{"$in_order": "yes"}, {"$in_order": ["yes"], "also": 1}]
)
def test_answers_in_order_that_are_no_list_are_refused(value: object) -> None:
    with pytest.raises(UsageError, match=r"'Sure\?' is not one list"):
        answers({"Sure?": value})


# Files.


def test_answers_are_read_from_a_file(tmp_path: Path) -> None:
    file = written(tmp_path, '{"Größe?": "zwölf"}')

    assert load_answers(file).take(asked(text="Größe?")) == "zwölf"


def test_a_byte_order_mark_is_no_trouble(tmp_path: Path) -> None:
    file = tmp_path / "answers.json"
    file.write_bytes(b"\xef\xbb\xbf[1]")

    assert load_answers(file).take(asked()) == 1


def test_a_missing_file_is_an_error_with_the_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match=r"no file of answers 'nope\.json'") as caught:
        load_answers("nope.json")

    assert str(tmp_path / "nope.json") in str(caught.value)


def test_a_folder_is_no_file_of_answers(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        load_answers(tmp_path)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "answers.json"
    file.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(UsageError, match="can't be read"):
        load_answers(file)


def test_a_file_that_is_no_json_says_where(tmp_path: Path) -> None:
    file = written(tmp_path, '{"a": 1,\n "b": }')

    with pytest.raises(UsageError, match="is not JSON: line 2, column 7"):
        load_answers(file)


@pytest.mark.parametrize(
    ("text", "kind"), [('"yes"', "str"), ("1", "int"), ("null", "NoneType")]
)
def test_a_file_that_is_neither_list_nor_object_is_refused(
    text: str, kind: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=f"holds a {kind}, not answers"):
        load_answers(written(tmp_path, text))


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '[{"b": 1, "b": 1}]'])
def test_a_key_that_stands_twice_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="stands twice"):
        load_answers(written(tmp_path, text))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_json_does_not_know_is_refused(
    number: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no JSON value"):
        load_answers(written(tmp_path, f"[{number}]"))


def test_a_file_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nested too deeply"):
        load_answers(written(tmp_path, "[" * 200_000))


def test_the_option_wins_over_the_environment(tmp_path: Path) -> None:
    file = written(tmp_path, '["from the option"]')

    found = find_answers(str(file), {"NBFLOW_ANSWERS": "/nowhere"})

    assert found is not None
    assert found.take(asked()) == "from the option"


def test_the_environment_names_answers_for_all_cells(tmp_path: Path) -> None:
    file = written(tmp_path, '["from the environment"]')

    found = find_answers(None, {"NBFLOW_ANSWERS": str(file)})

    assert found is not None
    assert found.take(asked()) == "from the environment"


@pytest.mark.parametrize("environ", [{}, {"NBFLOW_ANSWERS": ""}])
def test_without_either_there_are_no_answers(environ: dict[str, str]) -> None:
    assert find_answers(None, environ) is None


def test_the_examples_of_the_format_are_answers() -> None:
    examples = [line for line in FORMAT.splitlines() if line.startswith(" " * 16)]

    assert len(examples) == 3
    for example in examples:
        answers(json.loads(example))


# What a paused cell says.


def test_the_hint_names_workflow_question_store_thread_and_command() -> None:
    hint = paused_hint("review-7", "Is this right?", "/data/a.duckdb", "review")

    what, how = hint.splitlines()
    assert what == "review asks 'Is this right?'; kept in /data/a.duckdb"
    assert "%workflow resume review-7 ANSWER" in how
    assert "--answers FILE" in how
    assert "NBFLOW_ANSWERS" in how
    assert "%workflow store /data/a.duckdb" in how


def test_a_hint_has_two_lines_whatever_is_asked() -> None:
    hint = paused_hint("t", "one\ntwo\n" + "long " * 1_000, "a.duckdb", "w")

    assert len(hint.splitlines()) == 2
    assert "'one two long long" in hint
    assert len(hint) < 600


def test_a_hints_command_quotes_what_has_spaces() -> None:
    hint = paused_hint("my 'own' thread", "q", "/my data/a.duckdb", "w")

    command = hint.partition("%workflow resume ")[2].partition(" (")[0]
    assert shlex.split(command) == ["my 'own' thread", "ANSWER"]
    assert "%workflow store '/my data/a.duckdb'" in hint
