"""Which cases of a parametrised test are quick: few of many, chosen by the mark `quick`.

`@pytest.mark.quick` leaves to `make quick` as few cases as show every value of every parameter
once, `@pytest.mark.quick(n)` the first n of these; the others are slow. Each case that is chosen
shows as many values not seen before as it can, so a product of two equal lists gives its diagonal.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence

import pytest


def mark_others_slow(items: Iterable[pytest.Item]) -> None:
    """Mark as slow all cases but the chosen ones, for all tests with the mark."""
    tests: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("quick"):
            tests.setdefault(item.nodeid.split("[")[0], []).append(item)
    for cases in tests.values():
        mark = cases[0].get_closest_marker("quick")
        chosen = choose([values(case) for case in cases], *mark.args)
        for number, case in enumerate(cases):
            if number not in chosen:
                case.add_marker(pytest.mark.slow)


def values(case: pytest.Item) -> dict[str, Hashable]:
    """The value of each parameter, as what it is rather than what it equals."""
    callspec = getattr(case, "callspec", None)
    return {name: id(value) for name, value in callspec.params.items()} if callspec else {}


def choose(cases: Sequence[Mapping[str, Hashable]], n: int | None = None) -> list[int]:
    """Numbers of n cases, or of as few as show every value once."""
    chosen, seen = [], set()
    while len(chosen) < (len(cases) if n is None else n):
        left = [k for k in range(len(cases)) if k not in chosen]
        new = {k: len(set(cases[k].items()) - seen) for k in left}
        best = max(left, key=new.__getitem__, default=None)
        if best is None or (n is None and chosen and not new[best]):
            break
        chosen.append(best)
        seen |= set(cases[best].items())
    return chosen
