"""Standard errors of a model that an optimiser has trained."""

import pytest
import torch
from systems import r2, simulated, solved, training

from ngpipe.assembly.closed_form import trained
from ngpipe.assembly.closed_form.distil import distil
from ngpipe.assembly.gradient import Trainer, build
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.training import Training
from ngpipe.errors import DivergenceError

pytestmark = pytest.mark.slow

OFF = ~torch.eye(50, dtype=torch.bool)


def silent(stage: str, **reached: object) -> None:
    """A report that nobody reads."""


@pytest.mark.parametrize("sees", ["activity", "sender", "receiver"])
def test_what_the_optimiser_left_undone_is_in_the_errors(sees):
    """A good model whose W is then moved at random: the errors grow to the moves."""
    recording = simulated(sees).recording
    cfg, solution = training(sees, hidden=32, distil_steps=300), solved(sees)
    generator = torch.Generator().manual_seed(1)
    model = build(recording, cfg, generator, recording.scales())
    distil(model, solution, recording, cfg.closed_form, generator=generator, report=silent)
    before = trained.certainty(model, recording)[0]
    assert (before[OFF] > 0).all()
    assert torch.equal(before.diagonal(), torch.zeros(50).double())
    size = 0.05 * float(model.connectivity.detach().std())
    with torch.no_grad():
        moves = size / model.scales.rate * torch.randn(50, 50, generator=generator)
        model.V.add_(moves.fill_diagonal_(0))
    after = trained.certainty(model, recording)[0]
    grown = (after.square() - before.square()).mean().sqrt()
    assert float(grown) == pytest.approx(size, rel=0.1)


def test_errors_of_a_short_training_cover_the_truth():
    """After few steps W is off by far more than noise: by as much as the errors say."""
    system = simulated("activity")
    cfg = Training(steps=150, evaluations=4, held_out_as="blocks", network={"hidden": 32})
    trainer = Trainer(system.recording, cfg)
    for _ in trainer.run():
        pass
    model = trainer.finish()
    errors = trained.certainty(model, system.recording)[0]
    weights = model.connectivity.detach().double()
    assert r2(weights, system.weights) < 0.99995
    slope = float((weights * system.weights).sum() / system.weights.square().sum())
    z = ((weights / slope - system.weights) / (errors / abs(slope)))[OFF]
    assert 0.4 < float(z.square().mean().sqrt()) < 2


def test_too_few_frames_say_so():
    recording = simulated("activity").recording
    short = Recording(recording.activity[:80], recording.rate[:80], recording.dt, held_out=0.1)
    cfg = Training(steps=20, evaluations=2)
    model = build(short, cfg, torch.Generator(), short.scales())
    with pytest.raises(DivergenceError, match="72 training frames are too few to tell"):
        trained.certainty(model, short)[0]
