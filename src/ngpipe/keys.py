"""The chain key: one digest of everything that a result depends on.

The key of a stage is the SHA-256 of [stage, its config section in canonical JSON, what the code of
its import closure does, the keys of the stages above, the content of the files that the section
names]. It stands in each rule's ``params``, names the checkpoint directory and is written into
every manifest.

What code does is said by :mod:`ngpipe.syntax`: comments, docstrings, formatting and annotations of
functions count for nothing. Needs the standard library only: Snakemake loads this for every job.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from keyword import iskeyword
from pathlib import Path

from ngpipe.errors import StaleError
from ngpipe.hashing import canonical, file_digest
from ngpipe.syntax import Code, Import, code_of

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
        drawn: modules that the step loads by name.
    """
    source = source_digest(step_module(stage), *drawn)
    content = [stage, section, source, list(above), [file_digest(f) for f in files]]
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def step_module(stage: str) -> str:
    """Module of a step: that of `import`, a word of Python's own, is ``import_``."""
    return f"ngpipe.steps.{stage}_" if iskeyword(stage) else f"ngpipe.steps.{stage}"


def source_digest(*modules: str) -> str:
    """SHA-256 over what all modules of a :func:`closure` do."""
    total = hashlib.sha256()
    for name in sorted(closure(*modules)):
        total.update(f"{name}\0{code(name).digest}\0".encode())
    return total.hexdigest()


def closure(*modules: str) -> frozenset[str]:
    """Names of all modules of ngpipe whose code may run when that of the given ones does.

    Modules that others import for annotations alone are left out: what runs is named in code. Of
    the given modules annotations count too, as they say what objects these are called with.

    Raises:
        StaleError: an import that cannot be followed.
    """
    return _reached(modules, lambda name: _run_by(name, called=name in modules))


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
def _run_by(module: str, *, called: bool) -> frozenset[str]:
    """Modules that the code of a module names, and of one that is called its annotations."""
    found = _named(module, annotations=called)
    for one in code(module).needed:
        for origin, name in _taken(one, code(module)):
            _refuse_lent(module, origin, name)
        if one.bound == "ngpipe" and _exists(one.module):  # what is looked up in it is not known
            found |= _named(one.module, annotations=True)
    return found


@cache
def _named(module: str, *, annotations: bool) -> frozenset[str]:
    """Modules of ngpipe that a module imports, with or without those for annotations alone."""
    found = code(module)
    imports = (*found.needed, *found.annotating) if annotations else found.needed
    names = (name for one in imports for name in (one.module, one.whole))
    return frozenset(name for name in names if _exists(name))


def _taken(one: Import, by: Code) -> Iterator[tuple[str, str]]:
    """Modules of ngpipe, with the names that code takes from them by an import."""
    if _exists(one.whole):
        yield from ((one.whole, name) for of, name in by.looked_up if of == one.bound)
    elif _exists(one.module):
        yield one.module, one.name


def _refuse_lent(module: str, origin: str, name: str) -> None:
    """A module cannot lend what it imports for its annotations: that would not count."""
    for lent in code(origin).annotating:
        if lent.bound == name and _exists(lent.module):
            raise StaleError(
                f"{module} takes {name} from {origin}, which imports it for annotations alone; "
                f"import it from {lent.module}"
            )


def path_of(module: str) -> Path:
    """File that holds the source of a module of ngpipe."""
    base = PACKAGE.joinpath(*module.split(".")[1:])
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


@cache
def _exists(module: str) -> bool:
    return module.split(".")[0] == "ngpipe" and path_of(module).is_file()


def forget() -> None:
    """Read all modules anew, as after one was edited."""
    for cached in (code, _run_by, _named, _exists):
        cached.cache_clear()
