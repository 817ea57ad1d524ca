"""What the lines of `%%workflow` and `%workflow` say."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import inspect
import warnings
from typing import Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbflow.errors import UsageError
from nbflow.magics import arguments
from nbflow.magics.arguments import parse_cell_line, parse_line
from nbflow.magics.commands import (
    CancelCommand,
    CellOptions,
    ForkCommand,
    HelpCommand,
    HistoryCommand,
    LineCommand,
    PendingCommand,
    ResumeCommand,
    RunCommand,
    RunOptions,
    ShowCommand,
    StoreCommand,
    ThreadsCommand,
)
from nbflow.magics.usage import explain


def cell(line: str) -> CellOptions:
    options = parse_cell_line(line)
    assert isinstance(options, CellOptions)
    return options


def refused(line: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        parse_cell_line(line)
    return str(caught.value).splitlines()


def refused_line(line: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        parse_line(line)
    return str(caught.value).splitlines()


# The cell magic.


def test_an_unknown_mode_among_several_is_named() -> None:
    first, *_ = refused("--stream updates,tocken")

    assert first.startswith("--stream takes values, updates, checkpoints, tasks")
    assert "not 'tocken'." in first


@pytest.mark.parametrize("number", ["0", "-1", "2.5", "many"])
def test_a_bound_on_tasks_is_a_whole_number_of_at_least_one(number: str) -> None:
    first, *_ = refused(f"--max-concurrency={number}")

    assert first == (
        f"--max-concurrency takes a whole number of at least 1, not {number!r}."
    )


def test_an_empty_line_leaves_everything_to_the_defaults() -> None:
    assert cell("   ") == CellOptions()


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("review", CellOptions(name="review")),
        ("größe", CellOptions(name="größe")),
        ("-t nightly", CellOptions(thread="nightly")),
        ("--thread nightly", CellOptions(thread="nightly")),
        ("--thread=nightly", CellOptions(thread="nightly")),
        ("-i 5", CellOptions(input="5")),
        ("--input 5", CellOptions(input="5")),
        ("--input=5", CellOptions(input="5")),
        ("--new", CellOptions(new=True)),
        ("--once", CellOptions(once=True)),
        ("--resume 'yes'", CellOptions(resume="'yes'")),
        ("--wait", CellOptions(wait=True)),
        ("--background", CellOptions(background=True)),
        ("--out summary", CellOptions(out="summary")),
        ("--replay prefix", CellOptions(replay="prefix")),
        ("--on-divergence error", CellOptions(on_divergence="error")),
        ("--stream updates", CellOptions(stream=("updates",))),
        ("--stream=updates,custom", CellOptions(stream=("updates", "custom"))),
        ("--durability exit", CellOptions(durability="exit")),
        ("--max-concurrency 3", CellOptions(max_concurrency=3)),
        ("--answers a.json", CellOptions(answers="a.json")),
        ("--no-panel", CellOptions(panel=False)),
    ],
)
def test_each_option_sets_its_field(line: str, options: CellOptions) -> None:
    assert cell(line) == options


def test_options_stand_in_any_order_around_the_name() -> None:
    expected = CellOptions(name="review", input="[1, 2]", thread="t", new=True)

    assert cell("review -i [1, 2] -t t --new") == expected
    assert cell("--new -t t review -i [1, 2]") == expected
    assert cell("  -i [1, 2]   --new   -t t   review  ") == expected


def test_quotes_keep_the_spaces_of_a_word() -> None:
    options = cell("""-t "my thread" --answers 'my answers.json' --out x""")

    assert (options.thread, options.answers) == ("my thread", "my answers.json")


def test_a_word_in_quotes_may_look_like_an_option() -> None:
    assert cell("-t '--new' --once").thread == "--new"


def test_a_backslash_of_a_path_is_kept() -> None:
    assert cell(r"--answers C:\data\new.json").answers == r"C:\data\new.json"


def test_braces_and_dollars_are_kept_as_they_are() -> None:
    options = cell("-t {x}$y -i {x}")

    assert (options.thread, options.input) == ("{x}$y", "{x}")


# Expressions.


@pytest.mark.parametrize(
    "expression",
    [
        '{"a": 1}',
        '"some text with spaces"',
        "[1, 2, 3]",
        "df.head()",
        "'it''s'",
        "f(x, y=2)[0].z",
        "x if ready else y",
        "lambda n: n + 1",
        "-1",
        "not done",
        "a - b",
        "a -b",
        "f'{x} -t {y}'",
        '"--new"',
        "['-t', \"--once\"]",
        "(a -t)",
        "f(a, -t)",
        '"""a "quoted" -t word"""',
        r"'a\' -t b'",
        r"r'\d -t \w'",
        "{'#': 1}",
        "None",
        "1 # one",
        "b'x'",
        "-x",
        "(yield_)",
        "...",
    ],
)
def test_an_expression_is_taken_whole(expression: str) -> None:
    alone = cell(f"-i {expression}")
    between = cell(f"review -i {expression} -t t --new")
    first = cell(f"-i {expression} --thread=t --new")

    assert alone.input == between.input == first.input == expression
    assert (between.name, between.thread, between.new) == ("review", "t", True)
    assert (first.thread, first.new) == ("t", True)


_JSON_LIKE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["-t", " -t x ", "--new", "a --once b", "'", '"', "\\", "#"])
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(value=_JSON_LIKE, thread=st.sampled_from(["t", "a b", "--new", "x=1"]))
@example(value="x' -t y --new", thread="t")
@example(value={"-t": ["--new -i", "#"]}, thread="a b")
def test_any_plain_value_comes_through_with_options_after_it(
    value: Any, thread: str
) -> None:
    options = cell(f"review -i {value!r} -t '{thread}' --out x --once")

    assert ast.literal_eval(options.input or "") == value
    assert (options.name, options.thread, options.out) == ("review", thread, "x")
    assert options.once


@given(value=_JSON_LIKE)
def test_any_plain_value_comes_through_as_an_answer(value: Any) -> None:
    command = parse_line(f"resume t {value!r} --id 3f --wait")

    assert isinstance(command, ResumeCommand)
    assert ast.literal_eval(command.answer or "") == value
    assert (command.interrupt_id, command.options.wait) == ("3f", True)


@given(line=st.text(st.sampled_from("-itnewonce \"'{}[]()=#\\\t\nx1,")))
@example(line="-i (")
@example(line="--out=")
@example(line="-t=")
def test_any_line_is_understood_or_refused_as_usage(line: str) -> None:
    for parse in (parse_cell_line, parse_line):
        with contextlib.suppress(UsageError):  # anything else fails the test
            parse(line)


def test_an_option_ends_an_expression_that_could_go_on() -> None:
    options = cell("-i a -t b")

    assert (options.input, options.thread) == ("a", "b")


def test_an_expression_with_a_doubtful_escape_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert cell(r"-i '\d'").input == r"'\d'"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("-i hello world", "'hello world'"),
        ("-i hello world -t x", "'hello world'"),
        ("--resume x = 1", "'x = 1'"),
        ("-i [1, 2 -t x", "'[1, 2'"),
        ("-i 'open", '"\'open"'),
        ("-i await f()", "'await f()'"),
        ("-i " + "(" * 300 + ")" * 300, "((("),
        ("-i '\0'", "null"),
    ],
)
def test_what_is_no_python_is_refused_with_the_text_that_was_read(
    line: str, shown: str
) -> None:
    what, usage, _ = refused(line)

    assert "is not a Python expression" in what
    assert shown in what
    assert usage.startswith("Usage: %%workflow [NAME] [-i EXPR]")


# What is refused.


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("--nwe", "Unknown option --nwe. Did you mean --new?"),
        ("--backgruond", "Unknown option --backgruond. Did you mean --background?"),
        ("--id 3", "Unknown option --id. Did you mean -i?"),
        ("-x", "Unknown option -x."),
        ("-i", "-i needs a value: -i EXPR"),
        ("-i --new", "-i needs a value: -i EXPR"),
        ("-i -t x", "-i needs a value: -i EXPR"),
        ("-t", "-t needs a value: -t THREAD"),
        ("-t --new", "-t needs a value: -t THREAD"),
        ("-t -nwe", "-t needs a value: -t THREAD"),
        ("--input=", "-i needs a value: -i EXPR"),
        ("-t ''", "-t is empty."),
        ("-t 'open", "-t: a quote in \"'open\" is not closed."),
        ("-t a -t b", "-t stands twice."),
        ("--new --new", "--new stands twice."),
        ("--new=1", "--new takes no value."),
        ("--new --once", "--new and --once exclude each other."),
        ("--once --new", "--new and --once exclude each other."),
        ("--resume 1 --new", "--new and --resume exclude each other."),
        ("--resume 1 -i 2", "-i and --resume exclude each other."),
        ("--once --resume 1", "--once and --resume exclude each other."),
        ("--wait --background", "--wait and --background exclude each other."),
        ("--replay x", "--replay takes changed, prefix, all or none, not 'x'."),
        ("--on-divergence eror",
         "--on-divergence takes warn, error or rerun, not 'eror'. Did you mean error?"),
        ("--on-divergence x", "--on-divergence takes warn, error or rerun, not 'x'."),
        ("--out 1x", "--out has to be a Python name, not '1x'."),
        ("--out a.b", "--out has to be a Python name, not 'a.b'. Did you mean a_b?"),
        ("--out class", "--out has to be a Python name, not 'class'."),
        ("a-b", "NAME has to be a Python name, not 'a-b'. Did you mean a_b?"),
        ("a b", "Unexpected 'b'. Text with spaces needs quotes around it."),
    ],
)  # fmt: skip
def test_a_mistake_says_what_is_wrong_then_the_usage_then_where_help_is(
    line: str, what: str
) -> None:
    lines = refused(line)

    assert lines[0] == what
    assert lines[1].startswith("Usage: %%workflow [NAME] ")
    assert lines[2] == "Help: %%workflow --help"


def test_a_mistake_prints_as_three_lines_in_a_cell() -> None:
    with pytest.raises(UsageError) as caught:
        parse_cell_line("--nwe")

    assert len(caught.value._render_traceback_()) == 3


# The line magic.


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("run review", RunCommand("review", CellOptions(name="review"))),
        (
            "run flows.review -i [1] --once",
            RunCommand(
                "flows.review",
                CellOptions(name="flows.review", input="[1]", once=True),
            ),
        ),
        ("resume t", ResumeCommand("t", None, None, RunOptions())),
        (
            'resume "my t" {"action": "continue"} --id 3f --background',
            ResumeCommand(
                "my t", '{"action": "continue"}', "3f", RunOptions(background=True)
            ),
        ),
        (
            "resume --no-panel t",
            ResumeCommand("t", None, None, RunOptions(panel=False)),
        ),
        ("resume t None", ResumeCommand("t", "None", None, RunOptions())),
        ("fork t --before draft", ForkCommand("t", "draft", None, RunOptions())),
        (
            "fork 1f0e2d3c --before draft#2 --set {'a': 1} --out x",
            ForkCommand("1f0e2d3c", "draft#2", "{'a': 1}", RunOptions(out="x")),
        ),
        ("cancel", CancelCommand(None)),
        ("cancel t", CancelCommand("t")),
        ("threads", ThreadsCommand()),
        ("history", HistoryCommand(None)),
        ("history t", HistoryCommand("t")),
        ("history --limit 5", HistoryCommand(None, 5)),
        ("threads --limit 5", ThreadsCommand(5)),
        ("pending", PendingCommand(None)),
        ("pending t", PendingCommand("t")),
        ("show", ShowCommand(None)),
        ("show t", ShowCommand("t")),
        ("store", StoreCommand(None)),
        ("store '~/my data/a.duckdb'", StoreCommand("~/my data/a.duckdb")),
        (r"store C:\a.duckdb", StoreCommand(r"C:\a.duckdb")),
        ("  threads  ", ThreadsCommand()),
        ("history\tt", HistoryCommand("t")),
    ],
)
def test_each_command_becomes_its_value(line: str, command: LineCommand) -> None:
    assert parse_line(line) == command


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("histroy t", "There is no command 'histroy'. Did you mean history?"),
        ("xyz", "There is no command 'xyz'."),
        ("run", "%workflow run needs NAME."),
        ("run --new", "%workflow run needs NAME."),
        ("run 1x", "NAME has to be a Python name, not '1x'."),
        ("run a.", "NAME has to be a Python name, not 'a.'. Did you mean a?"),
        ("resume t --id 3f", "--id says which question, but there is no answer EXPR."),
        ("resume t --new", "Unknown option --new."),
        ("resume", "%workflow resume needs THREAD."),
        ("fork", "%workflow fork needs RUN_OR_THREAD."),
        ("fork t", "%workflow fork needs --before CALL."),
        ("fork t --before", "--before needs a value: --before CALL"),
        ("threads t", "Unexpected 't'. Text with spaces needs quotes around it."),
        ("history a b", "Unexpected 'b'. Text with spaces needs quotes around it."),
        ("history --new", "Unknown option --new."),
        ("store 'a", "PATH: a quote in \"'a\" is not closed."),
    ],
)  # fmt: skip
def test_a_mistake_in_a_line_says_what_is_wrong_and_how_it_is_used(
    line: str, what: str
) -> None:
    lines = refused_line(line)

    assert lines[0] == what
    assert lines[1].startswith("Usage: %workflow ")
    assert lines[2].startswith("Help: %workflow ")


# Help.


@pytest.mark.parametrize(
    "line", ["-h", "--help", "review -i 5 --help", "-t x -h --new"]
)
def test_help_is_a_value_wherever_it_is_asked_for(line: str) -> None:
    answer = parse_cell_line(line)

    assert isinstance(answer, HelpCommand)
    assert answer.text.startswith("Usage: %%workflow")


@pytest.mark.parametrize("line", ["", "   ", "-h", "--help", "help", "help help"])
def test_the_line_magic_alone_lists_its_commands(line: str) -> None:
    answer = parse_line(line)

    assert isinstance(answer, HelpCommand)
    for name in (*arguments._COMMANDS, "%%workflow"):
        assert name in answer.text


@pytest.mark.parametrize("name", [*arguments._COMMANDS])
def test_each_command_explains_itself_in_two_ways(name: str) -> None:
    if name != "help":
        assert parse_line(f"{name} --help") == parse_line(f"help {name}")
    assert isinstance(parse_line(f"{name} -h"), HelpCommand)


@pytest.mark.parametrize(
    ("topic", "holds"),
    [
        ("cell", "Usage: %%workflow"),
        ("%%workflow", "Usage: %%workflow"),
        ("workflow", "Usage: %%workflow"),
        ("expressions", "EXPR is"),
        ("EXPR", "EXPR is"),
        ("answers", "NBFLOW_ANSWERS"),
        ("%run", "Usage: %workflow run NAME"),
    ],
)
def test_help_knows_its_topics(topic: str, holds: str) -> None:
    answer = parse_line(f"help {topic}")

    assert isinstance(answer, HelpCommand)
    assert holds in answer.text


def test_help_on_an_unknown_topic_names_the_nearest_and_all() -> None:
    what, topics = refused_line("help anwsers")

    assert what == "There is no help on 'anwsers'. Did you mean answers?"
    assert "run, resume" in topics


_GRAMMARS = [arguments._CELL, *(grammar for grammar, _ in arguments._COMMANDS.values())]


@pytest.mark.parametrize("grammar", _GRAMMARS, ids=lambda grammar: str(grammar.call))
def test_the_examples_of_a_command_are_understood(grammar: Any) -> None:
    assert grammar.examples
    for text in grammar.examples:
        magic, _, line = text.partition(" ")
        parse = parse_cell_line if magic == "%%workflow" else parse_line
        answer = parse(line)
        assert isinstance(answer, HelpCommand) is line.startswith("help")


@pytest.mark.parametrize("grammar", _GRAMMARS, ids=lambda grammar: str(grammar.call))
def test_help_names_each_option_once_and_fits_a_page(grammar: Any) -> None:
    text = explain(grammar)

    options = text.partition("Options:\n")[2].partition("\n\n")[0]
    for option in grammar.options:
        assert options.count(f"  {', '.join(option.flags)}") == 1
    assert all(len(line) <= 88 for line in text.splitlines())


def test_each_option_has_a_field_and_each_field_an_option() -> None:
    fields = {field.name for field in dataclasses.fields(CellOptions)}

    rows = {option.field for option in arguments._CELL.options}

    assert fields == {*rows, "name"}


def test_the_commands_are_a_closed_union_of_frozen_values() -> None:
    for kind in get_args(LineCommand):
        assert dataclasses.is_dataclass(kind)
        assert vars(kind)["__dataclass_params__"].frozen
        assert "__slots__" in vars(kind)


def test_reading_a_line_needs_no_ipython() -> None:
    source = inspect.getsource(arguments)

    assert "import IPython" not in source
    assert "from IPython" not in source
