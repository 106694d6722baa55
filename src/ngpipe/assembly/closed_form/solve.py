"""Recovery of an assembly in closed form: from frames to W, phi_i, psi and types."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.frames import Frames, Transfer
from ngpipe.assembly.closed_form.hidden import Hats, Hidden, KnottedInput
from ngpipe.assembly.closed_form.receivers import receiver_groups
from ngpipe.assembly.closed_form.rows import Gram, Moments, RowFit, Rows
from ngpipe.assembly.closed_form.spline import Spline
from ngpipe.assembly.closed_form.transfer import Fit, Report, Search
from ngpipe.assembly.recording import Recording
from ngpipe.assembly.types import cluster, common_range
from ngpipe.config.recovery import Recovery
from ngpipe.config.training import Training
from ngpipe.errors import DivergenceError

BLOCK_BYTES = 512 * 2**20
"""Memory for the moments of a block of rows."""
HELD_OUT_FRAMES = 300
"""Frames that choose ridge and basis."""
VISITED = 0.99
"""Central share of a neuron's activity at which phi is compared."""
START_BEND = 0.43
"""Activity, in standard deviations, at which the first guess of psi bends."""
SPLITS, MERGES = 2, 3
"""Times that groups of senders are worked out from phi, and phi from them."""
SOLVED = 1e-4
"""Fall of the loss that says that no group mixes types."""
WORSE = 3.0
"""Rise of the loss that says that neurons of different types were taken for one."""
GRID = 64
"""Activities at which phi is compared between neurons."""


@dataclass
class Solution:
    """What the closed form found, in a gauge of its own: psi(0) = 0 and of unit mean square."""

    weights: Float[Tensor, "post pre"]
    """W [1/tau]."""
    phi: Spline
    phi_coefficients: Float[Tensor, "neuron basis"]
    """phi_i [1/tau]."""
    transfers: list[Transfer]
    """psi as each group of receivers sees it."""
    receiver_group: Int[Tensor, " neuron"]
    types: Int[Tensor, " neuron"]
    mean_square: Float[Tensor, " neuron"]
    """Mean squared residual of every row [1/tau^2]."""
    relative_error: Float[Tensor, " neuron"]
    """The same over the row's mean squared rate."""
    held_out: float
    """Mean squared error on held-out frames over the mean squared rate."""
    ridge: float
    omega: KnottedInput | None = None
    """Hidden input; a multiplicative one of geometric mean 1 at every site."""

    def scaled(self) -> Float[Tensor, "post pre"]:
        """W with every psi scaled to rise from -1 to 1 over half of its reach [1/tau]."""
        scale = [t.height[t.group] for t in self.transfers]
        return (self.weights * torch.stack(scale)[self.receiver_group]).float()

    def psi(
        self,
        receivers: Int[Tensor, " pair"],
        senders: Int[Tensor, " pair"],
        x: Float[Tensor, "pair x"],
    ) -> Float[Tensor, "pair x"]:
        """Psi of pairs of neurons, each pair on its own grid [1]."""
        out = x.new_empty(x.shape, dtype=torch.float64)
        for k, transfer in enumerate(self.transfers):
            mine = self.receiver_group[receivers] == k
            own = transfer.coefficients[transfer.group[senders[mine]]]
            at_rest = transfer.spline.read(own, own.new_zeros(1, len(own)))[0]
            out[mine] = transfer.spline.read(own, x[mine].double().T).T - at_rest[:, None]
        return out

    def phi_curves(self, x: Float[Tensor, "neuron x"]) -> Float[Tensor, "neuron x"]:
        """phi_i on each neuron's own grid [1/tau]."""
        return self.phi.read(self.phi_coefficients, x.double().T).T


@dataclass
class Groups:
    """Who shares a psi."""

    fits: list[Fit]
    """One for every group of receivers."""
    receivers: Int[Tensor, " neuron"]
    types: Int[Tensor, " neuron"]
    """Groups of senders that share a psi, or types."""
    solution: Solution
    """Rows of W under these psi, from the frames of the search."""

    @property
    def loss(self) -> float:
        """Largest loss of any group."""
        return max(fit.loss for fit in self.fits)


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
        self.report = report
        self.device = recording.activity.device
        n, scales = recording.n_neurons, recording.scales()
        self.plain = torch.ones(n, dtype=torch.bool, device=self.device)
        if cfg.input == "field":
            self.plain[recording.sites.driven] = False
        self.axis = {"unit": scales.bend, "reach": scales.reach}
        phi = Spline(self.solver.phi_basis, **self.axis)
        # Of a row: weights, phi, and its share of psi and of an input.
        unknowns = n + 4 * self.solver.fine_basis
        knots = self.solver.input_knots if cfg.input == "field" else 0
        sample = recording.training_sample(int(self.solver.frames * (unknowns + knots)))
        self.frames = self._frames(sample, phi)
        self.few = self.frames.thinned(int(self.solver.search_frames * unknowns))
        self.held_out = self._frames(recording.selection_frames(HELD_OUT_FRAMES), phi)

    def solve(self) -> Solution:
        """The whole recovery."""
        shared = self.search(self._start(), self.draw(), self.solver.ridges)
        groups = self._grouped(shared)
        if not self.plain.all():
            solution = self._rows_of(groups, ~self.plain, groups.solution)
            solution = self._with_input(solution)
            self._know(solution.omega)
            groups = self._merged(replace(groups, solution=solution), shared)
        polished = self._polished(groups)
        solution = self._rows_of(polished, self.plain, groups.solution)
        if not self.plain.all():
            solution = self._with_input(solution)
        return replace(solution, types=groups.types)

    def _rows_of(
        self, groups: Groups, wanted: Bool[Tensor, " neuron"], before: Solution
    ) -> Solution:
        """Some rows of W from all frames."""
        return self.all_rows(
            groups.fits, groups.receivers, self.frames, wanted=wanted, before=before
        )

    def _grouped(self, shared: Fit) -> Groups:
        """Psi of every group of neurons, and the groups, in turn until they agree.

        While psi is wrong, so are the phi_i: senders are first split into more groups than there
        seem to be types, which costs parameters but mixes no types.
        """
        solution = self.all_rows([shared], self.nobody())
        groups = Groups([shared], self.nobody(), self._types(solution), solution)
        sees = self.cfg.network.psi_sees
        if sees == "activity":
            return groups
        if sees == "receiver":
            groups = self._regrouped(solution, shared, self.nobody())
            return replace(groups, types=self._types(groups.solution))
        for _ in range(SPLITS):
            senders = self._types(groups.solution, self.solver.first_groups)
            groups = self._regrouped(groups.solution, shared, senders)
            if groups.loss < SOLVED * shared.loss:
                break
        # phi of neurons with a hidden input has yet to become right.
        return self._merged(groups, shared) if self.plain.all() else groups

    def _merged(self, groups: Groups, shared: Fit) -> Groups:
        """The groups that seem to be types, unless that explains the recording less well."""
        if self.cfg.network.psi_sees in ("activity", "receiver"):
            return replace(groups, types=self._types(groups.solution))
        for _ in range(MERGES):
            types = self._types(groups.solution)
            if torch.equal(types, groups.types):
                break
            merged = self._regrouped(groups.solution, shared, types)
            if merged.loss > WORSE * groups.loss:
                break
            groups = merged
        return groups

    def _regrouped(
        self, solution: Solution, shared: Fit, senders: Int[Tensor, " neuron"]
    ) -> Groups:
        """Psi anew for given groups of senders, and all rows."""
        start = shared.transfer.split(senders)
        fits, receivers = [], self.nobody()
        if self.cfg.network.psi_sees == "sender":
            fits = [self.search(start, self.draw(), self.solver.ridges[1:])]
        else:
            fits, receivers = receiver_groups(self, start, solution.relative_error)
        return Groups(fits, receivers, senders, self.all_rows(fits, receivers))

    def _know(self, omega: KnottedInput) -> None:
        """Use an input that was found as if it were known."""
        n = self.recording.n_neurons
        self.few, self.frames, self.held_out = (
            replace(f, omega=omega.at(f.times, n), mode=omega.mode)
            for f in (self.few, self.frames, self.held_out)
        )

    def _with_input(self, solution: Solution) -> Solution:
        """Hidden input of the driven neurons, and their rows anew."""
        frames = replace(self.frames, phi=solution.phi)
        hats = Hats(self.solver.input_knots, self.recording.duration)
        everyone = self.recording.sites.driven
        values = solution.weights.new_empty(len(everyone), hats.n)
        weights, phi = solution.weights.clone(), solution.phi_coefficients.clone()
        square = solution.mean_square.clone()
        for k, transfer in enumerate(solution.transfers):
            mine = solution.receiver_group[everyone] == k
            driven = everyone[mine]
            hidden = Hidden(
                frames,
                transfer,
                solution.ridge,
                hats,
                self.cfg.input_mode,
                solution.phi_coefficients,
            )
            weights[driven], phi[driven], values[mine], square[driven] = hidden.solve(
                driven, weights[driven], self.report
            )
        omega = KnottedInput(hats, everyone, values, self.cfg.input_mode)
        return replace(
            solution, weights=weights, phi_coefficients=phi, mean_square=square, omega=omega
        )

    def _polished(self, groups: Groups) -> Groups:
        """Psi on a finer basis and all frames."""
        finer = Spline(self.solver.fine_basis, **self.axis)
        fine, held_out = replace(self.frames, phi=finer), replace(self.held_out, phi=finer)
        fits = []
        for k, fit in enumerate(groups.fits):
            search = Search(
                fine,
                held_out,
                self.draw(groups.receivers == k),
                roughness=self.solver.roughness,
                report=self.report,
            )
            ridges = [r for r in self.solver.ridges if r <= fit.ridge]
            fits.append(search.run(fit.transfer.on(finer), ridges, self.solver.iterations))
        return replace(groups, fits=fits)

    def search(self, start: Transfer, rows: Int[Tensor, " row"], ridges: Sequence[float]) -> Fit:
        """Find psi on some rows, from the frames of the search."""
        search = Search(
            self.few, self.held_out, rows, roughness=self.solver.roughness, report=self.report
        )
        return search.run(start, ridges, self.solver.iterations)

    def all_rows(
        self,
        fits: list[Fit],
        group: Int[Tensor, " neuron"],
        frames: Frames | None = None,
        *,
        wanted: Bool[Tensor, " neuron"] | None = None,
        before: Solution | None = None,
    ) -> Solution:
        """W and phi of every neuron for given psi.

        Args:
            fits: psi of every group of receivers.
            group: everyone's.
            frames: equations to solve; those of the search by default.
            wanted: neurons to solve for; all by default.
            before: what the rows of the others stay at.
        """
        frames = self.few if frames is None else frames
        wanted = torch.ones_like(self.plain) if wanted is None else wanted
        n = self.recording.n_neurons
        spline = fits[0].phi
        frames, held_out = replace(frames, phi=spline), replace(self.held_out, phi=spline)
        weights = torch.zeros(n, n, dtype=torch.float64, device=self.device)
        phi = weights.new_zeros(n, spline.n)
        square, error = weights.new_zeros(n), weights.new_zeros(n)
        if before is not None:
            weights, square = before.weights.clone(), before.mean_square.clone()
            phi = spline.refit(before.phi, before.phi_coefficients)
        for k, fit in enumerate(fits):
            members = torch.nonzero(wanted & (group == k))[:, 0]
            for rows, found in solve_rows(frames, fit.transfer, members, fit.ridge):
                weights[rows], phi[rows], square[rows] = found.weights, found.own, found.mean_square
                missed = held_out.target(rows) - found.predict(
                    fit.transfer.sent(held_out.x), held_out.own(rows)
                )
                error[rows] = missed.square().mean(0)
        level = frames.rate.double().square().mean()
        solution = Solution(
            weights,
            spline,
            phi,
            [fit.transfer for fit in fits],
            group,
            self.nobody(),
            square,
            square / frames.rate.double().square().mean(0),
            float(error[wanted].mean() / level),
            fits[0].ridge,
        )
        loss = float(square[wanted].mean() / level)
        self.report("W", loss=loss, held_out=solution.held_out, connectivity=solution.scaled())
        return solution

    def _types(self, solution: Solution, at_least: int = 1) -> Int[Tensor, " neuron"]:
        """Types, or at least so many groups, from the phi_i where all neurons have data."""
        low, high = common_range(self.recording.visited(VISITED).cpu().numpy())
        x = torch.linspace(low, high, GRID, device=self.device)
        everyone = torch.arange(self.recording.n_neurons, device=self.device)
        grid = x.expand(len(everyone), -1)
        curves = solution.phi_curves(grid)
        if self.cfg.network.psi_sees in ("receiver", "pair"):
            own = solution.psi(everyone, everyone, grid)
            curves = torch.cat([curves / curves.square().mean().sqrt(), own], 1)
        cfg = Recovery(n_types=self.solver.n_types, max_types=self.solver.max_types)
        labels = cluster(curves.cpu().numpy(), cfg)
        if labels.max() + 1 < at_least:
            labels = cluster(curves.cpu().numpy(), Recovery(n_types=at_least))
        found = torch.from_numpy(labels).to(self.device)
        self.report("types", types=int(found.max()) + 1)
        return found

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
        return members[order[: n or self.solver.rows]].sort().values.to(self.device)

    def nobody(self) -> Int[Tensor, " neuron"]:
        """Everyone in group 0."""
        return torch.zeros(self.recording.n_neurons, dtype=torch.long, device=self.device)

    def _frames(self, chosen: Int[Tensor, " frame"], phi: Spline) -> Frames:
        x, rate = self.recording.batch(chosen)
        broken = ~(x.isfinite() & rate.isfinite())
        if broken.any():
            frame, neuron = torch.nonzero(broken)[0].tolist()
            raise DivergenceError(
                f"activity or rate of neuron {neuron} at frame {int(chosen[frame])} is not finite; "
                "leave out or interpolate such frames before training"
            )
        times, known = self.recording.times(chosen), self.recording.known_input
        if self.cfg.input != "known":
            return Frames(x, rate, phi, times)
        return Frames(x, rate, phi, times, known.of_all(times), known.mode)


def solve_rows(
    frames: Frames, transfer: Transfer, rows: Int[Tensor, " row"], ridge: float
) -> Iterator[tuple[Int[Tensor, " block"], RowFit]]:
    """Least squares of many rows with one Gram matrix, block by block.

    Args:
        frames: equations to solve.
        transfer: what senders send.
        rows: whose rows.
        ridge: relative to the mean diagonal of the Gram matrix.
    """
    gram = Gram(gram_moment(frames, transfer), ridge)
    n = frames.x.shape[1]
    size = max(1, BLOCK_BYTES // (3 * 8 * n * frames.phi.n))
    for block in rows.split(size):
        found = Rows(gram, block, moments(frames, transfer, block), frames.padding())
        yield block, found.solve()


def gram_moment(frames: Frames, transfer: Transfer) -> Float[Tensor, "pre pre"]:
    """Mean over all frames of what is sent times itself, one stretch of frames at a time."""
    total, n = 0, len(frames)
    for part in frames.stretches(frames.x.shape[1]):
        sent = transfer.sent(part.x)
        total = total + sent.T @ sent / n
    return total


def moments(frames: Frames, transfer: Transfer, rows: Int[Tensor, " row"]) -> Moments:
    """Moments of some rows over all frames, one stretch of frames at a time."""
    total, seen = None, 0
    for part in frames.stretches(frames.x.shape[1] + len(rows) * frames.phi.n):
        now = Moments.of(transfer.sent(part.x), part.own(rows), part.target(rows))
        seen += len(part)
        if total is None:
            total = now
        else:
            total.accumulate(now, len(part) / seen)
    return total
