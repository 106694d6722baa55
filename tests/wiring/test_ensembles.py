"""Random connectivity: the distributions the paper names, with W[post, pre]."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from ngpipe.config.assembly.connectivity import Block, Connectivity, Gaussian, Lorentz, LowRank
from ngpipe.wiring.ensembles import lorentz_exponent, weights

KINDS = [Lorentz, Gaussian, LowRank, Block]
N = 1000


def off_diagonal(matrix: np.ndarray) -> np.ndarray:
    return matrix[~np.eye(len(matrix), dtype=bool)]


@st.composite
def sections(draw):
    """Any generated ensemble with any of the common options."""
    kind = draw(st.sampled_from(["lorentz", "gaussian", "low_rank", "block"]))
    filling = draw(st.floats(0.05, 1))
    excitatory = draw(st.none() | st.floats(0, 1))
    content = {"kind": kind, "filling": filling, "excitatory": excitatory}
    seed = draw(st.integers(0, 2**32))
    return TypeAdapter(Connectivity).validate_python({**content, "seed": seed})


@given(sections(), st.integers(1, 12))
def test_every_ensemble_is_a_square_float32_matrix_without_self_connections(cfg, n):
    matrix = weights(cfg, n)
    assert matrix.shape == (n, n)
    assert matrix.dtype == np.float32
    assert np.isfinite(matrix).all()
    assert not np.diagonal(matrix).any()


@given(sections(), st.integers(1, 12))
def test_the_same_seed_gives_the_same_bytes(cfg, n):
    assert weights(cfg, n).tobytes() == weights(cfg, n).tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_another_seed_gives_other_weights(kind):
    assert (weights(kind(seed=1), 20) != weights(kind(seed=2), 20)).sum() > 100


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_of_both_signs_and_not_symmetric(kind):
    matrix = weights(kind(), 200)
    present = off_diagonal(matrix)
    present = present[present != 0]
    assert np.mean(present > 0) == pytest.approx(0.5, abs=0.05)
    assert abs(np.corrcoef(off_diagonal(matrix), off_diagonal(matrix.T))[0, 1]) < 0.1


@pytest.fixture(scope="module")
def draws():
    """The draws C behind Lorentz weights; those beyond the cutoff are 0."""
    return off_diagonal(weights(Lorentz(), N).astype(float)) * N**0.7


class TestLorentz:
    """C is standard Cauchy: P(|C| > c) = 1 - (2/pi) atan(c). W = C / N^0.7, C > 25 removed."""

    def test_nothing_lies_beyond_the_cutoff(self, draws):
        assert 24.5 < np.abs(draws).max() <= 25 * (1 + 1e-6)

    def test_what_lay_beyond_is_zero_not_clipped(self, draws):
        beyond = 1 - 2 / np.pi * np.arctan(25)
        assert np.mean(draws == 0) == pytest.approx(beyond, rel=0.04)
        assert np.sum(np.abs(draws) > 24.99) < 50

    def test_half_of_the_draws_are_larger_than_one(self, draws):
        """The median of |C| is 1, with the removed tail counted where it was: above."""
        assert np.mean((np.abs(draws) > 1) | (draws == 0)) == pytest.approx(0.5, abs=0.003)

    def test_quartiles_are_those_of_a_cauchy_distribution(self, draws):
        for c in (0.25, 0.5, 2, 5, 10):
            expected = 2 / np.pi * (np.arctan(25) - np.arctan(c))
            assert np.mean(np.abs(draws) > c) == pytest.approx(expected, abs=0.003)

    def test_the_standard_deviation_is_that_of_the_paper(self):
        matrix = weights(Lorentz(seed=7), N)
        assert off_diagonal(matrix).std() == pytest.approx(3.865 / N**0.7, rel=0.01)

    def test_the_spectral_radius_is_about_one(self):
        """So that with gain 10 and leak 1 or 2 the paper's assembly is active by itself."""
        radius = np.abs(np.linalg.eigvals(weights(Lorentz(), 400))).max()
        assert radius == pytest.approx(3.865 * 400**0.5 / 400**0.7, rel=0.15)

    @pytest.mark.parametrize(
        ("n", "exponent"),
        [
            (100, 0.7),
            (1000, 0.7),
            (1999, 0.7),
            (2000, 0.675),
            (3999, 0.675),
            (4000, 0.67),
            (7999, 0.67),
            (8000, 0.66),
            (8001, 0.5),
            (45_669, 0.5),
        ],
    )
    def test_the_exponent_follows_the_size(self, n, exponent):
        assert lorentz_exponent(n) == exponent

    def test_the_rule_is_applied_and_can_be_overridden(self):
        by_rule = weights(Lorentz(), 50).astype(float)
        np.testing.assert_allclose(weights(Lorentz(exponent=0.5), 50), by_rule * 50**0.2, rtol=1e-5)

    def test_a_lower_cutoff_removes_more_and_leaves_the_rest(self):
        wide, narrow = weights(Lorentz(), 100), weights(Lorentz(cutoff=2.0), 100)
        kept = np.abs(wide) <= 2 * 100**-0.7
        np.testing.assert_array_equal(narrow[kept], wide[kept])
        assert not narrow[~kept].any()


class TestGaussian:
    @pytest.mark.parametrize(("std", "expected"), [(None, 400**-0.5), (0.3, 0.3)])
    def test_the_standard_deviation(self, std, expected):
        assert off_diagonal(weights(Gaussian(std=std), 400)).std() == pytest.approx(
            expected, rel=0.01
        )

    def test_the_distribution_is_normal(self):
        """Kurtosis 3, and 4.55 % of the draws beyond two standard deviations."""
        z = off_diagonal(weights(Gaussian(std=1.0), 400)).astype(float)
        assert np.mean(z) == pytest.approx(0, abs=0.01)
        assert np.mean(z**4) == pytest.approx(3, abs=0.1)
        assert np.mean(np.abs(z) > 2) == pytest.approx(0.0455, abs=0.002)


class TestLowRank:
    @pytest.mark.parametrize("rank", [1, 3, 8])
    def test_a_part_without_diagonal_has_the_rank_asked_for(self, rank):
        """The diagonal is emptied afterwards, so look beside it."""
        part = weights(LowRank(rank=rank), 90)[:40, 50:]
        singular = np.linalg.svd(part.astype(float), compute_uv=False)
        assert singular[rank - 1] > 0.05 * singular[0]
        assert singular[rank] < 1e-5 * singular[0]

    def test_weights_are_as_large_as_gaussian_ones(self):
        assert off_diagonal(weights(LowRank(rank=50), 400)).std() == pytest.approx(
            400**-0.5, rel=0.05
        )


class TestBlock:
    @pytest.mark.parametrize(("within", "between"), [(0.5, 0.1), (1.0, 0.0), (0.2, 0.6)])
    def test_densities_inside_and_between_blocks(self, within, between):
        n, n_blocks = 600, 3
        matrix = weights(Block(n_blocks=n_blocks, within=within, between=between), n)
        for post in range(n_blocks):
            for pre in range(n_blocks):
                part = matrix[post * 200 : (post + 1) * 200, pre * 200 : (pre + 1) * 200]
                present = np.count_nonzero(part) / (40_000 - 200 * (post == pre))
                expected = within if post == pre else between
                assert present == pytest.approx(expected, abs=0.015)

    def test_present_weights_are_normal_with_the_width_asked_for(self):
        matrix = weights(Block(within=0.3, between=0.3, std=0.2), 400)
        assert matrix[matrix != 0].std() == pytest.approx(0.2, rel=0.02)

    def test_blocks_are_contiguous_also_where_the_size_does_not_divide(self):
        present = weights(Block(n_blocks=3, within=1.0, between=0.0), 10) != 0
        rows = [tuple(np.flatnonzero(row | (np.arange(10) == i))) for i, row in enumerate(present)]
        assert list(dict.fromkeys(rows)) == [(0, 1, 2, 3), (4, 5, 6), (7, 8, 9)]


class TestFilling:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("filling", [0.05, 0.5])
    def test_the_share_asked_for_is_kept_unchanged(self, kind, filling):
        full, sparse = weights(kind(seed=3), 300), weights(kind(seed=3, filling=filling), 300)
        kept = sparse != 0
        np.testing.assert_array_equal(sparse[kept], full[kept])
        share = kept.sum() / np.count_nonzero(full)
        assert share == pytest.approx(filling, abs=4 * (0.25 / np.count_nonzero(full)) ** 0.5)

    def test_which_connections_exist_has_nothing_to_do_with_their_weight(self):
        kept = off_diagonal(weights(Gaussian(std=1.0, filling=0.5), 400))
        assert kept[kept != 0].std() == pytest.approx(1.0, rel=0.01)

    def test_which_connections_exist_is_not_symmetric(self):
        present = weights(Gaussian(filling=0.1), 300) != 0
        assert np.mean(present & present.T) == pytest.approx(0.01, abs=0.003)


class TestDale:
    @given(sections(), st.integers(2, 12), st.floats(0, 1))
    def test_each_neuron_sends_one_sign_and_sizes_are_unchanged(self, cfg, n, excitatory):
        free = weights(cfg.model_copy(update={"excitatory": None}), n)
        dale = weights(cfg.model_copy(update={"excitatory": excitatory}), n)
        n_excitatory = round(excitatory * n)
        assert (dale[:, :n_excitatory] >= 0).all()
        assert (dale[:, n_excitatory:] <= 0).all()
        np.testing.assert_array_equal(np.abs(dale), np.abs(free))

    def test_columns_send_and_rows_receive(self):
        """Rows of a Dale matrix hold both signs; with rows for columns this fails."""
        matrix = weights(Gaussian(excitatory=0.8), 100)
        assert (matrix[:, :80].min(axis=0) >= 0).all()
        assert (matrix[:, 80:].max(axis=0) <= 0).all()
        assert ((matrix > 0).any(axis=1) & (matrix < 0).any(axis=1)).all()
