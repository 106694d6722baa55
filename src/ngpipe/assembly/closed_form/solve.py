"""Recovery of an assembly in closed form: from frames to W, phi_i, psi and types."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form import diagnosis, uncertainty
from ngpipe.assembly.closed_form.accumulate import gram_moment, residual, shared_phi, solve_rows
from ngpipe.assembly.closed_form.chosen_frames import Equations, Frames, Source, Transfer
from ngpipe.assembly.closed_form.evidence import confirmed, diagnosed, evidence
from ngpipe.assembly.closed_form.hidden import Hats, Hidden, KnottedInput
from ngpipe.assembly.closed_form.prior import Prior, column_signs
from ngpipe.assembly.closed_form.psi_groups import Groups, grouped, merged
from ngpipe.assembly.closed_form.rows import Gram, RowFit, Spectrum
from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.assembly.closed_form.spline import Spline
from ngpipe.assembly.closed_form.transfer import Fit, Report, Search
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.training import Training
from ngpipe.errors import DivergenceError

HELD_OUT_FRAMES = 300
"""Frames that choose ridge and basis."""
START_BEND = 0.43
"""Activity, in standard deviations, at which the first guess of psi bends."""
FIRM = 0.02
"""Expected 1 - R2 of W with which psi can be searched for."""
NOISY_ROWS = 4
"""Times as many rows for a psi that is found in noise."""
NOISY_HELD_OUT = 3_000
"""Held-out frames that choose between searches in noise."""
NOISY_FRAMES = 30_000
"""Most frames for it."""
ENOUGH = 1e-5
"""Expected 1 - R2 of W that no further frames are read for."""


class ClosedForm:
    """Closed-form recovery of one recording.

    Args:
        recording: activity, target rate, and what is held out.
        cfg: the training section of the config.
        report: told what every stage has reached.
    """

    def __init__(self, recording: Recording, cfg: Training, report: Report) -> None:
        self.recording, self.cfg, self.solver = recording, cfg, cfg.closed_form
        self.generator = torch.Generator().manual_seed(cfg.seed)
        self.n_rows = self.solver.rows
        self.report = report
        self.device = recording.activity.device
        n, scales = recording.n_neurons, recording.scales()
        self.plain = torch.ones(n, dtype=torch.bool, device=self.device)
        if cfg.input == "field":
            self.plain[self._driven()] = False
        self.axis = {"unit": scales.bend, "reach": scales.reach}
        # Of a row: weights, phi, and its share of psi and of an input.
        unknowns = n + 4 * self.solver.fine_basis
        knots = self.solver.input_knots if cfg.input == "field" else 0
        wanted = int(self.solver.frames * (unknowns + knots))
        self.everything = self._source(recording.training_frames)
        self.frames = self._source(recording.informative_sample(wanted)).read()
        self.few: Equations = self.frames.thinned(int(self.solver.search_frames * unknowns))
        self.held_out = self._source(recording.selection_frames(HELD_OUT_FRAMES)).read()
        self.all_frames_every: int | None = None
        silent = torch.nonzero(self.frames.rate.abs().sum(0) == 0)[:, 0]
        if len(silent):
            raise DivergenceError(
                f"the rate of neuron {int(silent[0])} is zero at all frames, so its row of W "
                "cannot be found; leave such neurons out of the recording"
            )

    def solve(self) -> Solution:
        """The whole recovery."""
        self._begin("psi of all")
        shared = self._first()
        self._begin("groups")
        groups = grouped(self, shared)
        if not self.plain.all():
            self._begin("first input")
            solution = self._rows_of(groups, ~self.plain, groups.solution)
            solution = self._with_input(solution)
            groups = merged(self, replace(groups, solution=solution), shared)
        self._begin("psi, finer")
        polished = self._polished(groups)
        self._begin("W from all frames")
        solution = self._rows_of(polished, self.plain, groups.solution, final=True)
        if not self.plain.all():
            self._begin("input")
            solution = self._with_input(solution, final=True)
        unbiased = solution
        if self._has_prior:
            self._begin("prior")
            solution = self._with_prior(polished, solution)
        solution = replace(solution, types=groups.types)
        return confirmed(solution, unbiased, groups.solution, self.plain)

    @property
    def _has_prior(self) -> bool:
        return self.solver.prior == "sparse" or self.solver.dale

    def _begin(self, part: str) -> None:
        """Report the number of the next part."""
        hidden = not self.plain.all()
        parts = ["psi of all", "groups", *(["first input"] if hidden else []), "psi, finer"]
        parts += ["W from all frames", *(["input"] if hidden else [])]
        parts += ["prior"] if self._has_prior else []
        self.report(part, part=parts.index(part) + 1, of=len(parts))

    def _first(self) -> Fit:
        """One psi for all; for noisy targets from as many frames as it takes to know W."""
        rows = self.draw()
        shared = self.search(self._start(), rows, self.solver.ridges)
        if self.cfg.target == "drift":
            return shared
        # Differences of activity hold its noise; an exact rate has none, whatever it misses.
        told: Any = self.all_rows([shared], self.nobody(), final=True).diagnosis
        wanted = told.frames_for(FIRM)
        wanted = int(min(wanted, NOISY_FRAMES, len(self.everything)))
        if wanted < 1.5 * len(self.few):
            return shared
        every = -(-len(self.everything) // wanted)
        self.few = self.everything.part(slice(None, None, every))
        held_out = self.recording.selection_frames(NOISY_HELD_OUT)
        self.held_out = self._source(held_out).read()
        self.n_rows *= NOISY_ROWS
        return self.search(self._start(), self.draw(), self.solver.ridges)

    def _rows_of(
        self,
        groups: Groups,
        wanted: Bool[Tensor, " neuron"],
        before: Solution,
        *,
        final: bool = False,
    ) -> Solution:
        """Some rows of W; in the end with their errors, and from as many frames as it takes."""
        some: dict[str, Any] = {"wanted": wanted, "before": before, "final": final}
        solution = self.all_rows(groups.fits, groups.receivers, self.frames, **some)
        if solution.diagnosis is None or self.cfg.target == "drift":
            # What is left of an exact rate is misfit, which more frames do not average out.
            return solution
        enough = int(min(solution.diagnosis.frames_for(ENOUGH), len(self.everything)))
        if enough < 1.5 * len(self.frames):
            return solution
        self.all_frames_every = len(self.everything) // enough
        return self.all_rows(groups.fits, groups.receivers, self._equations(), **some)

    def _equations(self) -> Equations:
        """Frames that rows of W are solved from in the end."""
        if self.all_frames_every is None:
            return self.frames
        return self.everything.part(slice(None, None, self.all_frames_every))

    def _with_prior(self, groups: Groups, solution: Solution) -> Solution:
        """Rows of W under what is known of them; their errors stay those without it."""
        found = solution.copy()
        signs = column_signs(solution.scaled().double()) if self.solver.dale else None
        for k, fit in enumerate(groups.fits):
            equations = replace(self._equations(), phi=fit.phi)
            held_out = replace(self.held_out, phi=fit.phi)
            sparse = self.solver.prior == "sparse"
            prior = Prior(equations, held_out, fit.transfer, fit.ridge, sparse=sparse, signs=signs)
            members = torch.nonzero(groups.receivers == k)[:, 0]
            few = self.draw(groups.receivers == k)
            strength = prior.strength(few, solution.noise[few])
            self.report("sparsity", strength=strength)
            if strength == 0 and signs is None:
                continue
            for rows, fitted in prior.solve(members, solution.noise[members], strength):
                found.weights[rows], found.phi_coefficients[rows] = fitted.weights, fitted.own
                found.mean_square[rows] = fitted.mean_square
        loss = float(found.mean_square.mean() / found.level.mean())
        self.report("W", loss=loss, connectivity=found.scaled())
        return found

    def _know(self, omega: KnottedInput) -> None:
        """Use an input that was found as if it were known."""
        n = self.recording.n_neurons

        def knowing(equations: Any) -> Any:  # noqa: ANN401
            if isinstance(equations, Source):
                return replace(equations, given=lambda times: omega.at(times, n), mode=omega.mode)
            return replace(equations, omega=omega.at(equations.times, n), mode=omega.mode)

        self.few, self.everything = knowing(self.few), knowing(self.everything)
        self.frames, self.held_out = knowing(self.frames), knowing(self.held_out)

    def _with_input(self, solution: Solution, *, final: bool = False) -> Solution:
        """Hidden input of the driven neurons, from now on known, and their rows anew."""
        frames = replace(self.frames, phi=solution.phi)
        hats = Hats(self.solver.input_knots, self.recording.duration)
        everyone = self._driven()
        values, spectra = solution.weights.new_empty(len(everyone), hats.n), {}
        found = solution.copy()
        for k, transfer in enumerate(solution.transfers):
            mine = solution.receiver_group[everyone] == k
            driven = everyone[mine]
            if not len(driven):
                continue
            hidden = Hidden(
                frames,
                transfer,
                solution.ridge,
                hats,
                self.cfg.input_mode,
                solution.phi_coefficients,
            )
            inflation = solution.inflation if final else None
            rows = hidden.solve(driven, solution.weights[driven], self.report, inflation=inflation)
            found.weights[driven], found.phi_coefficients[driven] = rows.weights, rows.phi
            found.mean_square[driven], values[mine] = rows.mean_square, rows.values
            found.level[driven] = frames.rate[:, driven].double().square().mean(0)
            if final:
                told: Any = rows  # which then has errors
                found.error[driven], found.noise[driven] = told.error, told.noise
                spectra[k] = Spectrum(told.directions, hidden.gram.padding)
        found.omega = KnottedInput(hats, everyone, values, self.cfg.input_mode)
        self._know(found.omega)
        for k, spectrum in spectra.items():
            mine = everyone[found.receiver_group[everyone] == k]
            found.told(diagnosed(spectrum, found, mine, len(frames), evidence(self, found, mine)))
        return found

    def _polished(self, groups: Groups) -> Groups:
        """Psi on a finer basis and all frames."""
        finer = Spline(self.solver.fine_basis, **self.axis)
        fine = replace(max(self.frames, self.few, key=len), phi=finer)
        held_out = replace(self.held_out, phi=finer)
        fits = []
        for k, fit in enumerate(groups.fits):
            search = self._search(fine, held_out, self.draw(groups.receivers == k))
            ridges = [r for r in self.solver.ridges if r <= fit.ridge]
            fits.append(search.run(fit.transfer.on(finer), ridges, self.solver.iterations))
        return replace(groups, fits=fits)

    def search(self, start: Transfer, rows: Int[Tensor, " row"], ridges: Sequence[float]) -> Fit:
        """Find psi on some rows, from the frames of the search."""
        search = self._search(self.few, self.held_out, rows)
        return search.run(start, ridges, self.solver.iterations)

    def _search(self, frames: Equations, held_out: Frames, rows: Int[Tensor, " row"]) -> Search:
        return Search(
            frames,
            held_out,
            rows,
            roughness=self.solver.roughness,
            report=self.report,
            noisy=self.cfg.target == "finite_difference",
            one_phi=self.cfg.network.one_type,
        )

    def all_rows(
        self,
        fits: list[Fit],
        group: Int[Tensor, " neuron"],
        equations: Equations | None = None,
        *,
        wanted: Bool[Tensor, " neuron"] | None = None,
        before: Solution | None = None,
        final: bool = False,
    ) -> Solution:
        """W and phi of every neuron for given psi.

        Args:
            fits: psi of every group of receivers.
            group: everyone's.
            equations: frames to solve for; those of the search by default.
            wanted: neurons to solve for; all by default.
            before: what the rows of the others stay at.
            final: with standard errors and a diagnosis.
        """
        wanted = torch.ones_like(self.plain) if wanted is None else wanted
        equations = replace(self.few if equations is None else equations, phi=fits[0].phi)
        solution = self._blank(fits, group, before)
        missed = torch.zeros_like(solution.mean_square)
        for k, fit in enumerate(fits):
            members = torch.nonzero(wanted & (group == k))[:, 0]
            if len(members):
                missed[members] = self._solve_group(solution, fit, members, equations, final=final)
        if wanted.any():
            mean = solution.level[wanted].mean()
            solution.held_out = float(missed[wanted].mean() / mean)
            loss = float(solution.mean_square[wanted].mean() / mean)
            weights = solution.scaled()
            self.report("W", loss=loss, held_out=solution.held_out, connectivity=weights)
        return solution

    def _solve_group(
        self,
        solution: Solution,
        fit: Fit,
        members: Int[Tensor, " row"],
        equations: Equations,
        *,
        final: bool,
    ) -> Float[Tensor, " row"]:
        """Rows that see one psi, into the solution; returns their held-out mean squares."""
        gram, n = Gram(gram_moment(equations, fit.transfer), fit.ridge), len(equations)
        q = 1.0
        if final:
            q = uncertainty.inflation(equations, fit.transfer, members, fit.ridge)
            solution.inflation = max(solution.inflation, q)
        own, spectra = None, []
        missed: list[Tensor] = []
        typical = uncertainty.typical(members, self.recording.n_neurons)
        if self.cfg.network.one_type:
            own = shared_phi(equations, fit.transfer, members, gram)
        for rows, normal in solve_rows(equations, fit.transfer, members, gram):
            found = normal.solve(None if own is None else own.expand(len(rows), -1))
            solution.weights[rows], solution.phi_coefficients[rows] = found.weights, found.own
            solution.mean_square[rows] = found.mean_square
            solution.level[rows] = normal.moments.target
            missed.append(self._missed(found, fit, rows))
            self.report("W", done=sum(map(len, missed)), of=len(members))
            if final:
                noise = uncertainty.noise_variance(gram, found, n, missed[-1])
                solution.noise[rows] = noise
                solution.error[rows] = uncertainty.standard_errors(
                    normal, found.weights, q * noise / n
                )
                spectra.append(normal.spectrum(typical))
        if final:
            seen = evidence(self, solution, members)
            told = diagnosed(Spectrum.joined(spectra), solution, members, n, seen)
            solution.told(told)
            error, weights = solution.error[members], solution.weights[members]
            solution.error[members] = diagnosis.widened(error, weights, told, q)
        return torch.cat(missed)

    def _blank(
        self, fits: list[Fit], group: Int[Tensor, " neuron"], before: Solution | None
    ) -> Solution:
        """No rows yet, or those of ``before``, under the given psi."""
        n, spline = self.recording.n_neurons, fits[0].phi
        weights = torch.zeros(n, n, dtype=torch.float64, device=self.device)
        phi, square = weights.new_zeros(n, spline.n), weights.new_zeros(n)
        level = torch.ones_like(square)
        if before is not None:
            weights, square, level = (
                value.clone() for value in (before.weights, before.mean_square, before.level)
            )
            phi = spline.refit(before.phi, before.phi_coefficients)
        return Solution(
            weights=weights,
            phi=spline,
            phi_coefficients=phi,
            transfers=[fit.transfer for fit in fits],
            receiver_group=group,
            types=self.nobody(),
            mean_square=square,
            level=level,
            noise=torch.zeros_like(square),
            held_out=float("nan"),
            ridge=fits[0].ridge,
            error=torch.zeros_like(weights),
        )

    def _missed(self, found: RowFit, fit: Fit, rows: Int[Tensor, " row"]) -> Float[Tensor, " row"]:
        """Mean squared error of some rows on held-out frames."""
        held_out = replace(self.held_out, phi=fit.phi)
        return residual(held_out, fit.transfer, found, rows).square().mean(0)

    def _start(self) -> Transfer:
        """tanh, bending at less than half the standard deviation of activity."""
        spline = Spline(self.solver.psi_basis, **self.axis)
        bend = START_BEND * self.recording.scales().activity
        like = torch.zeros((), dtype=torch.float64, device=self.device)
        coefficients = spline.fit(lambda x: torch.tanh(x / bend), like=like)
        return Transfer(spline, coefficients[None], self.nobody())

    def draw(self, allowed: Tensor | None = None, n: int | None = None) -> Int[Tensor, " row"]:
        """Rows that psi is found on: of neurons without a hidden input, if there are any."""
        allowed = torch.ones_like(self.plain) if allowed is None else allowed
        if (allowed & self.plain).any():
            allowed = allowed & self.plain
        members = torch.nonzero(allowed.cpu())[:, 0]
        order = torch.randperm(len(members), generator=self.generator)
        return members[order[: n or self.n_rows]].sort().values.to(self.device)

    def _driven(self) -> Int[Tensor, " site"]:
        """Neurons with a hidden input, whose sites the recording then has."""
        sites: Any = self.recording.sites
        return sites.driven

    def nobody(self) -> Int[Tensor, " neuron"]:
        """Everyone in group 0."""
        return torch.zeros(self.recording.n_neurons, dtype=torch.long, device=self.device)

    def _source(self, chosen: Int[Tensor, " frame"]) -> Source:
        """Frames of the recording, with their input if it is known."""
        phi = Spline(self.solver.phi_basis, **self.axis)
        if self.cfg.input != "known":
            return Source(self.recording, chosen, phi)
        known: Any = self.recording.known_input
        return Source(self.recording, chosen, phi, known.of_all, known.mode)
