"""What a result depends on, as one digest: the chain key.

The key of a stage is the SHA-256 of [stage, its config section in canonical JSON, the content of
the files that section names, the source of the stage's import closure, the keys of the stages
above]. It stands in each rule's ``params``, names the checkpoint directory and is written into
every manifest. Snakemake parses this module for every job, so it needs the standard library only.
"""

import ast
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from ngpipe.errors import StaleError

PACKAGE = Path(__file__).parent
STAMP = ".snakemake_timestamp"
"""What Snakemake puts into a directory that a rule makes."""


def canonical(section: object) -> str:
    """Canonical JSON: sorted keys, no spaces; the same text for the same content."""
    return json.dumps(section, sort_keys=True, separators=(",", ":"), allow_nan=False)


def chain_key(
    stage: str, section: object, above: Iterable[str] = (), files: Iterable[Path] = ()
) -> str:
    """Key of a stage: 64 hexadecimal digits.

    Args:
        stage: name of the step, a module of ``ngpipe.steps``.
        section: the part of the config the stage reads, JSON-like.
        above: keys of the stages whose results it reads.
        files: files the section names, whose content counts.
    """
    content = [stage, section, source_digest(stage), list(above), [file_digest(f) for f in files]]
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, or of all files of a directory with their names; "absent" if neither."""
    path = Path(path)
    if not path.exists():
        return "absent"
    stamp = max(p.stat().st_mtime_ns for p in [path, *path.rglob("*")])
    return _content_digest(path, stamp)


@cache
def _content_digest(path: Path, _stamp: int) -> str:
    if path.is_dir():
        return tree_digest(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_digest(directory: Path) -> str:
    """SHA-256 over the names and contents of all files below a directory.

    Snakemake's own time stamp inside directory outputs does not count.
    """
    return digest_of(tree_digests(directory))


def digest_of(digests: Mapping[str, str]) -> str:
    """Digest of a directory from those of its files, as :func:`tree_digests` gives them."""
    total = hashlib.sha256()
    for name, digest in digests.items():
        total.update(name.encode() + b"\0" + bytes.fromhex(digest))
    return total.hexdigest()


def tree_digests(directory: Path) -> dict[str, str]:
    """SHA-256 of every file below a directory, by its path inside."""
    found = {}
    for path in tree_files(directory):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found[path.relative_to(directory).as_posix()] = digest
    return found


def tree_files(directory: Path) -> list[Path]:
    """All files below a directory in order, without Snakemake's time stamp."""
    files = sorted(p for p in directory.rglob("*") if p.is_file())
    return [path for path in files if path.name != STAMP]


_HARMLESS = {"ngpipe.__main__", "ngpipe.backend"}
"""What a process may have loaded without any result depending on it; xarray loads the backend."""


@cache
def source_digest(stage: str) -> str:
    """SHA-256 over the source of every ngpipe module that the stage imports, directly or not."""
    total = hashlib.sha256()
    for module in sorted(closure(f"ngpipe.steps.{stage}")):
        total.update(module.encode() + b"\0" + _path(module).read_bytes() + b"\0")
    return total.hexdigest()


@cache
def closure(module: str) -> frozenset[str]:
    """Names of all ngpipe modules that ``module`` imports, itself and their packages included."""
    found, todo = set(), [module]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        todo.extend(_imports(name))
        if "." in name:
            todo.append(name.rpartition(".")[0])
    return frozenset(found)


def check_closure(stage: str, loaded: Mapping[str, object] = sys.modules) -> None:
    """Fail if a step has loaded ngpipe source that its key does not know of.

    Raises:
        StaleError: naming the modules that escaped the analysis of imports.
    """
    covered = closure(f"ngpipe.steps.{stage}") | closure("ngpipe.cli") | _HARMLESS
    escaped = {name for name in loaded if name.split(".")[0] == "ngpipe"} - covered
    if escaped:
        raise StaleError(
            f"step '{stage}' loaded {sorted(escaped)}, which its key does not cover; import them "
            f"at the top of ngpipe/steps/{stage}.py or of a module it imports"
        )


def _path(module: str) -> Path:
    base = PACKAGE.joinpath(*module.split(".")[1:])
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def _exists(module: str) -> bool:
    return module.split(".")[0] == "ngpipe" and _path(module).is_file()


@cache
def _imports(module: str) -> frozenset[str]:
    """Modules of this package named in the import statements of ``module``."""
    found = set()
    for node in ast.walk(ast.parse(_path(module).read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise StaleError(f"{module} uses a relative import; write it absolutely")
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(name for name in found if _exists(name))
