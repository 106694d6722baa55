"""Layered paths: connections lead from pre to post, look as they act, and are legible."""

from itertools import combinations, pairwise, permutations

import numpy as np
import pandas as pd
import pytest
from drawing import STYLE, clipped, overlapping, panel, texts
from matplotlib.colors import to_rgba
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.transforms import Bbox

from ngpipe.errors import ArgumentError
from ngpipe.figures.drawing import compose
from ngpipe.figures.drawing.layered import THIN, WIDE, layered_paths
from ngpipe.figures.drawing.ordering import crossings, fewest_crossings
from ngpipe.figures.drawing.scale import MISSING

NAMES = [f"{a}{b}{c}" for a in ("AV", "PV", "DB") for b in "ABCD" for c in "LR"]


def random_paths(sizes, chance, seed=0, activity=True) -> pd.DataFrame:
    """Random signed connections between random groups."""
    rng = np.random.default_rng(seed)
    layers = [rng.permutation(NAMES)[:n].tolist() for n in sizes]
    active = [dict(zip(names, rng.uniform(size=len(names)), strict=True)) for names in layers]
    rows = [
        (k + 1, a, b, rng.gamma(1.5) * rng.choice([-0.1, 0.1]), active[k][a], active[k + 1][b])
        for k, (first, second) in enumerate(pairwise(layers))
        for a in first
        for b in second
        if rng.uniform() < chance
    ]
    columns = ["layer", "pre", "post", "weight", "pre_activation", "post_activation"]
    table = pd.DataFrame(rows, columns=columns)
    return table if activity else table[columns[:4]]


SMALL = pd.DataFrame(
    {
        "layer": [1, 1, 2, 2],
        "pre": ["a", "b", "c", "d"],
        "post": ["c", "d", "e", "e"],
        "weight": [0.5, -0.25, 1.0, -1.0],
    }
)


def drawn(table, size=(3.4, 2.6), **options):
    return panel(layered_paths, size, table=table, **options)


def curves(figure) -> dict[str, FancyArrowPatch]:
    """Connections by name, as in layer:pre->post."""
    found = figure.axes[0].findobj(lambda a: isinstance(a, FancyArrowPatch))
    return {curve.get_label(): curve for curve in found if "->" in curve.get_label()}


def boxes(figure) -> dict[tuple[int, str], Bbox]:
    """Boxes in pixels by column and name."""
    ax = figure.axes[0]
    patches = [p.get_window_extent() for p in ax.findobj(FancyBboxPatch) if p is not ax.patch]
    found = {}
    for text in ax.texts:
        box = text.get_window_extent()
        x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
        (mine,) = [p for p in patches if p.contains(x, y)]
        found[round(text.get_position()[0]), text.get_text()] = mine
    return found


def fills(figure) -> dict[str, tuple]:
    ax = figure.axes[0]
    patches = [p for p in ax.findobj(FancyBboxPatch) if p.get_zorder() == 3]
    return dict(zip((t.get_text() for t in ax.texts), (p.get_facecolor() for p in patches)))  # noqa: B905


class TestConnections:
    def test_each_leads_from_the_right_of_its_pre_box_to_the_left_of_its_post_box(self):
        table = random_paths((4, 6, 5), 0.4)
        figure = drawn(table)
        found, lines = boxes(figure), curves(figure)
        assert len(lines) == len(table)
        for row in table.itertuples():
            ends = lines[f"{row.layer}:{row.pre}->{row.post}"]
            ends = ends.get_transform().transform(ends.get_path().vertices)
            pre, post = found[row.layer - 1, row.pre], found[row.layer, row.post]
            start = ends[0]
            assert start[0] == pytest.approx(pre.x1, abs=1.5)
            assert pre.y0 < start[1] < pre.y1
            tip = ends[np.argmax(ends[:, 0])]
            assert post.x0 - 8 < tip[0] <= post.x0  # less the point of the arrow
            assert post.y0 - 4 < tip[1] < post.y1 + 4

    def test_columns_are_layers_from_left_to_right(self):
        figure = drawn(SMALL)
        x = {name: box.x0 for (_, name), box in boxes(figure).items()}
        assert x["a"] == x["b"] < x["c"] == x["d"] < x["e"]
        labels = [t.get_text() for t in figure.axes[0].get_xticklabels()]
        assert labels == ["layer 0", "1", "2"]

    def test_sign_is_told_by_colour_and_by_end(self):
        lines = curves(drawn(SMALL))
        excites, inhibits = lines["2:c->e"], lines["2:d->e"]
        red, _, blue, _ = excites.get_edgecolor()
        assert red > blue
        red, _, blue, _ = inhibits.get_edgecolor()
        assert blue > red
        assert type(excites.get_arrowstyle()) is not type(inhibits.get_arrowstyle())
        assert excites.get_arrowstyle().arrow == "-|>"
        assert inhibits.get_arrowstyle().arrow == "-["

    def test_width_follows_the_magnitude_or_another_column(self):
        lines = curves(drawn(SMALL))
        widths = [line.get_linewidth() for line in lines.values()]
        size = SMALL["weight"].abs()
        expected = sorted(THIN + (WIDE - THIN) * size / size.max())
        assert sorted(widths) == pytest.approx(expected)
        assert lines["2:d->e"].get_linewidth() == WIDE
        flows = curves(drawn(SMALL.assign(flow=[4.0, 1, 2, 1]), width="flow"))
        assert flows["1:a->c"].get_linewidth() == WIDE

    def test_the_strongest_lies_on_top(self):
        lines = list(curves(drawn(random_paths((4, 5), 0.7))).values())
        widths = [line.get_linewidth() for line in lines]
        assert widths == sorted(widths)

    def test_keys_say_what_lines_mean(self):
        def keys(table, **options):
            legend = drawn(table, **options).axes[0].get_legend()
            return [t.get_text() for t in legend.get_texts()]

        assert keys(SMALL) == ["excites", "inhibits", "|weight| = 1"]
        assert keys(SMALL[SMALL["weight"] > 0])[:-1] == ["excites"]
        flows = keys(SMALL.assign(flow=[0.25, 0.1, 0.2, 0.1]), width="flow")
        assert flows[-1] == "|flow| = 0.25"


class TestGroups:
    def test_boxes_are_filled_by_activity_with_a_bar(self):
        table = SMALL.assign(
            pre_activation=[0.1, np.nan, 0.5, 0.9], post_activation=[0.5, 0.9, 1, 1]
        )
        figure = drawn(table, label="activity [1]")
        shown = fills(figure)
        assert shown["b"] == to_rgba(MISSING)
        luminance = {k: 0.3 * r + 0.6 * g + 0.1 * b for k, (r, g, b, _) in shown.items()}
        assert luminance["a"] < luminance["c"] < luminance["d"] < luminance["e"]
        (bar,) = figure.axes[1:]
        assert bar.get_ylabel() == "activity [1]"

    def test_without_activity_there_is_no_bar(self):
        figure = drawn(SMALL)
        assert len(figure.axes) == 1
        assert set(fills(figure).values()) == {(1, 1, 1, 1)}

    def test_layers_may_begin_late_and_leave_a_gap(self):
        figure = drawn(SMALL.assign(layer=[3, 3, 6, 6]))
        assert sorted({layer for layer, _ in boxes(figure)}) == [2, 3, 5, 6]

    @pytest.mark.slow
    def test_order_of_rows_does_not_matter(self):
        table = random_paths((5, 6, 5), 0.4)
        one, two = drawn(table), drawn(table.sample(frac=1, random_state=3))
        first, second = boxes(one), boxes(two)
        assert first.keys() == second.keys()
        assert all(np.allclose(first[k].extents, second[k].extents) for k in first)


class TestLegible:
    @pytest.mark.quick(1)
    @pytest.mark.parametrize(
        ("sizes", "page"),
        [
            ((5, 6, 4), (2.4, 2.1)),
            ((4, 5), (2.4, 2.1)),
            ((12, 12, 12), (3.4, 2.6)),
            ((6, 12, 12, 5), (3.4, 2.6)),
            ((6, 12, 12, 12, 12, 12, 5), (7.2, 2.6)),
        ],
    )
    def test_no_text_overlaps_and_nothing_is_clipped(self, sizes, page):
        figure = drawn(random_paths(sizes, 0.35, seed=4), page)
        assert not clipped(figure)
        shown = texts(figure)
        assert not overlapping(shown)
        assert min(t.get_fontsize() for t in shown) >= 6.5
        for one, two in combinations(boxes(figure).values(), 2):
            assert Bbox.intersection(one, two) is None

    def test_names_fit_into_their_boxes(self):
        figure = drawn(SMALL.replace({"a": "CT1(Lo1)", "e": "VA12"}))
        for text in figure.axes[0].texts:
            (box,) = [b for (_, name), b in boxes(figure).items() if name == text.get_text()]
            ink = text.get_window_extent()
            assert box.x0 < ink.x0 < ink.x1 < box.x1


class TestOrdering:
    def test_crossings_are_counted(self, rng):
        ranks = [rng.permutation(6), rng.permutation(5)]
        links = np.stack([rng.integers(0, 6, 12), rng.integers(0, 5, 12)], axis=1)
        expected = sum(
            (ranks[0][a] - ranks[0][c]) * (ranks[1][b] - ranks[1][d]) < 0
            for (a, b), (c, d) in combinations(links.tolist(), 2)
        )
        assert crossings(ranks, [links]) == expected > 5

    def test_a_graph_that_needs_none_has_none(self, rng):
        sizes = (6, 6, 6)
        hidden = [rng.permutation(n) for n in sizes]
        chain = [(k, k) for k in range(6)] + [(k, k + 1) for k in range(5)]
        links = [np.array([(hidden[g][a], hidden[g + 1][b]) for a, b in chain]) for g in range(2)]
        start = [np.arange(n) for n in sizes]
        assert crossings(start, links) > 10
        assert crossings(fewest_crossings(sizes, links), links) == 0

    def test_two_layers_come_near_the_best_of_all_orders(self, rng):
        links = np.stack([rng.integers(0, 5, 9), rng.integers(0, 5, 9)], axis=1)
        links = np.unique(links, axis=0)
        best = min(
            crossings([np.array(a), np.array(b)], [links])
            for a in permutations(range(5))
            for b in permutations(range(5))
        )
        assert crossings(fewest_crossings((5, 5), [links]), [links]) <= best + 1

    def test_it_never_makes_things_worse_and_ranks_are_permutations(self, rng):
        for _ in range(10):
            sizes = rng.integers(1, 9, 4).tolist()
            links = [
                np.stack([rng.integers(0, a, 8), rng.integers(0, b, 8)], axis=1)
                for a, b in pairwise(sizes)
            ]
            ranks = fewest_crossings(sizes, links)
            assert [sorted(r) for r in ranks] == [list(range(n)) for n in sizes]
            assert crossings(ranks, links) <= crossings([np.arange(n) for n in sizes], links)

    def test_the_drawing_has_that_order(self):
        """Two links that cross in alphabetical order do not in the picture."""
        crossed = SMALL[:2].assign(post=["d", "c"])
        y = {name: box.y0 for (_, name), box in boxes(drawn(crossed)).items()}
        assert (y["a"] > y["b"]) == (y["d"] > y["c"])


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda t: t.drop(columns="weight"), {}, r"4 rows and lacks the columns \['weight'"),
        (lambda t: t[:0], {}, "has 0 rows"),
        (lambda t: t, {"width": "flow"}, r"lacks the columns \['flow'\]"),
        (lambda t: pd.concat([t, t[:1]]), {}, "a -> c of layer 1 is in the table twice"),
        (lambda t: t.assign(weight=[0.0, 1, 1, 1]), {}, "weight of the connection a -> c.* is 0"),
        (lambda t: t.assign(weight=[1, 1, np.nan, 1]), {}, "weight of the connection c -> e.*nan"),
        (
            lambda t: t.assign(pre_activation=[0.1, 0.1, 0.7, 0.2], post_activation=0.2),
            {},
            "group c has activities 0.7 and 0.2 in layer 1",
        ),
    ],
)
def test_bad_input_is_named(change, options, words):
    with pytest.raises(ArgumentError, match=words):
        drawn(change(SMALL), **options)


def test_more_groups_than_can_be_told_apart_are_refused():
    many = pd.DataFrame({"layer": 1, "pre": "a", "post": [f"b{k}" for k in range(25)], "weight": 1})
    with pytest.raises(ArgumentError, match="layer 1 has 25 groups"):
        drawn(many)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_same_input_same_bytes_and_the_table_is_not_changed(tmp_path, suffix):
    table = random_paths((4, 5, 4), 0.4)
    before = table.copy()
    paths = [tmp_path / f"{k}{suffix}" for k in range(2)]
    for path in paths:
        compose.save(drawn(table), path, STYLE)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    pd.testing.assert_frame_equal(table, before)
