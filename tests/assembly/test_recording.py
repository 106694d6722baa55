"""What training may see, and what it may not."""

import pytest
import torch

from ngpipe.assembly.recording import Recording


@pytest.fixture
def recording(generator):
    x = torch.randn(1000, 5, generator=generator).cumsum(0)
    return Recording(x, torch.randn(1000, 5, generator=generator), dt=0.1, held_out=0.2)


def test_training_selection_and_scoring_never_meet(recording):
    training = set(range(recording.n_training))
    scoring = set(recording.scoring_frames(50).tolist())
    selection = set(recording.selection_frames(50).tolist())
    assert recording.n_training == 800
    assert min(scoring) == recording.first_held_out == 800
    assert max(scoring) < min(selection)
    assert max(selection) < 1000
    assert not training & (scoring | selection)


def test_the_drift_is_the_target_where_it_is_known(recording):
    frames = torch.tensor([3, 700, 41])
    x, target = recording.batch(frames)
    assert torch.equal(x, recording.activity[frames])
    assert torch.equal(target, recording.rate[frames])


def test_finite_differences_reproduce_a_known_slope():
    """Activity 2t + i has the rate 2 everywhere; no training target reaches a held-out frame."""
    t = 0.1 * torch.arange(100.0)
    ramp = Recording(2 * t[:, None] + torch.arange(3.0), None, dt=0.1, held_out=0.2)
    _, target = ramp.batch(torch.arange(ramp.n_usable))
    torch.testing.assert_close(target, torch.full_like(target, 2.0), rtol=1e-4, atol=1e-4)
    assert ramp.n_usable == 99
    assert ramp.n_training == 79
    assert ramp.first_held_out == 80


def test_scales_come_from_training_frames_alone(recording):
    poisoned = recording.activity.clone()
    poisoned[recording.first_held_out :] = 1e6
    other = Recording(poisoned, recording.rate, recording.dt, recording.held_out)
    assert other.scales() == recording.scales()
    torch.testing.assert_close(other.visited(0.9), recording.visited(0.9))


def test_visited_holds_the_central_share(recording):
    bounds = recording.visited(0.9, n=800)
    x = recording.activity[: recording.n_training]
    inside = ((x >= bounds[:, 0]) & (x <= bounds[:, 1])).float().mean(0)
    torch.testing.assert_close(inside, torch.full_like(inside, 0.9), rtol=0, atol=0.01)
