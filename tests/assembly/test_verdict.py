"""A useless model is refused whichever solver made it; a tail at rest judges nobody."""

import pytest
import torch

from ngpipe.assembly.recording import Recording
from ngpipe.assembly.verdict import Verdict, at_rest, doubt, judged, rough
from ngpipe.config.assembly.training import Training


def recording(tail: float) -> Recording:
    """Rates of size 2, and of another size at the held-out end."""
    generator = torch.Generator().manual_seed(0)
    x, rate = (torch.randn(1000, 5, generator=generator) for _ in range(2))
    size = torch.where(torch.arange(1000) < 900, 2.0, tail)[:, None]
    return Recording(x, size * rate, 0.01, held_out=0.1)


@pytest.mark.parametrize(
    ("tail", "loss", "moves", "useless"),
    [
        (2.0, 0.5, True, False),
        (2.0, 1.5, True, True),
        (0.2, 0.1, True, True),
        (2e-4, 0.1, False, False),
    ],
)
def test_worse_than_zero_is_worse_than_the_rate_held_out(tail, loss, moves, useless):
    verdict = judged(recording(tail), loss)
    assert verdict.zero == pytest.approx(tail**2 / 4, rel=0.2)
    assert (verdict.moves, verdict.useless) == (moves, useless)


def test_the_refusal_fits_the_config():
    told = doubt(Verdict(1.0041, 1.0004), Training(solver="closed_form"))
    assert "held-out frames is 1.004, that of predicting no change at all 1," in told
    assert "To continue anyway, set training.accept_worse_than_zero" in told
    assert "exact rate" not in told
    assert "steps" not in told
    accepted = Training(target="finite_difference", accept_worse_than_zero=True)
    assert "accept_worse_than_zero" not in doubt(Verdict(2.0, 1.0), accepted)
    told = doubt(Verdict(2.0, 1.0), Training(target="finite_difference"))
    assert "exact rate" in told
    assert "training.steps" in told
    assert "held_out_as: blocks" in at_rest(Verdict(0.1, 1e-9))


def test_networks_that_miss_the_curves_are_said_with_a_number():
    assert rough(1e-4, 2e-3, 1e-9, 2000) is None
    assert rough(1e-4, 0.5, 0.4, 2000) is None
    told = rough(0.371, 0.437, 5e-9, 2000)
    assert "0.37 of their mean square (expected at most 0.01)" in told
    assert "0.44 (expected at most 0.01) where it reached 5e-09" in told
    assert "distil_steps (now 2000)" in told
    assert rough(1e-4, 0.5, 5e-9, 2000) is not None


@pytest.mark.parametrize(
    ("networks", "model", "says", "not_a_word_of"),
    [
        (5e-5, 0.019, "held-out loss is 0.019 (expected at most 0.01)", "curves"),
        (0.2, 1e-4, "curves by 0.2 of their mean square (expected at most 0.01)", "held-out loss"),
    ],
)
def test_a_warning_of_rough_networks_names_only_what_fails(
    networks: float, model: float, says: str, not_a_word_of: str
) -> None:
    warning = rough(networks, model, solution=6.6e-7, steps=2000)
    assert warning is not None
    assert says in warning
    assert not_a_word_of not in warning.partition(". W is not")[0]


def test_networks_that_fail_nowhere_are_not_warned_of() -> None:
    assert rough(5e-5, 1e-4, solution=6.6e-7, steps=2000) is None
