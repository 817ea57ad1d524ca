"""`%%workflow` and `%workflow`: from words to the session, and back to the cell."""

from __future__ import annotations

import linecache
from typing import TYPE_CHECKING, Any, assert_never
from zlib import crc32

from IPython.core.displayhook import DisplayHook
from IPython.core.magic import (
    Magics,
    line_cell_magic,
    magics_class,
    no_var_expand,
)

from nbflow._engine.workflow import Workflow
from nbflow._values import UNSET
from nbflow.errors import UsageError
from nbflow.func import entrypoint
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
    SqlCommand,
    StoreCommand,
    ThreadsCommand,
)
from nbflow.magics.upkeep import keep_house
from nbflow.session import api
from nbflow.session.body import FinishedNames, compile_body, define
from nbflow.session.cells import (
    DefiningCell,
    WorkflowCell,
    cell_name,
    default_input,
    needs_input,
    parse_cell,
    register_source,
)
from nbflow.session.places import FOLDER, orphans
from nbflow.session.reports import pending_report
from nbflow.session.session import Beginning

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nbflow.magics.notebook import Notebook
    from nbflow.session.runs import RunHandle

__all__ = ["WorkflowMagics"]


@magics_class
class WorkflowMagics(Magics):
    """The magics of one shell.

    Parameters
    ----------
    shell : InteractiveShell
        IPython's.
    notebook : Notebook
        The shell with its session.
    """

    def __init__(self, shell: InteractiveShell, notebook: Notebook) -> None:
        super().__init__(shell)
        self.notebook = notebook

    @no_var_expand
    @line_cell_magic
    def workflow(self, line: str, cell: str | None = None) -> Any:
        """Run a cell as a durable workflow; see ``%workflow help``."""
        if cell is None:
            return run_line(self.notebook, parse_line(line))
        if line.strip() == "sql":
            return keep_house(SqlCommand(cell))
        options = parse_cell_line(line)
        if isinstance(options, HelpCommand):
            print(options.text)  # noqa: T201 - what was asked for
            return None
        value = run_cell(self.notebook, line, cell, options)
        # IPython's `output_can_be_silenced` would read SQL as Python, and hide it.
        ends = DisplayHook.semicolon_at_end_of_expression
        return None if ends(cell) else value  # type: ignore[no-untyped-call]


# A cell.


def run_cell(notebook: Notebook, line: str, cell: str, options: CellOptions) -> Any:
    """Define what a cell defines, and run the workflow that it is or holds.

    Returns
    -------
    Any
        The result, which is the cell's value.
    """
    shell = notebook.shell
    # The magic's own line stays, so that line numbers are those of the editor.
    body = shell.transform_cell(cell)  # type: ignore[no-untyped-call]
    # IPython strips blank lines at the top; they count in the editor too.
    blank = "\n" * (len(cell) - len(cell.lstrip("\n")))
    source = f"# %%workflow {line}\n{blank}{body}"
    filename = _named(shell, source)
    flags = shell.compile.flags
    try:
        parsed = parse_cell(
            source,
            filename=filename,
            name=options.name,
            default_name=cell_name(_cell_id(shell)),
            flags=flags,
        )
    except SyntaxError as error:
        raise _no_python(error) from None
    try:
        workflow, names = _workflow_of(notebook, parsed, flags)
    except BaseException as error:  # noqa: BLE001 - the user's, told as theirs
        raise notebook.shown(error) from None
    value = _input_of(notebook, workflow, options)
    if value is UNSET and options.resume is None:
        name = workflow.name
        print(  # noqa: T201 - the cell says what it did
            f"Defined workflow {name!r}. It needs an input: run the cell with "
            f"-i EXPR, or use %workflow run {name} -i EXPR."
        )
        return None
    return run(notebook, workflow, value, options, names)


def _no_python(error: SyntaxError) -> UsageError:
    # IPython would print a SyntaxError with every frame of ours around it.
    line = (error.text or "").rstrip()
    mark = " " * (max(error.offset or 1, 1) - 1) + "^"
    return UsageError(
        f"The cell is no Python: {error.msg} (line {error.lineno}).\n"
        f"    {line}\n    {mark}"
    )


def _named(shell: InteractiveShell, source: str) -> str:
    """Return the name of a cell's text, under which tracebacks find it.

    Not IPython's: that is a path in a temporary folder, other in each process, and
    a run's stored traceback would show it.
    """
    filename = f"<cell {shell.execution_count}>"
    if "".join(linecache.getlines(filename)).rstrip() not in ("", source.rstrip()):
        filename = f"<cell {shell.execution_count}, {crc32(source.encode()):08x}>"
    register_source(filename, source)
    numbers = getattr(shell.compile, "_filename_map", None)
    if isinstance(numbers, dict):  # private: without it, this name is printed
        numbers[filename] = shell.execution_count
    return filename


def _cell_id(shell: InteractiveShell) -> str | None:
    found = getattr(shell, "parent_header", None) or {}
    metadata = found.get("metadata") or {} if isinstance(found, dict) else {}
    cell_id = metadata.get("cellId")
    return cell_id if isinstance(cell_id, str) else None


def _workflow_of(
    notebook: Notebook, cell: DefiningCell | WorkflowCell, flags: int
) -> tuple[Workflow[Any, Any], list[FinishedNames]]:
    namespace = notebook.shell.user_ns
    match cell:
        case DefiningCell(name=name):
            define(cell, namespace, flags=flags)
            found = namespace.get(name)
            if not isinstance(found, Workflow):
                raise UsageError(
                    f"{name!r} is a {type(found).__name__}, not a workflow.\n"
                    "Decorate it with nbflow's entrypoint, as the outermost decorator."
                )
            return found, []
        case WorkflowCell():
            names: list[FinishedNames] = []
            body = compile_body(cell, namespace, flags=flags, on_return=names.append)
            return entrypoint()(body), names
        case _:
            assert_never(cell)


def _input_of(
    notebook: Notebook, workflow: Workflow[Any, Any], options: CellOptions
) -> Any:
    if options.input is not None:
        return notebook.value_of(options.input)
    function = workflow.definition.spec.func
    return UNSET if needs_input(function) else default_input(function)


def run(
    notebook: Notebook,
    workflow: Workflow[Any, Any],
    value: Any,
    options: CellOptions,
    names: list[FinishedNames],
) -> Any:
    """Begin or continue a run under its cell, and return its result."""
    session = notebook.session
    thread_id = options.thread or workflow.name
    stretch = notebook.stretch(options)
    notebook.wait_for_stopped(thread_id, options)
    notebook.leave(thread_id)
    if options.resume is not None:
        answer = notebook.value_of(options.resume)
        handle = session.answer_with(workflow, thread_id, answer, stretch)
    else:
        handle = session.begin(
            workflow,
            Beginning(thread_id, value, options.new, options.once, stretch),
        )
    _publish_at_end(notebook, handle, names, options.out)
    if handle.is_working or not options.once:
        notebook.show(handle, panel=options.panel)
    return notebook.finish(handle, options)


def _publish_at_end(
    notebook: Notebook, handle: RunHandle, names: list[FinishedNames], out: str | None
) -> None:
    namespace = notebook.shell.user_ns

    def publish(ended: RunHandle) -> None:
        found, value = ended.result()
        if not found:
            return
        if names:
            names[-1].publish(namespace)
        if out:
            namespace[out] = value

    handle.when_ended(publish)


# A line.


def run_line(notebook: Notebook, command: LineCommand) -> Any:
    """Do what a line says, and return what the cell shows."""
    match command:
        case RunCommand(name=name, options=options):
            return _run_by_name(notebook, name, options)
        case ResumeCommand():
            return _resume(notebook, command)
        case ForkCommand():
            return _fork(notebook, command)
        case CancelCommand(thread=thread):
            return _cancel(notebook, thread)
        case ThreadsCommand() | HistoryCommand() | PendingCommand() | ShowCommand():
            return _look(notebook, command)
        case StoreCommand(path=path):
            return _store(notebook, path)
        case HelpCommand(text=text):
            print(text)  # noqa: T201 - what was asked for
            return None
        case _:
            return keep_house(command)


def _look(
    notebook: Notebook,
    command: ThreadsCommand | HistoryCommand | PendingCommand | ShowCommand,
) -> Any:
    match command:
        case ThreadsCommand(limit=limit):
            return api.threads(limit)
        case HistoryCommand(thread=thread, limit=limit):
            found = notebook.session.find_run(thread)
            return api.history(found.thread_id, limit=limit)
        case PendingCommand(thread=thread):
            asked = notebook.session.pending()
            wanted = (q for q in asked if thread in (None, q.head.thread_id))
            return pending_report(wanted)
        case ShowCommand(target=target):
            return notebook.show_run(notebook.session.find_run(target))


def _run_by_name(notebook: Notebook, name: str, options: CellOptions) -> Any:
    session = notebook.session
    found = notebook.value_of(name) if "." in name else session.workflow(name)
    if not isinstance(found, Workflow):
        known = ", ".join(map(repr, session.workflow_names())) or "none"
        raise UsageError(
            f"{name!r} is not a workflow of this notebook. Defined here: {known}.\n"
            "Run the cell that defines it first."
        )
    value = _input_of(notebook, found, options)
    if value is UNSET and options.resume is None:
        raise UsageError(
            f"The workflow {name!r} needs an input.\n"
            f"Give it: %workflow run {name} -i EXPR"
        )
    return run(notebook, found, value, options, [])


def _resume(notebook: Notebook, command: ResumeCommand) -> Any:
    session, thread_id = notebook.session, command.thread
    stretch = notebook.stretch(command.options)
    notebook.wait_for_stopped(thread_id, command.options)
    notebook.leave(thread_id)
    if command.answer is None:
        handle: RunHandle | None = session.resume(thread_id, stretch)
    else:
        answer = notebook.value_of(command.answer)
        handle = session.answer(
            thread_id, {command.interrupt_id: answer}, by=stretch.by
        )
    if handle is None:
        _, head = session.find_thread(thread_id)
        print(  # noqa: T201 - the cell says what it did
            f"The answer is kept. Run the cell that defines {head.workflow!r} to go on."
        )
        return None
    return _followed(notebook, handle, command.options)


def _fork(notebook: Notebook, command: ForkCommand) -> Any:
    session = notebook.session
    result = UNSET if command.result is None else notebook.value_of(command.result)
    run = session.find_run(command.run)
    stretch = notebook.stretch(command.options)
    notebook.wait_for_stopped(run.thread_id, command.options)
    notebook.leave(run.thread_id)
    handle = session.fork(run, command.before, result, stretch)
    return _followed(notebook, handle, command.options)


def _followed(notebook: Notebook, handle: RunHandle, options: RunOptions) -> Any:
    """Show a run that goes on under the line's cell, and return its result."""
    _publish_at_end(notebook, handle, [], options.out)
    notebook.show(handle, panel=options.panel)
    return notebook.finish(handle, options)


def _cancel(notebook: Notebook, thread: str | None) -> None:
    stopped = notebook.session.stop(thread)
    if not stopped:
        which = "No run" if thread is None else f"No run of thread {thread!r}"
        raise UsageError(f"{which} is at work in this kernel.\nSee %workflow threads.")
    print(f"Asked to stop: {', '.join(stopped)}.")  # noqa: T201 - what it did


def _store(notebook: Notebook, path: str | None) -> None:
    session = notebook.session
    if path is not None:
        session.use_store(path)
    place = session.place
    print(f"{place.path}\n  {place.reason}")  # noqa: T201 - what was asked for
    if place.path.parent.name != FOLDER:
        return  # other databases there may be anybody's
    for found in orphans(place.path.parent):
        if found.path != place.path:
            print(f"  without a notebook: {found.path.name}  ({found.adopt})")  # noqa: T201
