"""Types and their number come from the curves alone."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from ngpipe.assembly.types import cluster, common_range
from ngpipe.config.assembly.recovery import Recovery

X = np.linspace(-5, 5, 60)


def curves(n_types: int, n: int, noise: float, seed: int = 0):
    """phi curves of neurons of random types on a lattice of leaks and self-excitations."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(n_types)))
    types = rng.permutation(np.arange(n) % n_types)
    leak, drive = 1 + types % side, 1 + types // side
    clean = -leak[:, None] * X + drive[:, None] * np.tanh(X)
    return clean + noise * rng.normal(size=(n, 1)) * np.sin(X), types


@pytest.mark.quick(1)
@pytest.mark.parametrize("n_types", [2, 3, 4, 9, 16])
def test_the_number_of_types_is_found(n_types):
    features, types = curves(n_types, 200, noise=0.02)
    labels = cluster(features, Recovery())
    assert labels.max() + 1 == n_types
    assert adjusted_rand_score(types, labels) == 1


@pytest.mark.quick(1)
@pytest.mark.parametrize("n_types", [4, 9])
def test_small_differences_beside_large_ones_count(n_types):
    """Over a wide range leaks differ by hundreds, self-excitations by one."""
    wide = np.linspace(-100, 100, 60)
    rng = np.random.default_rng(3)
    side = int(n_types**0.5)
    types = rng.permutation(np.arange(240) % n_types)
    leak, drive = 1 + types % side, 1 + types // side
    features = -leak[:, None] * wide + drive[:, None] * np.tanh(wide)
    features = features + 0.05 * rng.normal(size=features.shape)
    labels = cluster(features, Recovery())
    assert labels.max() + 1 == n_types
    assert adjusted_rand_score(types, labels) == 1


def test_outliers_are_no_types():
    """Two neurons far from the others of their type stay with it."""
    features, types = curves(4, 200, noise=0.02)
    for odd in np.flatnonzero(types == 2)[:2]:
        features[odd] += 0.3 * np.cos(X)
    assert adjusted_rand_score(types, cluster(features, Recovery())) == 1


def test_errors_of_a_thousandth_make_no_types():
    """However clear their groups."""
    features, types = curves(2, 100, noise=0.001)
    features[:20] *= 1.0005
    assert adjusted_rand_score(types, cluster(features, Recovery())) == 1
    assert cluster(np.broadcast_to(-X, (50, len(X))) + 0.0, Recovery()).max() == 0


def test_a_tail_is_no_type():
    """A twentieth of a type strays, further and further: no gap, so no type of its own."""
    features, types = curves(4, 400, noise=0.005)
    stray = np.flatnonzero(types == 2)[:8]
    features[stray] += np.linspace(0.03, 0.4, 8)[:, None] * np.cos(X)
    assert adjusted_rand_score(types, cluster(features, Recovery())) == 1


@pytest.mark.slow
def test_neurons_in_between_do_not_join_large_types():
    """Half of a percent of each strays to the middle: means are 20 spreads apart all the same."""
    wide = np.linspace(-100, 100, 60)
    features, types = curves(4, 800, noise=0.0)
    leak, drive = 1 + types % 2, 1 + types // 2
    rng = np.random.default_rng(5)
    features = -leak[:, None] * wide + drive[:, None] * np.tanh(wide)
    features = features + 0.03 * rng.normal(size=(800, 1)) * np.tanh(wide)
    for k, side in enumerate((0.25, 0.25, -0.25, -0.25)):
        features[np.flatnonzero(types == k)[:1]] += side * np.tanh(wide)
    assert adjusted_rand_score(types, cluster(features, Recovery())) == 1


def test_no_more_types_than_allowed():
    features, _ = curves(9, 200, noise=0.001)
    assert cluster(features, Recovery(max_types=5)).max() + 1 <= 5


def test_an_even_spread_along_a_line_is_one_type():
    rng = np.random.default_rng(2)
    along = rng.uniform(-1, 1, 300)
    features = -X + along[:, None] * np.sin(X) * 0.02
    features[150:] += -X
    assert cluster(features, Recovery()).max() + 1 == 2


def test_one_type_stays_one():
    """A cloud without gaps is not cut into pieces."""
    rng = np.random.default_rng(1)
    features = -X + 0.1 * rng.normal(size=(200, 3)) @ np.stack([X, np.tanh(X), np.sin(X)])
    assert cluster(features, Recovery()).max() == 0


def test_a_given_number_is_kept():
    features, _ = curves(4, 100, noise=0.02)
    assert len(np.unique(cluster(features, Recovery(n_types=3)))) == 3
    assert np.all(cluster(features, Recovery(n_types=1)) == 0)


def test_labels_follow_the_order_of_neurons():
    features, _ = curves(4, 100, noise=0.02)
    labels = cluster(features, Recovery())
    _, first = np.unique(labels, return_index=True)
    assert np.all(np.diff(first) > 0)
    assert labels[0] == 0


def test_common_range_is_where_all_neurons_have_been():
    bounds = np.array([[-5.0, 3.0], [-4.0, 6.0], [-7.0, 5.0]])
    assert common_range(bounds) == (-4.0, 3.0)


def test_disjoint_ranges_fall_back_to_the_typical_one():
    bounds = np.array([[-5.0, -3.0], [3.0, 6.0], [-7.0, 5.0]])
    assert common_range(bounds) == (-5.0, 5.0)
