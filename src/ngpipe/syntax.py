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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from ngpipe.statements import UNREADING, Import, acts, bound_by, imports_of, name_of, working

_IMPLIED = {"ctx", "kind", "type_comment"}
"""Fields of nodes that say nothing which the rest of the tree does not."""
_PLAIN = {str, int, bool, type(None)}
"""Types of fields of nodes that are not nodes themselves."""
_OPAQUE = {"__builtins__", "__getattr__", "__import__", "eval", "exec", "globals", "locals", "vars"}
"""Names by which code may use others that it does not spell."""


@dataclass(frozen=True)
class Part:
    """A statement at the top of a module: what it does, binds and uses."""

    digest: str
    """SHA-256 of all that counts."""
    binds: frozenset[str]
    """Names of the module that it gives a value."""
    acts: bool
    """True if loading it may do more than give names their values."""
    used: frozenset[str]
    """Names that it uses when it runs."""
    bare: frozenset[str]
    """Those of them that are not only used to look something up in them."""
    looked_up: frozenset[tuple[str, str]]
    """Names, with what is looked up in them: ``("np", "sum")`` of ``np.sum``."""
    annotating: frozenset[str]
    """Names that its annotations use."""
    imports: tuple[Import, ...]
    """Imports within it, other than for annotations."""


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
    parts: tuple[Part, ...]
    """Its statements other than imports, in order."""
    at_top: tuple[Import, ...]
    """Imports at its top, other than for annotations."""

    @cached_property
    def opaque(self) -> bool:
        """True if its names may be used in ways that its text does not show."""
        used = self._used.union(self.binding)
        return any(one.name == "*" for one in self.needed) or not used.isdisjoint(_OPAQUE)

    @cached_property
    def binding(self) -> Mapping[str, Sequence[Part]]:
        """The parts that give each name its value."""
        found: dict[str, list[Part]] = {}
        for part in self.parts:
            for name in part.binds:
                found.setdefault(name, []).append(part)
        return found

    @cached_property
    def imported(self) -> Mapping[str, Sequence[Import]]:
        """The imports at its top that give each name its value."""
        found: dict[str, list[Import]] = {}
        for one in self.at_top:
            found.setdefault(one.bound, []).append(one)
        return found

    @cached_property
    def unused(self) -> frozenset[str]:
        """Names it imports at its top for what loading does, as no part uses them."""
        return frozenset(self.imported.keys() - self._used)

    @cached_property
    def _used(self) -> frozenset[str]:
        return frozenset().union(*(part.used for part in self.parts))


def code_of(text: str | bytes) -> Code:
    """Read source code."""
    tree = ast.parse(text)
    top = [one for one in tree.body if isinstance(one, ast.Import | ast.ImportFrom)]
    at_top = [found for one in top for found in imports_of(one)]
    statements = [one for one in working(tree.body) if one not in top]
    readers = [_Reader.of(one) for one in statements]
    used = set().union(*(reader.used for reader in readers))
    alone = set().union({"TYPE_CHECKING"}, *(reader.annotating for reader in readers)) - used
    within = [one for reader in readers for one in reader.imports]
    every = [*at_top, *within]
    annotating = {one for one in every if one.bound in alone}
    parts = tuple(map(partial(_part, annotating), statements, readers))
    counted = sorted(map(repr, set(at_top) - annotating))
    return Code(
        _sha256(*counted, *(part.digest for part in parts)),
        tuple(one for one in every if one not in annotating),
        tuple(one for one in every if one in annotating),
        frozenset().union(*(part.looked_up for part in parts)),
        parts,
        tuple(one for one in at_top if one not in annotating),
    )


def _part(annotating: set[Import], statement: ast.stmt, reader: "_Reader") -> Part:
    """A statement that was read; imports for annotations count for nothing."""
    texts: Iterable[Any] = reader.written
    if reader.imports:
        texts = (one if isinstance(one, str) else repr({one} - annotating) for one in texts)
    return Part(
        _sha256(*texts),
        frozenset(bound_by(statement)),
        acts(statement),
        frozenset(reader.used),
        frozenset(reader.bare),
        frozenset(reader.looked_up),
        frozenset(reader.annotating),
        tuple(one for one in reader.imports if one not in annotating),
    )


def _sha256(*texts: str) -> str:
    return hashlib.sha256("".join(texts).encode()).hexdigest()


class _Reader:
    """Writes a syntax tree out, and notes which names are used for what."""

    def __init__(self) -> None:
        self.written: list[str | Import] = []
        self.imports: list[Import] = []
        self.used: set[str] = set()
        self.bare: set[str] = set()
        self.annotating: set[str] = set()
        self.looked_up: set[tuple[str, str]] = set()
        self._of_classes: set[ast.AnnAssign] = set()
        self._prepare: dict[type, Callable[[Any], ast.AST]] = {
            ast.FunctionDef: self._function,
            ast.AsyncFunctionDef: self._function,
            ast.ClassDef: self._class,
            ast.AnnAssign: self._annotated,
            ast.Assign: self._assign,
            ast.Call: self._call,
            ast.JoinedStr: self._joined,
        }

    @classmethod
    def of(cls, tree: ast.AST) -> "_Reader":
        """Read a tree."""
        reader = cls()
        reader.read(tree)
        return reader

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
                self.bare.add(node.id)
                self.written.append(f"{node.id},")
            elif kind is ast.Attribute and type(node.value) is ast.Name:
                self.used.add(node.value.id)
                self.looked_up.add((node.value.id, node.attr))
                self.written.append(f"{node.value.id}.{node.attr},")
            elif kind is ast.Constant:
                self.written.append(f"{type(node.value).__name__}:{node.value!a},")
            elif kind is ast.Import or kind is ast.ImportFrom:
                found = list(imports_of(node))
                self.written += found
                self.imports += found
            else:
                node = self._prepare[kind](node) if kind in self._prepare else node
                waiting += reversed(_parts(node))

    def _function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef
    ) -> ast.FunctionDef | ast.AsyncFunctionDef:
        """A function without its annotations, unless a decorator may read them."""
        read = not all(name_of(one) in UNREADING for one in node.decorator_list)
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
                self.bare.update({part.id} if read else ())
            elif isinstance(part, ast.Constant) and isinstance(part.value, str):
                self._annotation(_quoted(part.value), read=read)
        return node if read else None

    def _assign(self, node: ast.Assign) -> ast.Assign:
        """An assignment; what is listed in ``__all__`` is used, by others."""
        if [name_of(target) for target in node.targets] == ["__all__"]:
            constants = (one for one in ast.walk(node.value) if isinstance(one, ast.Constant))
            listed = {str(one.value) for one in constants}
            self.used |= listed
            self.bare |= listed
        return node

    def _call(self, node: ast.Call) -> ast.Call:
        """A call; of a ``Field`` without its description."""
        if node.keywords and name_of(node.func) == "Field":
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
            value = working(value)
            parts += [f"{field}=[", *value, "]"] if value else ()
        elif value is not None and field not in _IMPLIED:
            parts += (f"{field}=", value)
    parts.append(")")
    return parts


def _quoted(text: str) -> ast.expr | None:
    """An annotation in quotes; None if it is no expression, as the dimensions of an array."""
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return None
