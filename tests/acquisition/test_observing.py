"""The signal chain of a recording, from the config to state, rate and noise."""

from pathlib import Path

import numpy as np
import pytest

from ngpipe.acquisition.joined import joined
from ngpipe.acquisition.linear_filter import whole_stretches
from ngpipe.acquisition.observing import Observed, observed
from ngpipe.acquisition.series import Series
from ngpipe.config.assembly.experiment import Experiment
from ngpipe.config.assembly.observation import Observation
from ngpipe.config.assembly.source import Recorded
from ngpipe.config.load import load
from ngpipe.errors import ConfigError

H, DECAY, TAU = 1 / 30, 0.3, 0.5


def sines(n: int, neurons: int = 3) -> np.ndarray:
    t = H * np.arange(n)[:, None]
    return np.sin(t / 0.5 + np.arange(neurons))


def indicated(x: np.ndarray) -> np.ndarray:
    kept, c = np.exp(-H / DECAY), np.zeros_like(x)
    for t in range(len(x) - 1):
        c[t + 1] = kept * c[t] + (1 - kept) * x[t]
    return c


def chain(signals: list[np.ndarray], breaks: tuple[int, ...] = (), **cfg: object) -> Observed:
    """The signal chain of sessions with the given signals."""

    def series(k: int, signal: np.ndarray) -> Series:
        return Series(Path(f"{k}.npy"), "", *signal.shape, lambda a, b: signal[a:b], rate=1 / H)

    source = Recorded.model_validate({"kind": "recording", "files": ["0.npy"], "tau": TAU})
    recording = joined([series(k, s) for k, s in enumerate(signals)], source)
    stretches = whole_stretches(breaks, recording.n_frames)
    return observed(recording, Observation.model_validate(cfg), stretches)


def whole(found: Observed, length: int) -> dict[str, np.ndarray]:
    """All blocks in one."""
    parts = [block for _, block in found.blocks(length)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_state_and_rate_of_an_indicator_without_noise() -> None:
    x = sines(400)
    found = chain(
        [indicated(x)],
        indicator={"decay": DECAY},
        rate={"kind": "savitzky_golay", "window": 7, "order": 4},
    )
    made = whole(found, 400)
    inside = np.isfinite(made["activity"][:, 0])
    before, after = found.estimator.reach
    assert (before, after) == (3 + 2, 4 + 2)  # of the window, and of the difference
    assert np.flatnonzero(inside).tolist() == list(range(before, 400 - after))
    np.testing.assert_allclose(made["activity"][inside], x[inside], atol=1e-3)
    slope = TAU * np.gradient(x, H, axis=0)  # per tau
    np.testing.assert_allclose(made["rate"][inside], slope[inside], atol=0.01)
    np.testing.assert_array_equal(made["recorded"], indicated(x).astype("f4"))


@pytest.mark.parametrize("length", [7, 50])
def test_blocks_do_not_change_the_result(length: int) -> None:
    settings = {"rate": {"kind": "savitzky_golay"}, "indicator": {"decay": DECAY, "rise": 0.05}}
    found = chain([sines(60), sines(40)], breaks=(30, 59), **settings)
    one, other = whole(found, 1000), whole(found, length)
    for name, values in one.items():
        np.testing.assert_allclose(values, other[name], atol=1e-5)
    assert np.isfinite(one["rate"]).any()
    # Nothing of one session or side of a gap is in the other.
    before, after = found.estimator.reach
    for last in (30, 59):
        lost = one["rate"][last + 1 - after : last + 1 + before]
        assert np.isnan(lost).all()


def test_noise_of_state_and_rate_is_stated() -> None:
    noise = 0.02
    rng = np.random.default_rng(3)
    clean = indicated(sines(20_000, neurons=2))
    signal = clean + noise * rng.standard_normal(clean.shape)
    settings = {
        "indicator": {"decay": DECAY},
        "rate": {"kind": "savitzky_golay", "window": 5, "order": 2},
    }
    found, exact = chain([signal], **settings), chain([clean], noise="none", **settings)
    np.testing.assert_allclose(found.noise, noise, rtol=0.05)
    noisy, true = whole(found, 10**6), whole(exact, 10**6)
    for name, stated in (("activity", found.state_noise), ("rate", found.rate_noise)):
        sd = np.nanstd(noisy[name] - true[name], axis=0)
        np.testing.assert_allclose(sd, stated, rtol=0.1)
    assert "noise by autocovariance: standard deviation 0.02" in found.steps[-1]
    assert exact.noise.tolist() == [0, 0]


def test_baselines_are_those_of_a_session_and_scores_those_of_all() -> None:
    signals = [100 + 10 * sines(300), 200 + 20 * sines(300)]
    relative = whole(chain(signals, baseline={"quantile": 0.5, "window": 100.0}), 600)
    np.testing.assert_allclose(relative["activity"][:300], relative["activity"][300:], atol=1e-5)
    scores = whole(chain(signals, zscore=True), 600)["activity"]
    np.testing.assert_allclose([scores.mean(0), scores.std(0)], [[0] * 3, [1] * 3], atol=1e-5)
    assert scores[:300].mean() < scores[300:].mean()


def test_a_spline_says_its_penalty() -> None:
    rng = np.random.default_rng(3)
    signal = sines(2_000) + 0.1 * rng.standard_normal((2_000, 3))
    found = chain([signal], rate={"kind": "spline"})
    assert "penalty" in found.steps[0]
    assert "by the largest evidence" in found.steps[0]
    made = whole(found, 10**6)
    error = np.nanstd(made["activity"] - sines(2_000))
    assert error < 0.04  # of the noise of 0.1


def test_neurons_without_stretches_long_enough_are_said_to_have_no_known_noise() -> None:
    signal = sines(200)
    signal[:, 1] = np.nan
    found = chain([signal])
    assert any("1 neurons have too short stretches" in step for step in found.steps)


@pytest.mark.parametrize(
    ("target", "rate", "words"),
    [
        ("estimated", "", "source.observation.rate names no estimate"),
        ("finite_difference", "rate: {kind: spline}", "differences of the smoothed state"),
    ],
)
def test_target_and_estimate_must_agree(tmp_path: Path, target: str, rate: str, words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "source:\n  kind: recording\n  files: [a.npy]\n  observation: {noise: none"
        f"{', ' if rate else ''}{rate}}}\ntraining:\n  target: {target}\n"
    )
    with pytest.raises(ConfigError, match=words):
        load(path, Experiment)


def test_rates_of_a_simulation_are_not_estimated(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("training:\n  target: estimated\n")
    with pytest.raises(ConfigError, match="only from recordings"):
        load(path, Experiment)


@pytest.mark.parametrize(
    ("window", "order", "words"), [(8, 2, "expected an odd number"), (5, 5, "lower order")]
)
def test_windows_that_fit_no_polynomial(window: int, order: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        chain([sines(50)], rate={"kind": "savitzky_golay", "window": window, "order": order})
