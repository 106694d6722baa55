"""What training may see, and what it may not."""

import pytest
import torch
from assemblies import numbers

from ngpipe.assembly.known_input import KnownInput
from ngpipe.assembly.recording import BLOCK, Recording
from ngpipe.errors import StoreError

N_FRAMES = 1000


def recorded(*, exact: bool = True, held_out: float = 0.2, in_blocks: bool = False) -> Recording:
    x, rate = numbers(1, N_FRAMES, 5).cumsum(0), numbers(2, N_FRAMES, 5)
    return Recording(x, rate if exact else None, 0.1, held_out, in_blocks)


@pytest.fixture
def recording():
    return recorded()


def held_out(recording: Recording) -> set[int]:
    return {frame for block in recording.blocks for frame in block}


@pytest.mark.parametrize("exact", [True, False], ids=["drift", "finite_difference"])
@pytest.mark.parametrize("in_blocks", [True, False], ids=["blocks", "tail"])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_training_selection_and_scoring_never_meet(exact, in_blocks, share):
    """Every frame that a target reads counts: a finite difference reads two."""
    recording = recorded(exact=exact, held_out=share, in_blocks=in_blocks)
    training = set(recording.training_frames.tolist())
    scoring = set(recording.scoring_frames(10_000).tolist())
    selection = set(recording.selection_frames(10_000).tolist())
    assert scoring
    assert selection
    assert not scoring & selection
    assert scoring | selection == held_out(recording)
    read = training | ({f + 1 for f in training} if not exact else set())
    assert not read & held_out(recording)
    lost = 0 if exact else len(recording.blocks) + 1
    assert len(training) >= N_FRAMES - len(held_out(recording)) - lost


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3])
def test_blocks_cover_the_share_asked_for_all_over_the_recording(share):
    recording = recorded(held_out=share, in_blocks=True)
    blocks = recording.blocks
    assert len(blocks) % 2 == 0
    assert all(len(block) == BLOCK for block in blocks)
    assert len(held_out(recording)) == pytest.approx(share * N_FRAMES, abs=2 * BLOCK)
    starts = torch.tensor([float(b.start) for b in blocks])
    gaps = starts.diff()
    assert gaps.max() - gaps.min() <= 1
    assert float(starts.mean()) == pytest.approx(N_FRAMES / 2, abs=1)


@pytest.mark.parametrize("in_blocks", [True, False], ids=["blocks", "tail"])
def test_held_out_numbers_are_never_read_in_training(in_blocks):
    """Neither activity nor the difference that reaches into it."""
    clean = recorded(exact=False, in_blocks=in_blocks)
    poisoned = clean.activity.clone()
    poisoned[sorted(held_out(clean))] = float("nan")
    other = Recording(poisoned, None, clean.dt, clean.held_out, in_blocks)
    for array in other.batch(other.training_frames):
        assert torch.isfinite(array).all()
    assert other.scales() == clean.scales()
    assert torch.equal(other.visited(0.9), clean.visited(0.9))


def test_a_tail_is_the_end_of_the_recording(recording):
    assert recording.training_frames.tolist() == list(range(800))
    assert recording.first_held_out == 800
    assert recording.scoring_frames(50).max() < recording.selection_frames(50).min()
    assert recording.selection_frames(10_000)[-1] == 999


def test_samples_have_about_the_size_asked_for(recording):
    for sample in (recording.scoring_frames, recording.selection_frames, recording.training_sample):
        assert 50 <= len(sample(50)) < 100
    assert torch.equal(recording.training_sample(10_000), recording.training_frames)


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
    assert ramp.training_frames.tolist() == list(range(79))
    assert ramp.first_held_out == 80


def test_frames_have_times(recording):
    assert recording.duration == pytest.approx(100)
    times = recording.times(torch.tensor([0, 7, 999]))
    torch.testing.assert_close(times, torch.tensor([0, 0.7, 99.9]))


def test_scales_are_those_of_the_training_frames(recording):
    x, rate = recording.activity[:800], recording.rate[:800]
    scales = recording.scales()
    assert scales.activity == pytest.approx(float(x.std()), rel=1e-5)
    assert scales.reach == pytest.approx(1.1 * float(x.abs().max()), rel=1e-5)
    assert scales.rate == pytest.approx(float(rate.square().mean().sqrt()), rel=1e-5)


def test_visited_holds_the_central_share(recording):
    bounds = recording.visited(0.9, n=800)
    x = recording.activity[recording.training_frames]
    inside = ((x >= bounds[:, 0]) & (x <= bounds[:, 1])).float().mean(0)
    torch.testing.assert_close(inside, torch.full_like(inside, 0.9), rtol=0, atol=0.01)


def test_a_held_input_shows_the_image_of_its_frame():
    table, image = numbers(3, 4, 6), torch.tensor([0.0, 0, 0, 1, 1, 2, 3, 3])
    known = KnownInput(table, image, 0.1, "multiplicative")
    times = 0.1 * torch.arange(8)
    assert torch.equal(known.of_all(times), table[[0, 0, 0, 1, 1, 2, 3, 3]])
    # Any number of frames; before the first and after the last one, these.
    assert torch.equal(known.of_all(torch.tensor([0.7, -1.0, 99.0])), table[[3, 0, 3]])


def test_a_linear_input_lies_between_two_images():
    table, image = numbers(4, 3, 5), torch.tensor([0.0, 0.25, 0.75, 1.0, 1.6, 2.0])
    known = KnownInput(table, image, 0.01, "additive")
    omega = known.of_all(0.01 * torch.arange(6))
    a, b, c = table
    by_hand = [a, 0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b, b, 0.4 * b + 0.6 * c, c]
    torch.testing.assert_close(omega, torch.stack(by_hand))


def test_the_frame_of_a_late_time_is_found_in_single_precision():
    """Times are float32, so that 5 % of frames k have k * dt / dt < k; none may be mistaken."""
    n = 100_000
    image = (torch.arange(n) % 2).float()
    known = KnownInput(torch.tensor([[0.0], [1.0]]), image, 0.01, "additive")
    frames = torch.arange(n)
    recording = Recording(torch.zeros(n, 1), None, 0.01, 0.1)
    assert torch.equal(known.of_all(recording.times(frames))[:, 0], image[frames])


def broken(*, exact: bool, held_out: float = 0.2, in_blocks: bool = False) -> Recording:
    """A gap before frame 400, and frames 700 to 704 without values; numbers that follow jump."""
    whole = recorded(exact=exact)
    x = whole.activity.clone()
    x[400:] += 1e6
    x[700:705] = float("nan")
    parts = (range(400), range(400, 700), range(705, N_FRAMES))
    return Recording(x, whole.rate, 0.1, held_out, in_blocks, stretches=parts)


@pytest.mark.parametrize("exact", [True, False], ids=["drift", "finite_difference"])
def test_no_target_reaches_over_the_end_of_a_stretch(exact):
    recording = broken(exact=exact)
    lost = set(range(700, 705)) | (set() if exact else {399, 699, 999})
    assert set(recording.usable.tolist()) == set(range(N_FRAMES)) - lost
    x, target = recording.batch(recording.usable)
    assert torch.isfinite(x).all()
    assert float(target.abs().max()) < 1e3
    assert recording.n_usable == N_FRAMES - len(lost)


@pytest.mark.parametrize("in_blocks", [True, False], ids=["blocks", "tail"])
def test_stretches_are_held_out_like_a_whole_recording(in_blocks):
    recording = broken(exact=False, in_blocks=in_blocks)
    scoring, selection, training = (
        set(frames.tolist())
        for frames in (
            recording.scoring_frames(10_000),
            recording.selection_frames(10_000),
            recording.training_frames,
        )
    )
    assert not scoring & selection
    assert not (training | {f + 1 for f in training}) & (scoring | selection)
    assert len(scoring | selection) == pytest.approx(0.2 * recording.n_usable, abs=2 * BLOCK)
    assert (scoring | selection | training) <= set(recording.usable.tolist())


def test_one_stretch_is_the_whole_recording():
    whole = recorded(exact=False)
    same = Recording(whole.activity, None, 0.1, 0.2, stretches=(range(N_FRAMES),))
    assert torch.equal(whole.training_frames, same.training_frames)
    assert torch.equal(whole.training_ends, same.training_ends)
    assert whole.blocks == same.blocks
    assert whole.rollout_start(50) == same.rollout_start(50) == whole.first_held_out


def test_a_rollout_starts_where_the_recording_goes_on():
    parts = (range(850), range(850, N_FRAMES))
    x = recorded().activity
    recording = Recording(x, None, 0.1, 0.2, stretches=parts)
    assert recording.rollout_start(40) == recording.first_held_out == 799
    assert recording.rollout_start(60) == 850
    with pytest.raises(StoreError, match="there are 149 frames at most"):
        recording.rollout_start(150)


def test_windows_of_training_end_with_their_stretch():
    recording = broken(exact=False)
    known, last = recording.training_frames, recording.training_ends
    for stretch in recording.stretches:
        mine = (known >= stretch.start) & (known < stretch.stop)
        if mine.any():
            assert (known[last[mine]] == known[mine].max()).all()
