"""The page on an assembly recovered from activity at hand needs no truth, and has room for all."""

import pytest
from drawing import clipped, overlapping, texts
from synthetic import material

from ngpipe.figures.assembly.overview import overview


@pytest.mark.slow
def test_the_page_has_room_for_its_panels():
    results = material("phi").results
    recorded = results["simulation"][["activity"]].drop_vars("x", errors="ignore")
    rollout = material("rollout").results["rollout"]
    training = material("learning_curve").results["training"]
    figure = overview(recorded, results["recovery"], rollout, training)
    assert not clipped(figure)
    titles = [text for text in texts(figure) if "bf" in text.get_text()]
    assert len(titles) == 6
    assert overlapping(titles) == []
