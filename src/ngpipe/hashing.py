"""Digests of files: the same content has the same digest, whenever it was written.

Needs the standard library only: Snakemake loads this for every job.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

STAMP = ".snakemake_timestamp"
"""File that Snakemake puts into a directory that a rule makes."""


def canonical(section: object) -> str:
    """Canonical JSON: sorted keys, no spaces; the same text for the same content."""
    return json.dumps(section, sort_keys=True, separators=(",", ":"), allow_nan=False)


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
