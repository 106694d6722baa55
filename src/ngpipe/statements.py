"""What a statement of Python imports, binds and does."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

UNREADING = {
    *("abstractmethod", "cache", "cached_property", "classmethod", "contextmanager"),
    *("getter", "overload", "override", "property", "setter", "staticmethod"),
}
"""Decorators that do not read annotations."""
_DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IDLE = {ast.Expr, ast.Pass, ast.If}
"""Statements that may do nothing."""
_DECORATORS = UNREADING | {
    *("contextlib.contextmanager", "dataclass", "dataclass_transform", "field_validator"),
    *("model_validator", "parameters", "runtime_checkable", "torch.no_grad"),
}
"""Decorators that do nothing but to what they decorate."""
_MAKERS = {
    *("AfterValidator", "BeforeValidator", "ConfigDict", "Field", "NullKind"),
    *("PanelKind", "Path", "Result", "Schema", "StringConstraints", "TypeVar"),
    *("Variable", "field", "float", "frozenset", "np.append", "np.arange", "np.cos", "np.sin"),
    *("np.sqrt", "re.compile", "sorted", "tuple", "unit"),
}
"""Calls that do nothing but return a value."""


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


def imports_of(node: ast.Import | ast.ImportFrom) -> Iterator[Import]:
    """The names that a statement imports."""
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield Import(alias.name, "", alias.asname or alias.name.partition(".")[0])
        else:
            module = "." * node.level + (node.module or "")
            yield Import(module, alias.name, alias.asname or alias.name)


def working(nodes: list) -> list:
    """Nodes, or values of a field, without those that do nothing."""
    return [one for one in nodes if type(one) not in _IDLE or not _idle(one)]


def _idle(node: ast.stmt) -> bool:
    """True if a statement does nothing: strings, ``pass``, code only for type checkers."""
    if isinstance(node, ast.If):
        return name_of(node.test) == "TYPE_CHECKING" and not node.orelse
    return isinstance(node, ast.Pass) or isinstance(getattr(node, "value", None), ast.Constant)


def bound_by(statement: ast.stmt) -> Iterator[str]:
    """Names that a statement gives values to; of a compound one also names within functions."""
    if isinstance(statement, _DEFINITION):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (one.bound for one in imports_of(node))
        elif isinstance(node, (*_DEFINITION, ast.ExceptHandler)):
            yield node.name or ""


def acts(statement: ast.stmt) -> bool:
    """True if a statement may do more than give names their values; in doubt, it may."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        of = statement.args
        return _decorated(statement) or any(map(_calls, [*of.defaults, *of.kw_defaults]))
    if isinstance(statement, ast.ClassDef):
        made = statement.keywords or any(map(_calls, statement.bases))
        return bool(made) or _decorated(statement) or any(map(acts, working(statement.body)))
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return not all(map(_plain, targets)) or _calls(statement.value)
    return True


def _decorated(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """True if a decorator may do more than change what it decorates."""
    names = (_dotted(getattr(one, "func", one)) for one in node.decorator_list)
    return not all(name in _DECORATORS or name.endswith(".setter") for name in names)


def _plain(target: ast.expr) -> bool:
    """True of a name, or several."""
    return isinstance(target, ast.Name) or (
        isinstance(target, ast.Tuple) and all(map(_plain, target.elts))
    )


def _calls(node: ast.expr | None) -> bool:
    """True if computing a value calls what is not known to do nothing else."""
    waiting: list[ast.AST] = [node] if node is not None else []
    while waiting:
        one = waiting.pop()
        if isinstance(one, ast.Call) and _dotted(one.func) not in _MAKERS:
            return True
        if isinstance(one, ast.NamedExpr | ast.Await):
            return True
        waiting.extend(_outside(one))
    return False


def _outside(node: ast.AST) -> Iterator[ast.AST]:
    """Parts of an expression that are computed with it: not what a lambda returns."""
    return ast.iter_child_nodes(node.args if isinstance(node, ast.Lambda) else node)


def _dotted(node: ast.AST) -> str:
    """A name with its dots; empty of what is none."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def name_of(node: ast.expr) -> str:
    """Last part of a name; empty of what is none."""
    return getattr(node, "attr", getattr(node, "id", ""))
