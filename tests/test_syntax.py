"""What counts of source code: all that changes what it does, and nothing else."""

import pytest

from ngpipe.syntax import code_of

MODULE = '''"""Neurons."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from pydantic import Field

from ngpipe.arrays import Matrix
from ngpipe.errors import StoreError

RATE = 1e-2
"""In units of 1/tau."""


@dataclass(frozen=True)
class Neuron:
    """One neuron."""

    leak: float = Field(1.0, ge=0, description="How fast it forgets.")

    def rate(self, x: Matrix, gain: float = 2.0) -> "Matrix":
        """Its rate."""
        if x is None:
            raise StoreError(f"no activity of {self!r}: got {x:.3f}")
        return gain * x - self.leak * np.tanh(x)  # the physics


@cache
def widest(count: int) -> float:
    """Of so many neurons."""
    found: float = math.sqrt(count)
    return found
'''

DIGEST = "66a1420b975a8e9598e2aa89af94742d9f5b0c031e441f6427bbd85b7fcf94d7"

SAME = {
    "a comment": ("# the physics", "# physics"),
    "docstring of the module": ('"""Neurons."""', '"""Cells of the cortex."""'),
    "docstring of a function": ('        """Its rate."""\n', ""),
    "docstring of a constant": ('"""In units of 1/tau."""\n', ""),
    "line breaks": ("gain * x - self.leak", "(\n            gain * x\n        ) - self.leak"),
    "quotes": ('f"no activity of {self!r}: got {x:.3f}"',
               "f'no activity of {self!r}: got {x:.3f}'"),
    "a text cut in two": ('f"no activity of {self!r}', 'f"no acti" "vity" f" of {self!r}'),
    "spelling of a number": ("1e-2", "0.010"),
    "description of a key": ("How fast it forgets.", "Leak of its membrane."),
    "annotation of an argument": ("gain: float", "gain: int"),
    "annotation of a result": ("count: int) -> float", "count: int) -> np.ndarray"),
    "annotation of a variable": ("found: float =", "found ="),
    "the module of a type": ("ngpipe.arrays", "ngpipe.tensors"),
    "order of imports": ("import math\nfrom dataclasses import dataclass\n",
                         "from dataclasses import dataclass\nimport math\n"),
    "an import for type checkers": ("RATE =", "if TYPE_CHECKING:\n    import torch\n\nRATE ="),
    "pass": ("    found: float", "    pass\n    found: float"),
}  # fmt: skip

OTHER = {
    "a constant": ("1e-2", "2e-2"),
    "type of a constant": ("gain: float = 2.0", "gain: float = 2"),
    "name of a constant": ("RATE", "SPEED"),
    "an operator": ("gain * x -", "gain * x +"),
    "order of operations": ("gain * x - self.leak", "gain * (x - self.leak)"),
    "a default": ("= 2.0)", "= 3.0)"),
    "a decorator": ("@cache\n", ""),
    "options of a decorator": ("frozen=True", "frozen=False"),
    "words of an error": ("no activity", "no rate"),
    "conversion in an error": ("{self!r}", "{self!s}"),
    "format in an error": (":.3f}", ":.4f}"),
    "bound of a key": ("ge=0", "ge=1"),
    "type of a key": ("leak: float", "leak: int"),
    "what is called": ("np.tanh", "np.sin"),
    "module of what is called": ("import numpy as np", "import torch as np"),
    "a negation": ("x is None", "x is not None"),
    "order of statements": ("    found: float = math.sqrt(count)\n    return found",
                            "    return found\n    found: float = math.sqrt(count)"),
}  # fmt: skip


def digest(text: str) -> str:
    return code_of(text).digest


def edited(old: str, new: str) -> str:
    assert old in MODULE
    return MODULE.replace(old, new)


@pytest.mark.parametrize("change", SAME)
def test_what_changes_no_result_does_not_count(change):
    assert digest(edited(*SAME[change])) == digest(MODULE)


@pytest.mark.parametrize("change", OTHER)
def test_what_may_change_a_result_counts(change):
    assert digest(edited(*OTHER[change])) != digest(MODULE)


def test_no_two_changes_look_alike():
    texts = [edited(*change) for change in OTHER.values()]
    assert len({digest(text) for text in texts}) == len(OTHER)


def test_a_type_imported_under_another_name_does_not_count():
    renamed = edited("import Matrix", "import Matrix as M").replace(": Matrix", ": M")
    assert digest(renamed.replace('"Matrix"', '"M"')) == digest(MODULE)


def test_what_annotations_alone_import_is_told_apart():
    found = code_of(MODULE)
    assert [one.bound for one in found.annotating] == ["Matrix"]
    assert "StoreError" in {one.bound for one in found.needed}
    assert ("np", "tanh") in found.looked_up


@pytest.mark.parametrize(
    "use",
    [
        "y = isinstance(x, T)",
        "class A:\n    x: T",
        'class A:\n    x: "list[T]"',
        '@register\ndef g(x: "T"): ...',
        "A = list[T]",
        "def g(x=T): ...",
        "@T\ndef g(): ...",
    ],
)
def test_a_type_that_code_uses_counts(use):
    text = f"from ngpipe.arrays import T\n\n\ndef f(x: T): ...\n\n\n{use}\n"
    assert [one.bound for one in code_of(text).needed] == ["T"]
    assert digest(text) != digest(text.replace("ngpipe.arrays", "ngpipe.tensors"))


@pytest.mark.parametrize("listed", ["__all__ = ['T']", ""])
def test_what_is_imported_for_others_counts(listed):
    annotated = "\n\n\ndef f(x: T): ..." if listed else ""
    assert code_of(f"from ngpipe.arrays import T\n\n{listed}{annotated}\n").needed


@pytest.mark.parametrize("decorator", ["register", "validate_call", "checked()", "a.register"])
def test_annotations_count_where_a_decorator_may_read_them(decorator):
    text = f"@{decorator}\ndef f(x: int): ...\n"
    assert digest(text) != digest(text.replace("int", "str"))


def test_every_version_of_python_writes_the_same():
    """The digest was written down under Python 3.11; here another may run."""
    text = (
        MODULE
        + """

async def told(x, *rest, width=3, **more):
    for k, (a, b) in enumerate(rest):
        print(f"{k}: {a!r:>{width}} {b=} {{}}" 'and "so" on' f"{x:.{width}f}", end="\\n")
    match x:
        case {"kind": str() as kind, **others} if kind: yield [*rest, -1, 2j, b"\\x00", None, ...]
        case [1 | 2, *_] | None: del more
        case _: pass
    try:
        found = {**more, "é": lambda y, /, z=1: y @ z}
    except* (ValueError, KeyError) as error:
        raise SystemExit from error
    with open(x[1:2, ::3]) as a, open(x[None]) as b:
        return
"""
    )
    assert digest(text) == DIGEST
