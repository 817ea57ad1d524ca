"""What a workflow cell is, read from its text.

Either the cell defines functions decorated with `entrypoint`, or the cell itself
is the workflow. Nothing is run here, and nothing here knows of IPython: the text
is plain Python, its magics are already calls.
"""

from __future__ import annotations

import ast
import inspect
import io
import linecache
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from nbflow._engine.code.scopes import bindings_of, outside_reads
from nbflow._values import UNSET
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "Cell",
    "DefiningCell",
    "WorkflowCell",
    "cell_name",
    "default_input",
    "needs_input",
    "parse_cell",
    "register_source",
]

_Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_Binding: TypeAlias = (
    ast.Assign | ast.Import | ast.ImportFrom | _Definition | ast.ClassDef
)
_AWAITS = (ast.Await, ast.AsyncFor, ast.AsyncWith)


@dataclass(frozen=True, slots=True)
class DefiningCell:
    """A cell that defines workflows; its definitions stay in the notebook.

    Attributes
    ----------
    source : str
        The cell's text.
    filename : str
        What tracebacks call the cell.
    name : str
        The workflow that the cell runs: the one that was asked for, else the
        last.
    names : tuple of str
        All workflows that it defines, in order.
    has_default_input : bool
        Whether the first parameter of `name` has a default.
    tree : ast.Module
        The parsed text; not to be changed.
    """

    source: str
    filename: str
    name: str
    names: tuple[str, ...]
    has_default_input: bool
    tree: ast.Module = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class WorkflowCell:
    """A cell that is a workflow itself: its statements are one function's body.

    Attributes
    ----------
    source : str
        The cell's text.
    filename : str
        What tracebacks call the cell.
    name : str
        The workflow's name.
    reads_input : bool
        Whether the body reads `inputs` before it surely assigns it.
    is_async : bool
        Whether the body awaits.
    own_names : tuple of str
        The names that the body binds and that are its locals, sorted.
    notebook_names : tuple of str
        The names that it binds in the notebook itself, since a `global`
        statement in the cell or in a function of it says so; sorted.
    tree : ast.Module
        The parsed text; not to be changed.
    """

    source: str
    filename: str
    name: str
    reads_input: bool
    is_async: bool
    own_names: tuple[str, ...]
    notebook_names: tuple[str, ...]
    tree: ast.Module = field(repr=False, compare=False)


Cell: TypeAlias = DefiningCell | WorkflowCell


def parse_cell(
    source: str,
    *,
    filename: str,
    name: str | None = None,
    default_name: str = "cell",
    flags: int = 0,
) -> Cell:
    """Return what a cell is, without running it.

    Parameters
    ----------
    source : str
        The cell's text as plain Python. Give the magic's own line as a comment,
        and line numbers are those of the editor.
    filename : str
        What tracebacks call the cell.
    name : str, optional
        The workflow that is asked for. It picks one of those that the cell
        defines, or names the workflow that the cell is.
    default_name : str, default "cell"
        Name of a cell that is a workflow and was given none. It must not depend
        on the text, or an edited cell would begin another thread.
    flags : int, default 0
        Compiler flags, as those that IPython keeps from earlier cells.

    Returns
    -------
    DefiningCell or WorkflowCell
        The second where no top-level function has a decorator whose last name is
        ``entrypoint``.

    Raises
    ------
    SyntaxError
        The text is no Python; the error points at the cell's line.
    UsageError
        `name` is none of the workflows that the cell defines; or the cell is a
        workflow and has ``import *`` or ``yield`` outside of a function.

    Examples
    --------
    >>> parse_cell("answer = 6 * 7", filename="<cell>", name="sum").own_names
    ('answer',)
    """
    mode = flags | ast.PyCF_ONLY_AST
    tree = compile(source, filename, "exec", flags=mode, dont_inherit=True)
    if not isinstance(tree, ast.Module):  # pragma: no cover - mode "exec" gives one
        raise TypeError(tree)
    entrypoints = [node for node in tree.body if _is_entrypoint(node)]
    if entrypoints:
        return _defining(source, filename, name, entrypoints, tree)
    _refuse_what_no_body_can_hold(tree)
    bindings = bindings_of(tree)
    return WorkflowCell(
        source=source,
        filename=filename,
        name=name or default_name,
        reads_input=_reads_input(tree),
        is_async=any(_is_awaiting(node) for node in _own_nodes(tree)),
        own_names=tuple(sorted(bindings.own - bindings.inner_global)),
        notebook_names=tuple(
            sorted(bindings.outer | (bindings.own & bindings.inner_global))
        ),
        tree=tree,
    )


def cell_name(cell_id: str | None) -> str:
    """Return the name of a workflow cell that was given none.

    Parameters
    ----------
    cell_id : str or None
        The notebook's id of the cell, which stays when the cell is edited.

    Returns
    -------
    str
        A Python name; ``"cell"`` where there is no id.

    Examples
    --------
    >>> cell_name("9d2f-60ab-77")
    'cell_9d2f60ab'
    """
    kept = re.sub(r"[^0-9A-Za-z]", "", cell_id or "")
    return f"cell_{kept[:8]}" if kept else "cell"


def needs_input(workflow: Cell | Callable[..., Any]) -> bool:
    """Return whether a workflow can't begin without being given an input.

    Parameters
    ----------
    workflow : DefiningCell, WorkflowCell or callable
        A cell, or the function of a workflow.

    Returns
    -------
    bool
        False where the first parameter has a default, or where the cell that is
        the workflow does not read `inputs`.
    """
    match workflow:
        case DefiningCell(has_default_input=has_default):
            return not has_default
        case WorkflowCell(reads_input=reads):
            return reads
        case function:
            return default_input(function) is UNSET


def default_input(function: Callable[..., Any]) -> Any:
    """Return what a workflow begins with where no input is given.

    Parameters
    ----------
    function : callable
        The function of a workflow.

    Returns
    -------
    Any
        The default of the first parameter; `UNSET` where it has none.
    """
    for parameter in inspect.signature(function).parameters.values():
        is_empty = parameter.default is inspect.Parameter.empty
        return UNSET if is_empty else parameter.default
    return UNSET


def register_source(filename: str, source: str) -> None:
    """Let tracebacks and `inspect` find the text behind a file name.

    Parameters
    ----------
    filename : str
        The name that the code was compiled with.
    source : str
        Its text.
    """
    # Lines end where Python's parser ends them; str.splitlines knows more ends.
    lines = list(io.StringIO(source, newline=None))
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    linecache.cache[filename] = (len(source), None, lines, filename)


def _defining(
    source: str,
    filename: str,
    name: str | None,
    entrypoints: list[_Definition],
    tree: ast.Module,
) -> DefiningCell:
    by_name = {node.name: node for node in entrypoints}
    chosen = by_name.get(name or entrypoints[-1].name)
    if chosen is None:
        raise UsageError(
            f"This cell defines no workflow {name!r}; it defines "
            f"{', '.join(map(repr, by_name))}.\n"
            "Name one of these, or none to run the last."
        )
    positional = (*chosen.args.posonlyargs, *chosen.args.args)
    return DefiningCell(
        source=source,
        filename=filename,
        name=chosen.name,
        names=tuple(by_name),
        has_default_input=0 < len(positional) == len(chosen.args.defaults),
        tree=tree,
    )


def _is_entrypoint(node: ast.stmt) -> TypeGuard[_Definition]:
    return isinstance(node, _Definition) and any(
        _last_name(decorator) == "entrypoint" for decorator in node.decorator_list
    )


def _last_name(decorator: ast.expr) -> str:
    while isinstance(decorator, ast.Call):
        decorator = decorator.func
    match decorator:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _refuse_what_no_body_can_hold(tree: ast.Module) -> None:
    for node in _own_nodes(tree):
        match node:
            case ast.ImportFrom(names=[ast.alias(name="*")]):
                raise UsageError(
                    f"Line {node.lineno}: a workflow cell can't use "
                    f"{ast.unparse(node)!r}, which binds names that its text does "
                    "not show.\nImport the names that are used, or do it in a cell "
                    "without %%workflow."
                )
            case ast.Yield() | ast.YieldFrom():
                raise UsageError(
                    f"Line {node.lineno}: a workflow cell can't yield outside of a "
                    "function.\nReturn the result, or stream values with the writer "
                    "of nbflow.config.get_stream_writer()."
                )
            case _:
                pass


def _is_awaiting(node: ast.AST) -> bool:
    return isinstance(node, _AWAITS) or bool(getattr(node, "is_async", False))


def _own_nodes(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes that run when the cell's own statements run."""
    todo: list[ast.AST] = list(reversed(tree.body))
    while todo:
        node = todo.pop()
        yield node
        todo.extend(reversed(_run_with(node)))


def _run_with(node: ast.AST) -> list[ast.AST]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return [*node.decorator_list, *_defaults(node.args)]
        case ast.Lambda():
            return _defaults(node.args)
        case ast.ClassDef():
            return [*node.decorator_list, *node.bases, *node.keywords]
        case _:
            return list(ast.iter_child_nodes(node))


def _defaults(arguments: ast.arguments) -> list[ast.AST]:
    return [*arguments.defaults, *filter(None, arguments.kw_defaults)]


def _reads_input(tree: ast.Module) -> bool:
    for statement in tree.body:
        # As if it were another's, each read of it that no inner function binds
        # is a read from outside.
        seen = ast.Module([ast.Global(["inputs"]), statement], type_ignores=[])
        if any(chain[0] == "inputs" for chain in outside_reads(seen)):
            return True
        if "inputs" in _surely_bound(statement):
            return False
    return False


def _surely_bound(statement: ast.stmt) -> frozenset[str]:
    is_value = isinstance(statement, ast.AnnAssign) and statement.value is not None
    if isinstance(statement, _Binding) or is_value:
        return bindings_of(ast.Module([statement], type_ignores=[])).own
    return frozenset()
