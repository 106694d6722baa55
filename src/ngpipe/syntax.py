"""Source code in a form that is free of comments and formatting.

A syntax tree is written out without what changes no result:

- comments, formatting, docstrings and other strings that stand alone;
- the order of imports at the top of a module;
- annotations of arguments, returned values and variables of functions and modules. Those of a
  function count if it has a decorator that is not in :data:`UNREADING`, and those in the body of a
  class always do: pydantic and dataclasses read them;
- imports that serve annotations alone, and whatever stands under ``if TYPE_CHECKING``;
- ``description`` of a pydantic ``Field``, which help and documentation alone show.

All else counts: names, constants, messages of errors. The text is the same in every version of
Python that ngpipe runs on.
"""

import ast
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

UNREADING = {
    *("abstractmethod", "cache", "cached_property", "classmethod", "contextmanager"),
    *("getter", "overload", "override", "property", "setter", "staticmethod"),
}
"""Decorators that do not read annotations."""
_IMPLIED = {"ctx", "kind", "type_comment"}
"""Fields of nodes that say nothing which the rest of the tree does not."""
_PLAIN = {str, int, bool, type(None)}
"""Types of fields of nodes that are not nodes themselves."""
_IDLE = {ast.Expr, ast.Pass, ast.If}
"""Statements that may do nothing."""


@dataclass(frozen=True, order=True)
class Import:
    """A name that a module imports."""

    module: str
    name: str
    """Name of what is imported from the module; empty for the module itself."""
    bound: str
    """Its name in this module."""

    @property
    def whole(self) -> str:
        """Dotted name of the import: a module, or something in one."""
        return f"{self.module}.{self.name}" if self.name else self.module


@dataclass(frozen=True)
class Code:
    """A piece of source code: what it does, and the names it uses."""

    digest: str
    """SHA-256 of all that counts."""
    needed: tuple[Import, ...]
    """Imports that it uses when it runs."""
    annotating: tuple[Import, ...]
    """Imports that its annotations alone use."""
    looked_up: frozenset[tuple[str, str]]
    """Names, with what is looked up in them: ``("np", "sum")`` of ``np.sum``."""


def code_of(text: str | bytes) -> Code:
    """Read source code."""
    tree = ast.parse(text)
    top = [one for one in tree.body if isinstance(one, ast.Import | ast.ImportFrom)]
    at_top = [found for one in top for found in _imports(one)]
    tree.body = [one for one in tree.body if one not in top]
    reader = _Reader()
    reader.read(tree)
    every = [*at_top, *(one for one in reader.written if isinstance(one, Import))]
    alone = reader.annotating - reader.used
    annotating = {one for one in every if one.bound in alone}
    texts = [one if isinstance(one, str) else repr({one} - annotating) for one in reader.written]
    counted = sorted(map(repr, set(at_top) - annotating))
    return Code(
        hashlib.sha256("".join([*counted, *texts]).encode()).hexdigest(),
        tuple(one for one in every if one not in annotating),
        tuple(one for one in every if one in annotating),
        frozenset(reader.looked_up),
    )


class _Reader:
    """Writes a syntax tree out, and notes which names are used for what."""

    def __init__(self) -> None:
        self.written: list[str | Import] = []
        self.used: set[str] = set()
        self.annotating = {"TYPE_CHECKING"}
        self.looked_up: set[tuple[str, str]] = set()
        self._of_classes: set[ast.AnnAssign] = set()
        self._prepare: dict[type, Callable[[Any], ast.AST]] = {
            ast.FunctionDef: self._function,
            ast.AsyncFunctionDef: self._function,
            ast.ClassDef: self._class,
            ast.AnnAssign: self._annotated,
            ast.Assign: self._assign,
            ast.Attribute: self._attribute,
            ast.Call: self._call,
            ast.JoinedStr: self._joined,
        }

    def read(self, tree: ast.AST) -> None:
        """Write every node: its kind, and all of its fields that say something.

        A loop, as a call for each node would take most of the time.
        """
        waiting: list[Any] = [tree]
        while waiting:
            node = waiting.pop()
            kind = type(node)
            if kind in _PLAIN:
                self.written.append(f"{node},")
            elif kind is ast.Name:
                self.used.add(node.id)
                self.written.append(f"{node.id},")
            elif kind is ast.Constant:
                self.written.append(f"{type(node.value).__name__}:{node.value!a},")
            elif kind is ast.Import or kind is ast.ImportFrom:
                self.written.extend(_imports(node))
            else:
                node = self._prepare[kind](node) if kind in self._prepare else node
                waiting += reversed(_parts(node))

    def _function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef
    ) -> ast.FunctionDef | ast.AsyncFunctionDef:
        """A function without its annotations, unless a decorator may read them."""
        read = not all(_name(one) in UNREADING for one in node.decorator_list)
        of = node.args
        every = [*of.posonlyargs, *of.args, of.vararg, *of.kwonlyargs, of.kwarg]
        for one in [one for one in every if one is not None]:
            one.annotation = self._annotation(one.annotation, read=read)
        node.returns = self._annotation(node.returns, read=read)
        return node

    def _class(self, node: ast.ClassDef) -> ast.ClassDef:
        """A class as it is: whoever decorates or derives it may read its annotations."""
        inside: list[ast.AST] = list(node.body)
        while inside:
            one = inside.pop()
            if isinstance(one, ast.AnnAssign):
                self._of_classes.add(one)
            elif not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inside.extend(ast.iter_child_nodes(one))
        return node

    def _annotated(self, node: ast.AnnAssign) -> ast.AnnAssign | ast.Assign:
        """A variable of a function or module without its annotation."""
        read = node in self._of_classes
        self._annotation(node.annotation, read=read)
        return node if read else ast.Assign([node.target], node.value)  # type: ignore[arg-type]

    def _annotation(self, node: ast.expr | None, *, read: bool) -> ast.expr | None:
        """Note the names in an annotation, those in quotes as well; it is left if it is read."""
        for part in ast.walk(node) if node is not None else ():
            if isinstance(part, ast.Name):
                (self.used if read else self.annotating).add(part.id)
            elif isinstance(part, ast.Constant) and isinstance(part.value, str):
                self._annotation(_quoted(part.value), read=read)
        return node if read else None

    def _assign(self, node: ast.Assign) -> ast.Assign:
        """An assignment; what is listed in ``__all__`` is used, by others."""
        if [_name(target) for target in node.targets] == ["__all__"]:
            constants = (one for one in ast.walk(node.value) if isinstance(one, ast.Constant))
            self.used.update(str(one.value) for one in constants)
        return node

    def _attribute(self, node: ast.Attribute) -> ast.Attribute:
        if type(node.value) is ast.Name:
            self.looked_up.add((node.value.id, node.attr))
        return node

    def _call(self, node: ast.Call) -> ast.Call:
        """A call; of a ``Field`` without its description."""
        if node.keywords and _name(node.func) == "Field":
            for one in node.keywords:
                self._annotation(one.value if one.arg == "description" else None, read=False)
            node.keywords = [one for one in node.keywords if one.arg != "description"]
        return node

    def _joined(self, node: ast.JoinedStr) -> ast.JoinedStr:
        """An f-string: neighbouring texts as one, however this Python has cut them."""
        parts: list[ast.expr] = []
        for one in node.values:
            before = parts[-1] if parts else None
            if isinstance(one, ast.Constant) and isinstance(before, ast.Constant):
                parts.pop()
                one = ast.Constant(str(before.value) + str(one.value))
            parts.append(one)
        return ast.JoinedStr([one for one in parts if getattr(one, "value", None) != ""])


def _parts(node: ast.AST) -> list[object]:
    """Type of a node and its meaningful fields: nodes, names and numbers."""
    parts: list[object] = [f"{type(node).__name__}("]
    for field in node._fields:
        value = getattr(node, field, None)
        if type(value) is list:
            value = [one for one in value if type(one) not in _IDLE or not _idle(one)]
            parts += [f"{field}=[", *value, "]"] if value else ()
        elif value is not None and field not in _IMPLIED:
            parts += (f"{field}=", value)
    parts.append(")")
    return parts


def _idle(node: ast.stmt) -> bool:
    """True if a statement does nothing: strings, ``pass``, code only for type checkers."""
    if isinstance(node, ast.If):
        return _name(node.test) == "TYPE_CHECKING" and not node.orelse
    return isinstance(node, ast.Pass) or isinstance(getattr(node, "value", None), ast.Constant)


def _imports(node: ast.Import | ast.ImportFrom) -> Iterator[Import]:
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield Import(alias.name, "", alias.asname or alias.name.partition(".")[0])
        else:
            module = "." * node.level + (node.module or "")
            yield Import(module, alias.name, alias.asname or alias.name)


def _name(node: ast.expr) -> str:
    """Last part of a name; empty of what is none."""
    return getattr(node, "attr", getattr(node, "id", ""))


def _quoted(text: str) -> ast.expr | None:
    """An annotation in quotes; None if it is no expression, as the dimensions of an array."""
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return None
