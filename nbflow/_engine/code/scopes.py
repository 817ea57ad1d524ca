"""What a scope binds and how, and what it reads from outside.

Answers are about names in one tree; which values stand behind them, and which
of these count as code, is decided elsewhere.
"""

from __future__ import annotations

import ast
from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct, field

from nbflow._engine.code.syntax import Comprehension, Definition, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Bindings", "Chain", "bindings_of", "outside_reads", "stored_attributes"]

Chain: TypeAlias = tuple[str, ...]
"""A name, then the attributes read from it: `a.b.c` is ("a", "b", "c")."""

_Import: TypeAlias = tuple[str, str]

_Loop: TypeAlias = ast.For | ast.AsyncFor | ast.While


class Bindings(Struct, frozen=True):
    """How one scope binds its names.

    Attributes
    ----------
    once : frozenset of str
        Bound exactly once, by a plain assignment outside of loops or as a
        parameter.
    otherwise : frozenset of str
        Bound more often or in another way: a loop, `with`, `del`, `+=`, `:=`,
        `def`, `class`, `import`, an assignment that reads the name itself.
    imports : dict
        Names bound by one `from module import name` alone: module (with the dots
        of a relative import) and name.
    outer : frozenset of str
        Names that this scope declares `global` or `nonlocal`: not its own.
    inner_global, inner_nonlocal : frozenset of str
        Names that scopes inside declare so.
    """

    once: frozenset[str]
    otherwise: frozenset[str]
    imports: dict[str, _Import]
    outer: frozenset[str]
    inner_global: frozenset[str]
    inner_nonlocal: frozenset[str]

    @property
    def own(self) -> frozenset[str]:
        """The names that belong to the scope."""
        return (self.once | self.otherwise) - self.outer


class _Found(Struct):
    plain: Counter[str] = field(default_factory=Counter)
    otherwise: set[str] = field(default_factory=set)
    imports: Counter[tuple[str, _Import]] = field(default_factory=Counter)
    outer: set[str] = field(default_factory=set)
    inner_global: set[str] = field(default_factory=set)
    inner_nonlocal: set[str] = field(default_factory=set)

    def declared_inside(self, scope: ast.AST) -> None:
        for node in ast.walk(scope):
            if isinstance(node, ast.Global):
                self.inner_global.update(node.names)
            elif isinstance(node, ast.Nonlocal):
                self.inner_nonlocal.update(node.names)


def bindings_of(scope: Scope) -> Bindings:
    """Return how a scope binds its names.

    Parameters
    ----------
    scope : ast.AST
        A module, class, function, lambda or comprehension.

    Returns
    -------
    Bindings
        Of its own names only; scopes inside have theirs.
    """
    found = _Found()
    if isinstance(scope, Definition | ast.Lambda):
        found.plain.update(_parameters(scope.args))
    todo = [(node, False) for node in _own_nodes(scope)]
    while todo:
        node, looped = todo.pop()
        looped = looped or isinstance(node, _Loop)
        todo.extend((child, looped) for child in _bind(node, looped, found))
    imported = Counter(name for name, _ in found.imports.elements())
    imports = {
        name: origin
        for name, origin in found.imports
        if imported[name] == 1
        and name not in found.plain
        and name not in found.otherwise
    }
    once = {name for name, count in found.plain.items() if count == 1}
    others = found.otherwise | set(imported) | (found.plain.keys() - once)
    return Bindings(
        once=frozenset(once - others - found.outer),
        otherwise=frozenset(others),
        imports=imports,
        outer=frozenset(found.outer),
        inner_global=frozenset(found.inner_global),
        inner_nonlocal=frozenset(found.inner_nonlocal),
    )


def _parameters(arguments: ast.arguments) -> Iterator[str]:
    for argument in (
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        *filter(None, (arguments.vararg, arguments.kwarg)),
    ):
        yield argument.arg


def _own_nodes(scope: Scope) -> list[ast.AST]:
    if isinstance(scope, Comprehension):
        return [generator.target for generator in scope.generators]
    return list(scope.body) if isinstance(scope.body, list) else [scope.body]


def _bind(node: ast.AST, looped: bool, found: _Found) -> Iterable[ast.AST]:
    """Note what a node binds; return what is to be looked at inside of it."""
    inside: Iterable[ast.AST] = ()
    match node:
        case ast.Assign(targets=targets, value=value):
            inside = _assign(targets, value, looped, found)
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            inside = _assign([target], value, looped, found)
        case ast.AnnAssign(target=ast.Name(id=name)):
            found.plain[name] += 0  # makes it the scope's own, but binds nothing
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            found.otherwise.add(name)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            found.declared_inside(node)
            inside = _walrus_in(node)
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            found.otherwise.add(node.name)
            found.declared_inside(node)
        case ast.Lambda():
            pass
        case _:
            _bind_rarely(node, found)
            inside = ast.iter_child_nodes(node)
    return inside


def _bind_rarely(node: ast.AST, found: _Found) -> None:
    match node:
        case ast.Import(names=names):
            found.otherwise.update(
                alias.asname or alias.name.partition(".")[0] for alias in names
            )
        case ast.ImportFrom(module=module, names=names, level=level):
            origin = "." * level + (module or "")
            found.imports.update(
                (alias.asname or alias.name, (origin, alias.name)) for alias in names
            )
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            found.outer.update(names)
        case (
            ast.ExceptHandler(name=str() as name)
            | ast.MatchAs(name=str() as name)
            | ast.MatchStar(name=str() as name)
            | ast.MatchMapping(rest=str() as name)
        ):
            found.otherwise.add(name)
        case _:
            pass


def _assign(
    targets: list[ast.expr], value: ast.expr, looped: bool, found: _Found
) -> list[ast.AST]:
    read = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
    inside: list[ast.AST] = [value]
    todo = list(targets)
    while todo:
        match todo.pop():
            case ast.Name(id=name) if looped or name in read:
                found.otherwise.add(name)
            case ast.Name(id=name):
                found.plain[name] += 1
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                todo.extend(parts)
            case target:
                inside.append(target)
    return inside


def _walrus_in(node: ast.AST) -> Iterator[ast.AST]:
    # The targets of `:=` in a comprehension belong to the scope around it.
    for inside in ast.walk(node):
        if isinstance(inside, ast.NamedExpr):
            yield inside.target


def stored_attributes(tree: ast.Module) -> frozenset[str]:
    """Return the dotted names that any statement of a file or cell assigns to."""
    return frozenset(
        ".".join(chain)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
        if (chain := _chain(node)) is not None
    )


class _Around(Struct, frozen=True):
    """A scope inside of the one that is asked about."""

    own: frozenset[str]
    outer: frozenset[str]
    is_class: bool

    @classmethod
    def of(cls, scope: Scope) -> _Around:
        bindings = bindings_of(scope)
        return cls(bindings.own, bindings.outer, isinstance(scope, ast.ClassDef))


_Visit: TypeAlias = tuple[ast.AST, tuple[_Around, ...]]


def outside_reads(root: Scope) -> tuple[Chain, ...]:
    """Return the names that a scope reads and that nothing inside it binds.

    The root's own defaults, bases and (for a function) decorators are left out:
    they were evaluated when it was defined. So are annotations, but for those of
    a class.

    Parameters
    ----------
    root : ast.AST
        A function, lambda, class or module (as the body of one function).

    Returns
    -------
    tuple of tuple of str
        Each name with the attributes read from it, in order of first use.
    """
    found: dict[Chain, None] = {}
    todo: list[_Visit] = list(reversed(list(_enter(root, (), is_root=True))))
    while todo:
        node, around = todo.pop()
        chain = _chain(node)
        if chain is not None and not _is_bound(chain[0], around):
            found[chain] = None
        if chain is None:
            todo.extend(reversed(list(_visits(node, around))))
    return tuple(found)


def _chain(node: ast.AST) -> Chain | None:
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name) and (attributes or isinstance(node.ctx, ast.Load)):
        return (node.id, *reversed(attributes))
    return None


def _is_bound(name: str, around: tuple[_Around, ...]) -> bool:
    for depth, scope in enumerate(reversed(around)):
        if scope.is_class and depth:
            continue
        if name in scope.outer:
            # `nonlocal` may still name a scope inside the root.
            return any(name in more.own for more in around[: -1 - depth])
        if name in scope.own:
            return True
    return False


def _visits(node: ast.AST, around: tuple[_Around, ...]) -> Iterator[_Visit]:
    in_class = bool(around) and around[-1].is_class
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
            yield from _enter(node, around)
        case ast.ClassDef() | ast.ListComp() | ast.SetComp():
            yield from _enter(node, around)
        case ast.DictComp() | ast.GeneratorExp():
            yield from _enter(node, around)
        case ast.AugAssign(target=ast.Name(id=name), value=value):
            yield ast.Name(id=name, ctx=ast.Load()), around
            yield value, around
        case ast.AnnAssign(target=target, annotation=annotation, value=value):
            if in_class:
                yield annotation, around
            yield from ((part, around) for part in (target, value) if part is not None)
        case _:
            yield from ((child, around) for child in ast.iter_child_nodes(node))


def _enter(
    scope: Scope, around: tuple[_Around, ...], *, is_root: bool = False
) -> Iterator[_Visit]:
    inside = (*around, _Around.of(scope))
    if isinstance(scope, Comprehension):
        yield from _enter_comprehension(scope, around, inside)
        return
    if isinstance(scope, Definition | ast.Lambda) and not is_root:
        defaults = (*scope.args.defaults, *filter(None, scope.args.kw_defaults))
        yield from ((default, around) for default in defaults)
    if isinstance(scope, ast.ClassDef):
        bases = () if is_root else scope.bases
        yield from ((base, around) for base in bases)
        yield from ((keyword, around) for keyword in scope.keywords)
    if isinstance(scope, ast.ClassDef) or (
        isinstance(scope, Definition) and not is_root
    ):
        yield from ((decorator, around) for decorator in scope.decorator_list)
    body = scope.body if isinstance(scope.body, list) else [scope.body]
    yield from ((statement, inside) for statement in body)


def _enter_comprehension(
    scope: Comprehension, around: tuple[_Around, ...], inside: tuple[_Around, ...]
) -> Iterator[_Visit]:
    for index, generator in enumerate(scope.generators):
        yield generator.iter, inside if index else around
        yield from ((condition, inside) for condition in generator.ifs)
    parts = (
        (scope.key, scope.value) if isinstance(scope, ast.DictComp) else (scope.elt,)
    )
    yield from ((part, inside) for part in parts)
