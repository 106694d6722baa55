"""NIX files of Neo: signals in their unit, segments as trials."""

import numpy as np
import pytest
from reading import read

from ngpipe.errors import RecordingError

neo = pytest.importorskip("neo")
pytest.importorskip("nixio")


def write(path, signals):
    block = neo.Block()
    for signal in signals:
        segment = neo.Segment()
        block.segments.append(segment)
        segment.analogsignals.append(signal)
    with neo.io.NixIO(str(path), "ow") as io:
        io.write_block(block)
    return path


def signal(values, rate=10.0, units="mV", name="v"):
    import quantities

    names = np.array(["a", "b", "c"])
    return neo.AnalogSignal(
        values,
        units=units,
        sampling_rate=rate * quantities.Hz,
        name=name,
        array_annotations={"channel_names": names},
    )


def test_segments_are_trials(tmp_path, rng):
    parts = [rng.normal(size=(n, 3)) for n in (6, 4)]
    found = read(write(tmp_path / "a.nix", [signal(part) for part in parts]))
    np.testing.assert_array_equal(found.values, np.concatenate(parts))
    assert (found.units, found.rate, found.labels) == ("mV", 10.0, ("a", "b", "c"))
    assert found.segments.tolist() == [0] * 6 + [1] * 4


def test_segments_that_differ_are_refused(tmp_path, rng):
    values = rng.normal(size=(6, 3))
    path = write(tmp_path / "a.nix", [signal(values), signal(values, rate=20.0)])
    with pytest.raises(RecordingError, match="segments of 'v' differ in unit, rate"):
        read(path)
