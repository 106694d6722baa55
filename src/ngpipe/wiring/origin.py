"""Origin of a connectome."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ngpipe import hashing


@dataclass(frozen=True)
class Origin:
    """Source of a connectome and what was done to it.

    Attributes:
        source: what it is called, or the path it was read from.
        files: SHA-256 of each file read, by name.
        version: of the source.
        licence: under which the source may be used.
        citation: what to cite.
        counts: how many neurons, edges or rows each filter took or found, in order.
        notes: what was done, in order.
    """

    source: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    licence: str = ""
    citation: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of_files(cls, *paths: Path, **described: Any) -> "Origin":  # noqa: ANN401
        """The origin of what was read from these files, which are hashed in place."""
        source = described.pop("source", str(paths[0]))
        files = {path.name: hashing.file_digest(path) for path in paths}
        return cls(source=source, files=files, **described)

    def counted(self, counts: Mapping[str, int]) -> "Origin":
        """The same origin with further counts; those of the same name add up."""
        total = {name: self.counts.get(name, 0) + n for name, n in counts.items()}
        return replace(self, counts={**self.counts, **total})

    def noted(self, *notes: str) -> "Origin":
        """The same origin with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    def as_dict(self) -> dict[str, object]:
        """JSON-like content."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Origin":
        """The inverse of :meth:`as_dict`."""
        return cls(**{**content, "notes": tuple(content.get("notes", ()))})
