"""What the jobs of a scattered training hand on: a file each in ``parts/``, beside a manifest.

``psi``, then a share of the Gram matrices of each job (``gram``), what all rows are solved with
(``factor``), and a share of the rows of each job (``solve_rows``). Every file says under which key
that from which it was made was written, so that none is taken for that of another run.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ngpipe import hashing, store
from ngpipe.artifacts import parameter_file
from ngpipe.artifacts.recordings import Opened
from ngpipe.assembly.closed_form.all_rows import Common
from ngpipe.assembly.closed_form.chosen_frames import Transfer
from ngpipe.assembly.closed_form.regressor_noise import SenderNoise
from ngpipe.assembly.closed_form.row_shares import Share
from ngpipe.assembly.closed_form.rows import Gram
from ngpipe.assembly.closed_form.scattered import Found, Prepared, Solved
from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.assembly.closed_form.solve import gathered
from ngpipe.assembly.closed_form.spline import Spline
from ngpipe.assembly.closed_form.transfer import Fit, Report
from ngpipe.assembly.gnn import Scales
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.training import Training
from ngpipe.errors import ArgumentError, StaleError

OF_FOUND = ("receivers", "types", "earlier")
FRAMES = ("frames", "held_out")
KAPPA = "kappa"
"""Tensors of what the search has found."""


@dataclass(frozen=True)
class Parts:
    """The files of one training.

    Args:
        directory: of the results of the experiment.
        cfg: the training section of the config.
        device: where tensors go.
        jobs: number of jobs that share sums and rows.
    """

    directory: Path
    cfg: Training
    device: torch.device
    jobs: int = 1

    def path(self, name: str, job: int | None = None) -> Path:
        """The file of a step, or of one of its jobs."""
        share = "" if job is None else f"_{job}_of_{self.jobs}"
        return self.directory / "parts" / f"{name}{share}.safetensors"

    def write_found(
        self,
        found: Found,
        rows: list[dict[str, Any]],
        snapshots: Mapping[int, Tensor],
        provenance: store.Provenance,
    ) -> None:
        """Write what a search has found.

        Args:
            found: all of it.
            rows: of training.csv, logged until then.
            snapshots: W at some of these steps.
            provenance: its notes name the recording.
        """
        tensors = {name: getattr(found, name) for name in (*OF_FOUND, *FRAMES)}
        if found.kappa is not None:
            tensors[KAPPA] = found.kappa
        for k, fit in enumerate(found.fits):
            tensors[f"coefficients.{k}"] = fit.transfer.coefficients
            tensors[f"senders.{k}"] = fit.transfer.group
        tensors |= {f"W.{step}": weights for step, weights in snapshots.items()}
        about = {
            "fits": [[fit.loss, fit.held_out, fit.ridge] for fit in found.fits],
            "shared_noise": found.shared_noise,
            "scales": asdict(found.scales),
            "rows": [list(row.items()) for row in rows],  # their order is that of columns
            "recording": provenance.notes["recording"],
        }
        self._write(self.path("psi"), tensors, about, provenance)

    @cached_property
    def found(self) -> Found:
        """What the search has found."""
        with self._opened("psi") as (about, read):
            scales = Scales(**about["scales"])
            size = self.cfg.closed_form.fine_basis
            spline = Spline(size, unit=scales.bend, reach=scales.reach)

            def psi(k: int) -> Transfer:
                return Transfer(spline, read(f"coefficients.{k}"), read(f"senders.{k}"))

            return Found(
                **{name: read(name) for name in OF_FOUND},
                **{name: read(name).cpu() for name in FRAMES},
                fits=[Fit(psi(k), spline, *of) for k, of in enumerate(about["fits"])],
                kappa=read(KAPPA) if KAPPA in about["tensors"] else None,
                shared_noise=about["shared_noise"],
                scales=scales,
            )

    def of(self, opened: Opened) -> "Parts":
        """The same, checked to be of a recording.

        Raises:
            StaleError: the search was on another one.
        """
        with self._opened("psi") as (about, _):
            if about["recording"] != opened.notes()["recording"]:
                raise StaleError(
                    f"{self.path('psi')} is of another recording than {opened.path}; run the step "
                    "`psi` again, and those after it"
                )
        return self

    def recall(self, rows: list[dict[str, Any]], keep: Callable[[int, Tensor], None]) -> None:
        """Rows of training.csv and W, as the search has logged them."""
        with self._opened("psi") as (about, read):
            rows += map(dict, about["rows"])
            for name in about["tensors"]:
                if name.startswith("W."):
                    keep(int(name[2:]), read(name))

    def write_gram(
        self,
        panels: Mapping[tuple[int, str, int], Tensor],
        job: int,
        provenance: store.Provenance,
    ) -> None:
        """Write sums of some panels of the Gram matrices."""
        tensors = {f"{k}.{name}.{start}": panel for (k, name, start), panel in panels.items()}
        about = {"made_from": self.key_of("psi")}
        self._write(self.path("gram", job), tensors, about, provenance)

    @cached_property
    def _places(self) -> dict[str, int]:
        """Job that has summed each panel."""
        places: dict[str, int] = {}
        for job in range(1, self.jobs + 1):
            with self._opened("gram", job, made_from="psi") as (about, _):
                places |= dict.fromkeys(about["tensors"], job)
        return places

    def panel(self, k: int, name: str, start: int) -> Tensor:
        """Sum of a panel."""
        label = f"{k}.{name}.{start}"
        with self._opened("gram", self._places[label]) as (_, read):
            return read(label)

    def write_factor(self, ready: list[Prepared], provenance: store.Provenance) -> None:
        """Write what rows that see each psi are solved with."""
        tensors: dict[str, Tensor] = {}
        of_all: list[Any] = []
        for k, one in enumerate(ready):
            tensors |= {f"{name}.{k}": tensor for name, tensor in one.gram_of().kept().items()}
            if one.functions is not None:
                tensors[f"functions.{k}"] = one.functions
            noise = asdict(one.common.sender_noise)
            of_all.append([one.padding, one.common.inflation, noise])
        about = {"prepared": of_all, "made_from": self.key_of("psi")}
        self._write(self.path("factor"), tensors, about, provenance)

    def prepared(self, k: int) -> Prepared:
        """What rows that see the k-th psi are solved with."""
        with self._opened("factor", made_from="psi") as (about, read):
            padding, inflation, noise = about["prepared"][k]
            spanned = f"functions.{k}" in about["tensors"]
            functions = read(f"functions.{k}") if spanned else None
        common = Common(inflation, SenderNoise(**noise))
        return Prepared(lambda: self._gram(k), padding, common, functions)

    def _gram(self, k: int) -> Gram:
        with self._opened("factor") as (_, read):
            return Gram.restored(lambda name: read(f"{name}.{k}"), self.found.fits[k].ridge)

    def write_rows(self, solved: Solved, job: int, provenance: store.Provenance) -> None:
        """Write the rows of a job."""
        spectra = {f"spectrum.{k}": values for k, values in enumerate(solved.spectra)}
        tensors = {"rows": solved.rows, **solved.values, **spectra}
        about = {"made_from": self.key_of("factor"), "values": list(solved.values)}
        self._write(self.path("solve_rows", job), tensors, about, provenance)

    def _rows(self, job: int) -> Solved:
        with self._opened("solve_rows", job, made_from="factor") as (about, read):
            values = {name: read(name) for name in about["values"]}
            spectra = [read(f"spectrum.{k}") for k in range(len(self.found.fits))]
            return Solved(read("rows"), values, spectra)

    def solution(self, recording: Recording, report: Report) -> Solution:
        """The closed form from the parts of all jobs."""
        problem = self.found.problem(recording, self.cfg, report)
        parts = [lambda job=job: self._rows(job) for job in range(1, self.jobs + 1)]
        return gathered(problem, self.found, self.prepared, parts)

    def key_of(self, name: str) -> str:
        """Key under which the file of a step was written."""
        with self._opened(name) as (about, _):
            return str(about["key"])

    @contextmanager
    def _opened(
        self, name: str, job: int | None = None, made_from: str | None = None
    ) -> Iterator[tuple[dict[str, Any], Callable[[str], Tensor]]]:
        """Metadata of a file, and a function that reads one of its tensors."""
        path = self.path(name, job)
        with parameter_file.opened(path, f"part `{name}`", name) as (about, file):
            if made_from is not None and about["made_from"] != self.key_of(made_from):
                raise StaleError(
                    f"{path} was not made from {self.path(made_from)} as it is now; run the step "
                    f"`{name}` again, and those after it"
                )
            about["tensors"] = list(file.keys())
            yield about, lambda tensor: file.get_tensor(tensor).to(self.device)

    def _write(
        self,
        path: Path,
        tensors: Mapping[str, Tensor],
        about: Mapping[str, Any],
        provenance: store.Provenance,
    ) -> None:
        parameter_file.write(path, tensors, {**about, "key": provenance.key})
        digest = hashing.file_digest(path)
        written = {"file": path.name, "digest": digest, **store.record(provenance)}
        store.write_manifest(path, written)


def share_of(job: int, jobs: int) -> Share:
    """The share of a job.

    Raises:
        ArgumentError: there is no such job.
    """
    if not 1 <= job <= jobs:
        raise ArgumentError(f"--job {job} --jobs {jobs}: jobs are numbered from 1 to {jobs}")
    return Share(job, jobs)
