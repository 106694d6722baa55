"""p-value of a value among samples of a null."""

import numpy as np
from jaxtyping import Float


def p_value(value: float, draws: Float[np.ndarray, " draw"]) -> float:
    r"""p-value of a value among K draws of a null, two-sided and never 0.

    .. math::
        p = \min\Big(1, \frac{2}{K + 1} \big(1 + \min(\#\{n_k \ge v\}, \#\{n_k \le v\})\big)\Big)

    If the value came about like the draws, p is at most a with a probability of at most a, whatever
    their distribution (Phipson & Smyth 2010). 39 draws are the fewest that can give 0.05. Not a
    number where the value or a draw is none, which has no rank.
    """
    if np.isnan(value) or np.isnan(draws).any():
        return np.nan
    beyond = min(np.count_nonzero(draws >= value), np.count_nonzero(draws <= value))
    return min(1.0, 2 * (1 + beyond) / (1 + len(draws)))
