"""The chain key: one digest of everything that a result depends on.

The key of a stage is the SHA-256 of [stage, its config section in canonical JSON, what the code
does that it may run (:func:`closure`), the keys of the stages above, the content of the files that
the section names]. It stands in each rule's ``params``, names the checkpoint directory and is
written into every manifest.

What code does is said by :mod:`ngpipe.syntax`: comments, docstrings, formatting and annotations of
functions count for nothing. Needs the standard library only: Snakemake loads this for every job.
"""

import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from keyword import iskeyword
from pathlib import Path

from ngpipe.errors import StaleError
from ngpipe.hashing import canonical, file_digest
from ngpipe.statements import Import
from ngpipe.syntax import Code, Part, code_of

PACKAGE = Path(__file__).parent
_HARMLESS = {"ngpipe.__main__", "ngpipe.backend"}
"""Modules that a process may load although no result depends on them; xarray loads the backend."""


def chain_key(
    stage: str,
    section: object,
    above: Iterable[str] = (),
    files: Iterable[Path] = (),
    drawn: Iterable[str] = (),
) -> str:
    """Key of a stage: 64 hexadecimal digits.

    Args:
        stage: name of the step, a module of ``ngpipe.steps``.
        section: the part of the config the stage reads, JSON-like.
        above: keys of the stages whose results it reads.
        files: files the section names, whose content counts.
        drawn: further roots of the code it runs, of modules that it loads by name.
    """
    source = source_digest(step_module(stage), *drawn)
    content = [stage, section, source, list(above), [file_digest(f) for f in files]]
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def step_module(stage: str) -> str:
    """Module of a step: that of `import`, a word of Python's own, is ``import_``."""
    return f"ngpipe.steps.{stage}_" if iskeyword(stage) else f"ngpipe.steps.{stage}"


@cache
def source_digest(*roots: str) -> str:
    """SHA-256 over what all code in a :func:`closure` does."""
    total = hashlib.sha256()
    for module, names in sorted(closure(*roots).items()):
        total.update(f"{module}\0{_digest(module, names)}\0".encode())
    return total.hexdigest()


def _digest(module: str, names: frozenset[str] | None) -> str:
    """Digest of what counts of a module: its parts that bind one of the names, or act."""
    found = code(module)
    if names is None:
        return found.digest
    parts = [one.digest for one in found.parts if one.acts or not names.isdisjoint(one.binds)]
    imports = sorted(repr(one) for one in found.at_top if one.bound in names | found.unused)
    return hashlib.sha256("".join([*imports, *parts]).encode()).hexdigest()


def closure(*roots: str) -> dict[str, frozenset[str] | None]:
    """Code of ngpipe that may run when that of the roots does: modules, and their names that count.

    None stands for all names. A module of which no name is used counts only if loading it does
    more than define names.

    What annotations alone name is left out: what runs is named in code. Of the roots annotations
    count too, as they say what objects these are called with.

    Args:
        *roots: modules, or names in them: ``ngpipe.figures.points:sweep``.

    Raises:
        StaleError: an import that cannot be followed.
    """
    following = _Following()
    for root in roots:
        module, _, name = root.partition(":")
        following.call(module, name)
    return following.counted()


def loaded_by(*modules: str) -> frozenset[str]:
    """Names of all modules of ngpipe that Python may load with the given ones."""
    return _reached(modules, lambda name: _named(name, annotations=True))


def check_closure(step: str, *drawn: str, loaded: Iterable[str]) -> None:
    """Fail if a process has loaded source of ngpipe that the key of its step does not know of.

    Args:
        step: name of the step, a module of ``ngpipe.steps``.
        *drawn: further modules that its key covers.
        loaded: names of the modules that were loaded with it.

    Raises:
        StaleError: naming the modules that escaped the analysis of imports.
    """
    covered = loaded_by(step_module(step), *drawn) | _HARMLESS
    escaped = {name for name in loaded if name.split(".")[0] == "ngpipe"} - covered
    if escaped:
        raise StaleError(
            f"step '{step}' loaded {sorted(escaped)}, which its key does not cover; import them "
            f"at the top of ngpipe/steps/{step}.py or of a module it imports"
        )


@cache
def code(module: str) -> Code:
    """Code of a module of ngpipe, without comments; read once per process.

    Raises:
        StaleError: it uses a relative import.
    """
    found = code_of(path_of(module).read_bytes())
    if any(one.module.startswith(".") for one in (*found.needed, *found.annotating)):
        raise StaleError(f"{module} uses a relative import; write it absolutely")
    return found


def _reached(modules: Iterable[str], imports: Callable[[str], Iterable[str]]) -> frozenset[str]:
    found, todo = set(), list(modules)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        todo.extend(imports(name))
        if "." in name:
            todo.append(name.rpartition(".")[0])
    return frozenset(found)


@cache
def _named(module: str, *, annotations: bool) -> frozenset[str]:
    """Modules of ngpipe that a module imports, with or without those for annotations alone."""
    found = code(module)
    imports = (*found.needed, *found.annotating) if annotations else found.needed
    names = (name for one in imports for name in (one.module, one.whole))
    return frozenset(name for name in names if _exists(name))


def _refuse_lent(module: str, origin: str, name: str) -> None:
    """A module cannot lend what it imports for its annotations: that would not count."""
    for lent in code(origin).annotating:
        if lent.bound == name and _exists(lent.module):
            raise StaleError(
                f"{module} takes {name} from {origin}, which imports it for annotations alone; "
                f"import it from {lent.module}"
            )


class _Following:
    """Follows names, from module to module, to all code that may run."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}
        """Names that are used, of every module that is loaded."""
        self._whole: set[str] = set()
        """Modules of which everything counts."""
        self._todo: list[tuple[str, str]] = []
        self._done: set[tuple[str, str]] = set()

    def counted(self) -> dict[str, frozenset[str] | None]:
        """Modules of which something counts, with its names."""
        found: dict[str, frozenset[str] | None] = {}
        for module, names in self._names.items():
            if module in self._whole:
                found[module] = None
            elif names or code(module).unused or any(part.acts for part in code(module).parts):
                found[module] = frozenset(names)
        return found

    def call(self, module: str, name: str) -> None:
        """Follow a root, with the types it is called with; without a name, all of a module."""
        self._todo.append((module, name))
        self._take_types(module, code(module).binding.get(name, ()) if name else code(module).parts)
        while self._todo:
            taken = self._todo.pop()
            if taken not in self._done:
                self._done.add(taken)
                self._take(*taken)

    def _take_types(self, module: str, parts: Iterable[Part]) -> None:
        """What annotations name is used too: of this module, and all of the modules of others."""
        named = frozenset().union(*(part.annotating for part in parts))
        self._todo += [(module, name) for name in named & code(module).binding.keys()]
        for one in (*code(module).needed, *code(module).annotating):
            if one.bound in named:
                self._todo += [(origin, "") for origin in _origins(one)]

    def _take(self, module: str, name: str) -> None:
        """A name is used: so is what gives it its value.

        Without a name all parts of the module are used; of a star, all that it imports as well.
        """
        self._load(module)
        found = code(module)
        parts, imports = found.binding.get(name, ()), found.imported.get(name, ())
        if name and _exists(f"{module}.{name}"):
            self._todo.append((f"{module}.{name}", "*"))
        elif not name or found.opaque or not (parts or imports):
            self._whole.add(module)
            parts, imports = found.parts, found.at_top if name else ()
        self._names[module].add(name)
        for part in parts:
            self._run(module, part)
        for one in imports:
            self._import(module, one)

    def _load(self, module: str) -> None:
        """A module is loaded: so is what it imports, and what acts in it runs."""
        waiting = [module]
        while waiting:
            one = waiting.pop()
            if one in self._names:
                continue
            self._names[one] = set()
            waiting += [one.rpartition(".")[0]] if "." in one else []
            waiting += (origin for at_top in code(one).at_top for origin in _origins(at_top))
            for part in code(one).parts:
                if part.acts:
                    self._run(one, part)

    def _run(self, module: str, part: Part) -> None:
        """A part of a module runs: follow all names it uses."""
        found = code(module)
        self._todo += [(module, name) for name in part.used & found.binding.keys()]
        names = part.used & found.imported.keys()
        self._names[module] |= names
        imports = [one for name in names for one in found.imported[name]]
        for one in (*imports, *part.imports):
            bare = one.bound in part.bare or (part.acts and one in part.imports)
            self._import(module, one, () if bare else part.looked_up)

    def _import(self, module: str, one: Import, looked_up: Iterable[tuple[str, str]] = ()) -> None:
        """An import is used: by what is looked up in it, or, if that is not known, in all ways."""
        if one.bound == "ngpipe" and _exists(one.module):
            self._todo.append((one.module, "*"))
            self._take_types(one.module, code(one.module).parts)
            return
        if _exists(one.whole):
            names = [(one.whole, name) for of, name in looked_up if of == one.bound]
            names = names or [(one.whole, "*")]
        else:
            names = [(one.module, one.name)] if _exists(one.module) else []
        for origin, name in names:
            _refuse_lent(module, origin, name)
        self._todo += names


def _origins(one: Import) -> list[str]:
    """Modules of ngpipe that an import loads."""
    return [name for name in (one.module, one.whole) if _exists(name)]


def path_of(module: str) -> Path:
    """File that holds the source of a module of ngpipe."""
    base = PACKAGE.joinpath(*module.split(".")[1:])
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


@cache
def _exists(module: str) -> bool:
    return module.split(".")[0] == "ngpipe" and path_of(module).is_file()


def forget() -> None:
    """Read all modules anew, as after one was edited."""
    for cached in (code, source_digest, _named, _exists):
        cached.cache_clear()
