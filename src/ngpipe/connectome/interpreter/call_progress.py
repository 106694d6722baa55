"""Progress of a long call: silent, unless asked."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tqdm import tqdm


class Progress:
    """A progress bar, lines of numbers, and a log at Weights & Biases, each if asked for."""

    def __init__(self, *, bar: bool, lines: bool, wandb: bool, project: str) -> None:
        self.bar, self.lines = bar, lines
        self.log = _wandb_log(project) if wandb else None

    def over(self, steps: Iterable[int]) -> Iterator[int]:
        """The steps, with a bar."""
        yield from tqdm(steps, disable=not self.bar)

    def tell(self, what: str, numbers: Mapping[str, float], every: int = 1, step: int = 0) -> None:
        """Numbers of a step: all to the log, every so many as a line."""
        if self.log is not None:
            self.log(dict(numbers))
        if self.lines and step % every == 0:
            tqdm.write(f"{what}: " + ", ".join(f"{k} = {v:.6g}" for k, v in numbers.items()))


def _wandb_log(project: str) -> Callable[[dict[str, Any]], None]:
    try:
        import wandb
    except ImportError as error:
        raise ImportError(
            "wandb=True needs the package wandb, which is not installed; "
            "pip install wandb, or give wandb=False"
        ) from error
    wandb.init(project=project)
    return wandb.log
