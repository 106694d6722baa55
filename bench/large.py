"""What a closed form of very many neurons takes: ``python bench/large.py``.

Measures on one core what its jobs do over and over, in CPU time, and prints what they would take
together for any number of neurons. The steps themselves are counted from the code.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ngpipe.assembly.closed_form import uncertainty
from ngpipe.assembly.closed_form.accumulate import BLOCK_BYTES, PANEL, add_panel, moments_at
from ngpipe.assembly.closed_form.chosen_frames import Frames, Transfer, smoothness
from ngpipe.assembly.closed_form.phi_span import Span
from ngpipe.assembly.closed_form.row_shares import UNIT
from ngpipe.assembly.closed_form.rows import Gram, Rows
from ngpipe.assembly.closed_form.spline import Spline

N, FRAMES, REPEATS = 2_000, 2_000, 5
BASIS, FUNCTIONS = 48, 3
"""Splines of psi and phi, and the functions that span phi of most neurons."""
SEARCHES = 12.5
"""Gram matrices over all final frames that a search for psi is worth, most over half of them."""
UNKNOWNS, FRAMES_EACH = 192, 5
"""Of a row beside W, and frames for each unknown: the defaults of the config."""


@dataclass(frozen=True)
class Rates:
    """CPU seconds of one core."""

    psi: float
    """A value of psi."""
    gram: float
    """A floating-point operation of a Gram matrix in float64."""
    gram_32: float
    """The same in float32."""
    moments: float
    """A floating-point operation of moments of rows."""
    solve: float
    """A row with its errors, over the square of the neurons."""
    factor: float
    """Factor, inverse and eigenvalues of a Gram matrix, over the cube of the neurons."""


def cpu_time(call: Callable[[], object], repeats: int = REPEATS) -> float:
    """Least CPU time of a call [s]."""
    times = []
    for _ in range(repeats):
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    return min(times)


def measured(n: int = N, n_frames: int = FRAMES) -> Rates:
    """Rates of this machine, for ``n`` neurons at some frames."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x, rate = torch.randn(2, n_frames, n, generator=generator)
    spline = Spline(BASIS, unit=0.4, reach=20.0)
    like = torch.zeros((), dtype=torch.float64)
    transfer = Transfer(spline, spline.fit(torch.tanh, like=like)[None], torch.zeros(n).long())
    span = Span(spline, torch.randn(FUNCTIONS, BASIS, generator=generator).double())
    frames = Frames(x, rate, span, torch.arange(n_frames).float())
    sent = transfer.sent(x)
    rows = torch.arange(min(UNIT, n))

    def panel(sent: Tensor, total: Tensor) -> None:
        add_panel(total, sent, 0)

    total = torch.zeros(min(PANEL, n), n, dtype=torch.float64)
    operations = 2 * total.numel() * n_frames
    moments = moments_at(frames, sent, rows)
    moment = sent.T @ sent / n_frames + 0.1 * torch.eye(n).double()
    gram = Gram(moment, 1e-6)
    gram.kept()

    def solved() -> None:
        normal = Rows(gram, rows, moments, smoothness(frames, sent.device))
        noise = torch.full((len(rows),), 0.01).double()
        uncertainty.standard_errors(normal, normal.solve().weights, noise)

    of_moments = 2 * n_frames * n * len(rows) * (FUNCTIONS + 1)
    return Rates(
        psi=cpu_time(lambda: transfer.sent(x)) / sent.numel(),
        gram=cpu_time(partial(panel, sent, total)) / operations,
        gram_32=cpu_time(partial(panel, sent.float(), total.float())) / operations,
        moments=cpu_time(lambda: moments_at(frames, sent, rows)) / of_moments,
        solve=cpu_time(solved) / len(rows) / n**2,
        factor=cpu_time(lambda: Gram(moment, 1e-6).kept(), 1) / n**3,
    )


def core_hours(rates: Rates, n: int) -> dict[str, float]:
    """Core hours of every step, for a recording of exact rates whose neurons share one psi."""
    n_frames = FRAMES_EACH * (n + UNKNOWNS)
    gram = n**2 * n_frames * rates.gram
    blocks = -(-n // max(1, BLOCK_BYTES // (24 * n * FUNCTIONS)))
    moments = 2 * n_frames * n**2 * (FUNCTIONS + 1) * rates.moments
    psi = n_frames * n * rates.psi
    seconds = {
        "psi": SEARCHES * (gram + psi) + (moments + blocks * psi) / 2 + n**3 * rates.solve,
        "gram": 2 * gram,
        "psi anew in each job of gram": 2 * psi,
        "factor": n**3 * rates.factor + 2 / 3 * n**3 * rates.gram,
        "solve_rows: moments": moments,
        "solve_rows: psi anew in each block": blocks * psi,
        "solve_rows: solutions and errors": n**3 * rates.solve,
    }
    return {name: value / 3600 for name, value in seconds.items()}


def main() -> None:
    """Print rates, and core hours for some numbers of neurons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("neurons", type=int, nargs="*", default=[10_000, 100_000])
    asked = parser.parse_args().neurons
    rates = measured()
    for name, value in vars(rates).items():
        sys.stdout.write(f"{name}: {value:.3g} s, {1e-9 / value:.3g} a nanosecond\n")
    table = [core_hours(rates, n) for n in asked]
    for name in table[0]:
        told = "  ".join(f"{hours[name]:12,.2f}" for hours in table)
        sys.stdout.write(f"{name:36}{told}\n")


if __name__ == "__main__":
    main()
