"""Errors a user can act on: each names the thing, what was got, what was expected, the remedy.

The command line prints these as one message; anything else is a bug and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """A question that names the nearest of the known words; nothing if none is near."""
    names = {k.lower(): k for k in known}
    near = difflib.get_close_matches(str(word).lower(), names, n=1)
    return f"; did you mean '{names[near[0]]}'?" if near else ""


class NgpipeError(Exception):
    """Base of all errors whose message tells the user what to do."""


class ConfigError(NgpipeError, ValueError):
    """A config that does not say what it must; the message lists every mistake."""


class ArgumentError(NgpipeError, ValueError):
    """A value given to a function of the library that it cannot work with."""


class ArgumentTypeError(ArgumentError, TypeError):
    """A value of a kind that the function cannot work with."""


class StoreError(NgpipeError):
    """A store, table or file that is missing, truncated, foreign or mis-shaped."""


class RecordingError(NgpipeError, ValueError):
    """A recording that contradicts itself, or does not say what is needed of it."""


class ConnectomeError(NgpipeError, ValueError):
    """A connectome that contradicts itself, or a request that it cannot answer."""


class DivergenceError(NgpipeError, FloatingPointError):
    """A simulation, training or rollout that left the finite numbers."""


class UselessModelError(NgpipeError, ValueError):
    """A trained model that is worse than predicting nothing."""


class DeviceError(NgpipeError):
    """A compute device that was asked for and is absent."""


class StaleError(NgpipeError):
    """A result that no longer belongs to the config or source at hand."""


class DoubtfulWarning(UserWarning):
    """A result that is given as asked for, and the doubt about it."""


class BusyError(NgpipeError):
    """Another process is already doing this work."""


class NgpipeWarning(UserWarning):
    """Something the user should know that does not stop the work; the command line prints it."""
