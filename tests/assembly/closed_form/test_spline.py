"""Functions of activity: cubic B-splines in asinh(x)."""

import math
from itertools import pairwise

import pytest
import torch
from systems import numbers

from ngpipe.assembly.closed_form.spline import Spline

UNIT, REACH = 0.5, 20.0
ZERO = torch.zeros((), dtype=torch.float64)
EVERYWHERE = torch.linspace(-1.5 * REACH, 1.5 * REACH, 4001, dtype=torch.float64)
INSIDE = torch.linspace(-REACH, REACH, 4001, dtype=torch.float64)


def spline(n: int = 12) -> Spline:
    return Spline(n, unit=UNIT, reach=REACH)


@pytest.mark.parametrize("n", [4, 5, 12, 48])
def test_the_basis_adds_up_to_one(n):
    """Everywhere, beyond the reach too; every function is positive and has its place."""
    values = spline(n).basis(EVERYWHERE)
    assert values.shape == (len(EVERYWHERE), n)
    torch.testing.assert_close(values.sum(1), torch.ones_like(EVERYWHERE), rtol=0, atol=1e-13)
    assert values.min() >= 0
    assert ((values > 0).sum(1) <= 4).all()
    assert (values.max(0).values > 0.1).all()


def test_the_basis_is_that_of_de_boor():
    """The cubic cardinal B-spline in u, by the recursion of Cox and de Boor."""
    s = spline(9)
    u = torch.asinh(INSIDE / UNIT)
    knots = [-s.half + (k - 3) * s.spacing for k in range(9 + 4)]

    def recursive(k: int, degree: int) -> torch.Tensor:
        if degree == 0:
            return ((u >= knots[k]) & (u < knots[k + 1])).double()
        width = degree * s.spacing
        rising = (u - knots[k]) / width * recursive(k, degree - 1)
        return rising + (knots[k + degree + 1] - u) / width * recursive(k + 1, degree - 1)

    expected = torch.stack([recursive(k, 3) for k in range(9)], -1)
    last = s.basis(INSIDE)[:-1], expected[:-1]  # the recursion's intervals are open on the right
    torch.testing.assert_close(*last, rtol=0, atol=1e-12)


def test_functions_are_smooth_to_the_second_derivative():
    """Across knots, where the pieces of the cubics meet."""
    s, c, h = spline(10), numbers(1, 10), 1e-5
    knots = torch.tensor([-s.half + k * s.spacing for k in range(1, 7)], dtype=torch.float64)

    def second(u: torch.Tensor) -> torch.Tensor:
        f = [s.read(c, UNIT * torch.sinh(u + k * h)) for k in (-1, 0, 1)]
        return (f[0] - 2 * f[1] + f[2]) / h**2

    torch.testing.assert_close(second(knots - 3 * h), second(knots + 3 * h), rtol=0, atol=2e-3)


def test_functions_in_the_basis_are_found_exactly():
    s, c = spline(), numbers(1, 12)
    torch.testing.assert_close(s.fit(lambda x: s.read(c, x), like=ZERO), c, rtol=0, atol=1e-12)
    cubic = s.fit(lambda x: torch.asinh(x / UNIT) ** 3, like=ZERO)
    expected = torch.asinh(INSIDE / UNIT) ** 3
    torch.testing.assert_close(s.read(cubic, INSIDE), expected, rtol=0, atol=1e-11)


def test_the_error_falls_with_the_fourth_power_of_the_spacing():
    def error(intervals: int) -> float:
        s = spline(intervals + 3)
        c = s.fit(torch.tanh, like=ZERO)
        return float((s.read(c, INSIDE) - torch.tanh(INSIDE)).abs().max())

    errors = [error(n) for n in (32, 64, 128)]
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert orders == pytest.approx([4, 4], abs=0.3)
    assert errors[1] < 1e-4


def test_functions_keep_their_end_values_beyond_the_reach():
    s, c = spline(), numbers(1, 12)
    beyond = REACH * torch.tensor([1.0, 1.01, 2.0, 1e3], dtype=torch.float64)
    for sign in (-1, 1):
        values = s.read(c, sign * beyond)
        torch.testing.assert_close(values, values[:1].expand(4), rtol=0, atol=1e-12)
    first, last = s.basis(REACH * torch.tensor([-1.0, 1.0], dtype=torch.float64))
    ends = torch.tensor([1, 4, 1], dtype=torch.float64) / 6
    torch.testing.assert_close(first[:3], ends, rtol=0, atol=1e-12)
    torch.testing.assert_close(last[-3:], ends, rtol=0, atol=1e-12)


def test_reading_is_the_product_with_the_basis():
    """One function at any activity, and a function of its own for every column."""
    s, x = spline(), 8 * numbers(1, 7, 30, 5)
    one, each = numbers(2, 12), numbers(3, 5, 12)
    torch.testing.assert_close(s.read(one, x), s.basis(x) @ one, rtol=0, atol=1e-13)
    for shaped in (x, x[0]):
        expected = torch.stack([s.basis(shaped[..., k]) @ each[k] for k in range(5)], -1)
        torch.testing.assert_close(s.read(each, shaped), expected, rtol=0, atol=1e-13)


def test_what_is_straight_in_u_is_not_rough():
    s = spline()
    rough = s.roughness(ZERO)
    straight = s.fit(lambda x: 3 + 2 * torch.asinh(x / UNIT), like=ZERO)
    assert float(straight @ rough @ straight) < 1e-12 * float(straight @ straight)
    c = numbers(1, 12)
    expected = sum(float(c[k] - 2 * c[k + 1] + c[k + 2]) ** 2 for k in range(10))
    assert float(c @ rough @ c) == pytest.approx(expected, rel=1e-12)
