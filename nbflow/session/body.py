"""A cell's text as code: definitions for the notebook, or one function's body.

The function stands over the notebook's own namespace. What its statements bind
is its own until the run has finished, so that a body that is run again begins
from what the notebook held, not from what an unfinished run had half done.
Nothing here knows of IPython, or of what runs the function.
"""

from __future__ import annotations

import ast
import builtins
import copy
import sys
from dataclasses import dataclass, field
from types import CodeType, FunctionType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

from nbflow._engine.code.scopes import bindings_of
from nbflow.session.cells import DefiningCell, WorkflowCell, register_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["FinishedNames", "compile_body", "define"]

_FACTORY: Final = "__nbflow_factory__"
_BODY: Final = "__nbflow_body__"
_BEGIN: Final = "__nbflow_begin__"
_NAMES: Final = "__nbflow_names__"
_INSIDE: Final = f"{_FACTORY}.<locals>.{_BODY}"
_PARAMETERS: Final = frozenset({"inputs", "previous"})
_Comprehension = TypeVar(
    "_Comprehension", ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp
)
_THROWN_AWAY: Final = frozenset({"_", "__", "___"})


@dataclass(frozen=True, slots=True)
class FinishedNames:
    """What a body that has returned leaves to the notebook.

    Attributes
    ----------
    bound : dict
        Names and values that differ from what the body began with, sorted by
        name.
    deleted : tuple of str
        Names that the body deleted.
    """

    bound: Mapping[str, Any]
    deleted: tuple[str, ...] = ()

    def publish(self, namespace: dict[str, Any]) -> None:
        """Write the names into a notebook's namespace.

        Parameters
        ----------
        namespace : dict
            The notebook's variables.
        """
        namespace.update(self.bound)
        for name in self.deleted:
            namespace.pop(name, None)


def define(cell: DefiningCell, namespace: dict[str, Any], *, flags: int = 0) -> None:
    """Run a defining cell's statements in the notebook, as a plain cell would.

    Parameters
    ----------
    cell : DefiningCell
        The cell.
    namespace : dict
        The notebook's variables.
    flags : int, default 0
        Compiler flags, as those that IPython keeps from earlier cells.

    Raises
    ------
    SyntaxError
        The text is no module: it awaits or returns outside of a function.
    """
    register_source(cell.filename, cell.source)
    exec(_compiled(cell.tree, cell, flags), namespace)  # noqa: S102 - the user's cell


def compile_body(
    cell: WorkflowCell,
    namespace: dict[str, Any],
    *,
    flags: int = 0,
    on_return: Callable[[FinishedNames], object] | None = None,
) -> Callable[..., Any]:
    """Return a workflow cell as a function ``(inputs, *, previous=None)``.

    The value of a top-level `return`, or of the last statement where that is an
    expression (a ``;`` after it hides it, and does not change it), is the result.
    Otherwise the result is None.

    * Names that the cell binds are locals of the function, seen by the functions
      defined in it as closures. One that exists in the notebook, or is built in,
      begins with that value, read whenever the body begins.
    * Functions, classes and imports are written into the notebook when their
      statement is executed. Other names are left to it when the body has
      returned; an error or an interrupt leaves nothing.
    * So with ``n = n + 1`` in the cell, a run that stopped and is continued runs
      its body again from the first line and begins from the same ``n``: it ends
      one higher, however often it was continued. Only another cell that sets
      ``n`` in between changes that.
    * A name that a `global` statement in the cell, or in a function of it,
      declares is the notebook's own variable, written at once.
    * Names that the cell only reads are looked up in the notebook when they are
      used. `inputs` and `previous` are the run's own. ``_`` is thrown away.

    Line magics work on the notebook's variables; they don't see the cell's own.

    Parameters
    ----------
    cell : WorkflowCell
        The cell.
    namespace : dict
        The notebook's variables; the function's globals.
    flags : int, default 0
        Compiler flags, as those that IPython keeps from earlier cells.
    on_return : callable, optional
        Given the names to leave to the notebook, in the context of the run, when
        the body has returned; its caller publishes them once the run has
        finished. By default they are published at once.

    Returns
    -------
    callable
        A plain or an async function, named like the cell. Its `inputs` has the
        default ``{}`` where the cell does not need one. ``__nbflow_source__`` is
        the cell's text, which is also what tracebacks and `inspect` find.

    Raises
    ------
    SyntaxError
        A statement can't stand where it stands, as a `break` outside of a loop.
    """

    def publish(names: FinishedNames) -> None:
        names.publish(namespace)

    def begin() -> _Names:
        return _Names(namespace, cell.own_names, on_return or publish)

    register_source(cell.filename, cell.source)
    code = _unnested(_compiled(_factory(cell), cell, flags), cell.name)
    made: dict[str, Any] = {}
    exec(code, namespace, made)  # noqa: S102 - the user's cell
    body: FunctionType = made[_FACTORY](begin)
    body.__nbflow_source__ = cell.source  # type: ignore[attr-defined] # for readers
    return body


@dataclass(slots=True)
class _Names:
    """The names that one use of a body binds, from its first line to its return."""

    namespace: dict[str, Any]
    own: tuple[str, ...]
    on_return: Callable[[FinishedNames], object]
    start: dict[str, Any] = field(default_factory=dict)
    known: dict[str, Any] = field(default_factory=dict)

    here: ClassVar = locals  # of its caller, whatever the notebook calls `locals`

    def __enter__(self) -> Self:
        for name in self.own:
            if name in _PARAMETERS:
                continue
            if name in self.namespace:
                self.start[name] = self.namespace[name]
            elif hasattr(builtins, name):
                self.start[name] = getattr(builtins, name)
        self.known.update(self.start)
        return self

    def publish(self, name: str, value: Any) -> None:
        self.namespace[name] = self.known[name] = value

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            # The caller is the body. What it returns may stand inside of a `try`
            # whose `finally` still binds names, so no statement of it is the last.
            self.on_return(self._finished(sys._getframe(1).f_locals))  # noqa: SLF001

    def _finished(self, found: Mapping[str, Any]) -> FinishedNames:
        unset = object()
        own = [name for name in self.own if name not in _THROWN_AWAY]
        return FinishedNames(
            bound={
                name: found[name]
                for name in own
                if name in found and found[name] is not self.known.get(name, unset)
            },
            deleted=tuple(
                name for name in own if name in self.known and name not in found
            ),
        )


def _compiled(
    tree: ast.Module, cell: DefiningCell | WorkflowCell, flags: int
) -> CodeType:
    try:
        code: CodeType = compile(
            tree, cell.filename, "exec", flags=flags, dont_inherit=True
        )
    except SyntaxError as error:
        lines = cell.source.splitlines()
        if error.text is None and error.lineno and error.lineno <= len(lines):
            error.text = lines[error.lineno - 1]
        raise
    return code


def _factory(cell: WorkflowCell) -> ast.Module:
    """Return a module whose one function makes the body."""
    cell_tree = copy.deepcopy(cell.tree)
    future, statements = _split_future(cell_tree.body)
    prefix = "async " if cell.is_async else ""
    default = "" if cell.reads_input else "={}"
    shared = [name for name in cell.notebook_names if name not in _PARAMETERS]
    module = ast.parse(
        f"def {_FACTORY}({_BEGIN}):\n"
        f" {prefix}def {_BODY}(inputs{default}, *, previous=None):\n"
        f"  {'global ' + ', '.join(shared) if shared else 'pass'}\n"
        f"  with {_BEGIN}() as {_NAMES}:\n"
        f"   pass\n"
        f" return {_BODY}\n"
    )
    first = ast.Pass(lineno=1, col_offset=0, end_lineno=1, end_col_offset=0)
    _place(module.body, first)
    rewritten = _Rewriter(cell).visit(ast.Module(_returning(statements), []))
    inside = [*_beginnings(cell.own_names, first), *rewritten.body]
    for node in ast.walk(module):
        if isinstance(node, ast.With):
            node.body = inside or node.body
            break
    module.body[:0] = future
    return module


def _split_future(body: list[ast.stmt]) -> tuple[list[ast.stmt], list[ast.stmt]]:
    # They count for the whole text and may only stand at its top, which is no
    # longer there once the statements are a function's.
    start = 1 if body and _is_text(body[0]) else 0
    stop = start
    while stop < len(body) and _is_future(body[stop]):
        stop += 1
    return body[start:stop], body[:start] + body[stop:]


def _is_text(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case _:
            return False


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _returning(statements: list[ast.stmt]) -> list[ast.stmt]:
    match statements:
        case [*before, ast.Expr(value=value) as last]:
            return [*before, ast.copy_location(ast.Return(value), last)]
        case _:
            return statements


def _beginnings(own_names: Iterable[str], place: ast.stmt) -> list[ast.stmt]:
    text = "\n".join(
        f"if {name!r} in {_NAMES}.start: {name} = {_NAMES}.start[{name!r}]"
        for name in own_names
        if name not in _PARAMETERS
    )
    return _place(ast.parse(text).body, place)


def _place(statements: list[ast.stmt], place: ast.stmt) -> list[ast.stmt]:
    for statement in statements:
        for node in ast.walk(statement):
            ast.copy_location(node, place)
    return statements


class _Rewriter(ast.NodeTransformer):
    """Makes statements of a cell those of a function, with the same meaning."""

    def __init__(self, cell: WorkflowCell) -> None:
        self._cell = cell

    def visit_FunctionDef(self, node: ast.FunctionDef) -> list[ast.stmt]:
        return _publishing(node, [node.name])

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> list[ast.stmt]:
        return _publishing(node, [node.name])

    def visit_ClassDef(self, node: ast.ClassDef) -> list[ast.stmt]:
        _ClassReads(frozenset(self._cell.own_names)).visit(node)
        return _publishing(node, [node.name])

    def visit_Import(self, node: ast.Import) -> list[ast.stmt]:
        return _publishing(node, _imported(node))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
        return _publishing(node, _imported(node))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        # Python refuses annotations of names that a function declares global.
        target = node.target
        if isinstance(target, ast.Name) and target.id in self._cell.notebook_names:
            if node.value is None:
                return ast.copy_location(ast.Pass(), node)
            plain = ast.Assign(targets=[target], value=node.value)
            return ast.copy_location(plain, node)
        return node


class _ClassReads(ast.NodeTransformer):
    """Lets a class read the cell's own name before it binds one like it.

    In a function Python would look for the `limit` after the colon of
    ``limit: int = limit`` in the notebook only.
    """

    def __init__(self, own: frozenset[str]) -> None:
        self._own = own
        self._shadowed: frozenset[str] = frozenset()

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self._visit_all(node.decorator_list, node.bases, node.keywords)
        around = self._shadowed
        # Names with two leading underscores are other names inside of a class.
        bound = {name for name in bindings_of(node).own if name[:2] != "__"}
        self._shadowed = self._own & bound
        self.generic_visit(ast.Module(node.body, type_ignores=[]))
        self._shadowed = around
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self._visit_all(node.decorator_list, node.args.defaults, node.args.kw_defaults)
        return node

    def visit_AsyncFunctionDef(
        self, node: ast.AsyncFunctionDef
    ) -> ast.AsyncFunctionDef:
        self._visit_all(node.decorator_list, node.args.defaults, node.args.kw_defaults)
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.Lambda:
        self._visit_all(node.args.defaults, node.args.kw_defaults)
        return node

    def visit_ListComp(self, node: ast.ListComp) -> ast.ListComp:
        return self._outermost(node)

    def visit_SetComp(self, node: ast.SetComp) -> ast.SetComp:
        return self._outermost(node)

    def visit_DictComp(self, node: ast.DictComp) -> ast.DictComp:
        return self._outermost(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.GeneratorExp:
        return self._outermost(node)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self._shadowed and isinstance(node.ctx, ast.Load):
            return self._read(node)
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> list[ast.stmt]:
        node.value = self.visit(node.value)
        target = node.target
        if not isinstance(target, ast.Name):
            node.target = self.visit(target)
        elif target.id in self._shadowed:
            first = ast.Assign(targets=[target], value=self._read(target))
            return [ast.copy_location(first, node), node]
        return [node]

    def _read(self, node: ast.Name) -> ast.expr:
        text = f"{node.id} if {node.id!r} in {_NAMES}.here() else (lambda: {node.id})()"
        read = ast.parse(text, mode="eval").body
        for part in ast.walk(read):
            ast.copy_location(part, node)
        return read

    def _outermost(self, node: _Comprehension) -> _Comprehension:
        # Only the first iterable is evaluated in the class.
        node.generators[0].iter = self.visit(node.generators[0].iter)
        return node

    def _visit_all(self, *parts: list[Any]) -> None:
        for part in parts:
            part[:] = [node and self.visit(node) for node in part]


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    return [alias.asname or alias.name.partition(".")[0] for alias in node.names]


def _publishing(node: ast.stmt, names: list[str]) -> list[ast.stmt]:
    text = "\n".join(f"{_NAMES}.publish({name!r}, {name})" for name in names)
    return [node, *_place(ast.parse(text).body, node)]


def _unnested(code: CodeType, name: str) -> CodeType:
    """Return code that names what it defines as a module would.

    A class whose qualified name ends in ``<locals>`` can't be found again in the
    notebook by those who look it up by name.
    """
    is_body = code.co_qualname == _INSIDE
    return code.replace(
        co_name=name if is_body else code.co_name,
        co_qualname=name if is_body else _outside(code.co_qualname),
        co_consts=tuple(
            _unnested(part, name)
            if isinstance(part, CodeType)
            else _outside(part)
            if isinstance(part, str)
            else part
            for part in code.co_consts
        ),
    )


def _outside(qualified_name: str) -> str:
    return qualified_name.removeprefix(f"{_INSIDE}.<locals>.")
