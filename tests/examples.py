"""Random examples of costly tests."""

from typing import Any

from hypothesis import settings


def at_most(n: int, **options: Any) -> settings:
    """Settings with n examples, or as many as the profile asks for where these are fewer."""
    return settings(max_examples=min(n, settings().max_examples), **options)
