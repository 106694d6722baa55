"""Lines of progress: how often, what they say, and that a silent step shows that it lives."""

import sys
import time
from functools import partial

import pytest

from ngpipe.artifacts import progress as module
from ngpipe.artifacts import solver_lines as told_module
from ngpipe.artifacts.progress import Lines, alive, duration, progress
from ngpipe.artifacts.solver_lines import Told


class Clock:
    """A clock that a test turns."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def run(seconds: float, total: int, capsys: pytest.CaptureFixture) -> list[str]:
    """Lines of a step of so many units that takes so long."""
    clock = Clock()
    with Lines(total, "train", unit="step", clock=clock) as lines:
        for k in range(total):
            clock.now = seconds * (k + 1) / total
            lines.update()
    return capsys.readouterr().err.splitlines()


def test_a_line_says_how_far_and_how_long_still(capsys):
    clock = Clock()
    lines = Lines(4000, "train", unit="step", clock=clock)
    clock.now = 62.0
    lines.set_postfix_str("held-out loss 0.1")
    lines.update(1240)
    assert capsys.readouterr().err == (
        "train: 1240/4000 steps, 31 %, 2 min left, held-out loss 0.1\n"
    )


def test_what_was_done_before_does_not_count_for_the_time_left(capsys):
    clock = Clock()
    lines = Lines(100, "train", unit="step", initial=50, clock=clock)
    clock.now = 20.0
    lines.update(10)
    assert "60/100 steps, 60 %, 80 s left" in capsys.readouterr().err


def test_a_step_that_goes_on_says_where(capsys):
    for done, told in ((50, "train: goes on at 50/100 steps\n"), (0, "")):
        with Lines(100, "train", unit="step", initial=done, clock=Clock()):
            assert capsys.readouterr().err == told
        capsys.readouterr()


def test_intervals_grow_to_a_minute(capsys):
    assert run(1.0, 1000, capsys) == ["train: 1000/1000 steps, 100 %, 1.0 s"]
    assert 4 <= len(run(60.0, 1000, capsys)) <= 9
    hour = run(3600.0, 10000, capsys)
    assert 55 <= len(hour) <= 75
    assert hour[-1] == "train: 10000/10000 steps, 100 %, 1 h 0 min"


def test_a_pipe_gets_lines(capsys):
    assert isinstance(progress(3, "simulate", unit="frame"), Lines)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (45.0, "45 s"), (99.4, "99 s"), (720.0, "12 min"), (3900.0, "1 h 5 min")],
)
def test_durations_are_said_as_people_do(seconds, text):
    assert duration(seconds) == text


def test_a_silent_step_says_that_it_is_at_work(capsys, monkeypatch):
    monkeypatch.setattr(module, "SILENCE", 0.2)
    with alive("recover"):
        time.sleep(0.5)
    assert "recover: at work, 0.2 s so far" in capsys.readouterr().err


def test_a_step_that_speaks_is_left_alone(capsys, monkeypatch):
    monkeypatch.setattr(module, "SILENCE", 1.0)
    with alive("train"), Lines(10, "train", unit="step") as lines:
        for _ in range(10):
            time.sleep(0.15)
            lines.update()
    assert "at work" not in capsys.readouterr().err


def test_the_closed_form_counts_its_parts(capsys, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(told_module, "Lines", partial(Lines, clock=clock))
    told = Told(["field", "networks"])
    told.begins("psi of all", 1, 6)
    told.reached("recording", n_neurons=2048, expected_r2=0.98765)
    for step in range(1, 101):
        clock.now += 0.1
        told.on_the_way("field", step, 100)
    told.reached("field", loss=1e-3)
    told.on_the_way("networks", 1, 100)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "closed form, part 1 of 8: psi of all"
    assert lines[1].endswith("recording: n_neurons 2048, expected_r2 0.988")
    assert lines[2] == "closed form, part 7 of 8: field"
    assert lines[3] == "field: 21/100 steps, 21 %, 7.5 s left"
    assert lines[-1] == "closed form, part 8 of 8: networks"


def test_bars_are_for_terminals(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress(3, "simulate", unit="frame") as bar:
        assert not isinstance(bar, Lines)
        bar.update()
