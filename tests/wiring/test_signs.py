"""Signs drawn from probabilities: how often, of whom, and with all else kept."""

import numpy as np
import pandas as pd
import pytest

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls.signs import excitatory_probability, sampled_signs


@pytest.fixture
def given_one(rng) -> Connectome:
    """Weights of either sign, neurons of four types."""
    weights = rng.normal(size=(40, 40)) * (rng.random((40, 40)) < 0.2)
    kinds = rng.choice(["A", "B", "C", "D"], 40)
    return Connectome(weights, pd.DataFrame({"id": np.arange(40), "cell_type": kinds}))


def dense(connectome: Connectome) -> np.ndarray:
    return connectome.weights.toarray()


class TestSampledSigns:
    def test_certain_signs_are_those_given(self, given_one, rng):
        p = (np.arange(40) % 2).astype(float)
        found = sampled_signs(given_one, p, rng)
        np.testing.assert_array_equal(np.abs(dense(found)), np.abs(dense(given_one)))
        assert (dense(found)[:, p == 1] >= 0).all()
        assert (dense(found)[:, p == 0] <= 0).all()
        np.testing.assert_array_equal(found.neurons["sign"], np.where(p, 1, -1))

    @pytest.mark.slow
    def test_signs_come_as_often_as_they_must(self, given_one, rng):
        draws = [
            sampled_signs(given_one, np.full(40, 0.7), rng).neurons["sign"] for _ in range(100)
        ]
        assert np.mean(np.array(draws) > 0) == pytest.approx(0.7, abs=4 * (0.21 / 4000) ** 0.5)

    def test_neurons_of_a_type_can_share_a_draw(self, given_one, rng):
        p = dict.fromkeys("ABCD", 0.5)
        found = sampled_signs(given_one, p, rng, by="cell_type").neurons
        assert (found.groupby("cell_type")["sign"].nunique() == 1).all()

    def test_probabilities_from_transmitters(self):
        calls = pd.DataFrame({"ach": [0.6, 0.0], "gaba": [0.2, 0.9], "ser": [0.2, 0.1]})
        found = excitatory_probability(calls, {"ach": 1, "gaba": -1})
        np.testing.assert_allclose(found, [0.75, 0])

    def test_refusals(self, given_one, rng):
        with pytest.raises(ConnectomeError, match="the probability to excite of D is nan"):
            sampled_signs(given_one, dict.fromkeys("ABC", 0.5), rng, by="cell_type")
        with pytest.raises(ConnectomeError, match=r"of 3 is 1.5, expected a number from 0 to 1"):
            sampled_signs(given_one, np.where(np.arange(40) == 3, 1.5, 0.5), rng)
        with pytest.raises(ConnectomeError, match=r"shape \(3,\), expected \(40,\)"):
            sampled_signs(given_one, np.zeros(3), rng)
        with pytest.raises(ConnectomeError, match="share a draw have different probabilities"):
            sampled_signs(given_one, np.arange(40) / 40, rng, by="cell_type")
        with pytest.raises(ConnectomeError, match=r"no column for the transmitters \['glut'\]"):
            excitatory_probability(pd.DataFrame({"ach": [1.0]}), {"glut": -1})
        with pytest.raises(ConnectomeError, match="1 rows, the first 0, give no probability"):
            excitatory_probability(pd.DataFrame({"ach": [0.0]}), {"ach": 1})
