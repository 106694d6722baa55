"""The chain key: changes with all that a result depends on, and with nothing else."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngpipe import hashing, keys
from ngpipe.config.assembly.experiment import Experiment
from ngpipe.config.figures import KINDS
from ngpipe.config.load import load
from ngpipe.errors import StaleError
from ngpipe.statements import acts, bound_by
from ngpipe.study import stages
from ngpipe.study.records import SYSTEMS
from ngpipe.syntax import code_of

STEPS = sorted(p.stem for p in (keys.PACKAGE / "steps").glob("*.py") if p.stem != "__init__")
PACKAGES = sorted(keys.PACKAGE.rglob("__init__.py"))
BELOW = {  # stage -> itself and all that is made from it
    "simulate": {"simulate", "train", "recover", "rollout", "score"},
    "train": {"train", "recover", "rollout", "score"},
    "recover": {"recover", "score"},
    "rollout": {"rollout", "score"},
    "score": {"score"},
}
READ_ONCE = cache(code_of)
"""Code of a text: of all that a test leaves as it was, not read anew."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the source that a test may edit; call ``reread()`` after each edit."""
    copy = tmp_path / "ngpipe"
    shutil.copytree(keys.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(keys, "PACKAGE", copy)
    monkeypatch.setattr(keys, "code_of", READ_ONCE)
    _reread()
    yield copy
    monkeypatch.undo()
    _reread()


def _reread():
    keys.forget()


def stage_keys(**content) -> dict[str, str]:
    return stages.stage_keys(Experiment.model_validate(content))


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {stage for stage in before if before[stage] != after[stage]}


class TestCanonicalJson:
    def test_is_sorted_and_without_spaces(self):
        assert hashing.canonical({"b": [1.5, None], "a": {"d": True, "c": "x"}}) == (
            '{"a":{"c":"x","d":true},"b":[1.5,null]}'
        )

    @given(JSON)
    def test_says_everything_that_was_put_in(self, content):
        assert json.loads(hashing.canonical(content)) == content

    @given(st.dictionaries(st.text(), JSON, max_size=5), st.randoms(use_true_random=False))
    def test_ignores_the_order_of_keys(self, content, random):
        shuffled = list(content.items())
        random.shuffle(shuffled)
        assert hashing.canonical(dict(shuffled)) == hashing.canonical(content)

    def test_keeps_the_order_of_lists(self):
        assert hashing.canonical([1, 2]) != hashing.canonical([2, 1])

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_refuses_what_json_cannot_say(self, value):
        with pytest.raises(ValueError, match="JSON compliant"):
            hashing.canonical({"dt": value})


SECTION = {"n": 3, "seed": 1}


class TestChainKey:
    def test_is_64_hexadecimal_digits_and_repeatable(self):
        key = keys.chain_key("simulate", SECTION)
        assert len(key) == 64
        assert set(key) <= set("0123456789abcdef")
        assert key == keys.chain_key("simulate", dict(reversed(SECTION.items())))

    def test_changes_with_the_stage(self):
        assert keys.chain_key("recover", SECTION) != keys.chain_key("rollout", SECTION)

    def test_changes_with_a_value(self):
        assert keys.chain_key("simulate", SECTION) != keys.chain_key(
            "simulate", {"n": 3, "seed": 2}
        )

    def test_changes_when_two_values_are_swapped(self):
        """A digest of the sorted values, or of the file's size, would not notice."""
        assert keys.chain_key("simulate", SECTION) != keys.chain_key(
            "simulate", {"n": 1, "seed": 3}
        )

    def test_changes_with_the_keys_above_and_their_order(self):
        a, b = "a" * 64, "b" * 64
        every = [keys.chain_key("score", {}, above) for above in ([], [a], [b], [a, b], [b, a])]
        assert len(set(every)) == 5

    def test_changes_with_the_content_of_named_files_not_with_their_time(self, tmp_path):
        content = {"first.csv": "pre,post,weight\n0,1,2\n", "same.csv": "pre,post,weight\n0,1,2\n",
                   "swapped.csv": "pre,post,weight\n1,0,2\n"}  # fmt: skip
        found = {}
        for name, text in content.items():
            (tmp_path / name).write_text(text)
            found[name] = keys.chain_key("simulate", {}, files=[tmp_path / name])
        absent = keys.chain_key("simulate", {}, files=[tmp_path / "absent.csv"])
        assert found["first.csv"] == found["same.csv"]
        assert len({*found.values(), absent, keys.chain_key("simulate", {})}) == 4

    def test_changes_with_the_content_of_named_directories(self, tmp_path):
        store = tmp_path / "W.zarr"
        (store / "W").mkdir(parents=True)
        (store / "W" / "0.0").write_bytes(b"1234")
        before = hashing.tree_digest(store)
        assert hashing.file_digest(store) == before
        (store / ".snakemake_timestamp").touch()
        assert hashing.tree_digest(store) == before
        (store / "W" / "0.0").rename(store / "W" / "1.0")
        renamed = hashing.tree_digest(store)
        (store / "W" / "1.0").write_bytes(b"1243")
        assert len({before, renamed, hashing.tree_digest(store)}) == 3


class TestStageKeys:
    def test_the_order_of_yaml_keys_and_the_spelling_of_numbers_do_not_count(self, tmp_path):
        one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
        one.write_text("training: {steps: 99, seed: 3}\nsimulation: {dt: 1.0e-2, noise: 1}\n")
        other.write_text("# the same\nsimulation:\n  noise: 1.0\n  dt: 0.010\n"
                         "training:\n  seed: 3\n  steps: 99\n")  # fmt: skip
        assert stages.stage_keys(load(one, Experiment)) == stages.stage_keys(
            load(other, Experiment)
        )

    def test_a_default_written_out_does_not_count(self):
        assert stage_keys() == stage_keys(simulation={"n_neurons": 1000})

    @pytest.mark.parametrize(
        ("content", "first"),
        [
            ({"simulation": {"seed": 43}}, "simulate"),
            ({"simulation": {"connectivity": {"kind": "gaussian"}}}, "simulate"),
            ({"training": {"seed": 17}}, "train"),
            ({"recovery": {"n_types": 4}}, "recover"),
            ({"rollout": {"n_frames": 900}}, "rollout"),
            ({"rollout": {"at": [400]}}, "score"),
            ({"reference": {"connectivity": {"r2": 1.0}}}, "score"),
        ],
    )
    def test_a_change_reaches_the_stages_below_it_and_no_other(self, content, first):
        assert changed(stage_keys(), stage_keys(**content)) == BELOW[first]

    def test_leak_and_self_excitation_swapped_between_two_types_are_noticed(self):
        types = [{"leak": 1, "self_excitation": 2}, {"leak": 2, "self_excitation": 1}]
        before = stage_keys(simulation={"types": types})
        assert changed(before, stage_keys(simulation={"types": types[::-1]})) == BELOW["simulate"]

    def test_an_edited_connectivity_file_reaches_everything(self, tmp_path):
        path = tmp_path / "edges.csv"
        simulation = {"connectivity": {"kind": "file", "path": str(path)}}
        path.write_text("pre,post,weight\n0,1,1\n")
        before = stage_keys(simulation=simulation)
        path.write_text("pre,post,weight\n0,1,1.5\n")
        assert changed(before, stage_keys(simulation=simulation)) == BELOW["simulate"]

    def test_a_study_names_its_panels_and_figures_by_their_whole_chain(self, study):
        figures = {"F": {"panels": {"a": {"kind": "phi", "of": "one"}}}}

        def all_keys(directory):
            opened = stages.open_study(directory)
            return opened.panel_key("F", "a"), opened.figure_key("F")

        before = all_keys(study(figures, one={}))
        after = all_keys(study(figures, one={"recovery": {"n_types": 3}}))
        assert before == all_keys(study(figures, one={}))
        assert not set(before) & set(after)


CIRCUIT = {
    kind: {"kind": kind, "of": "one"}
    for kind in ("spectra", "effects", "response_sweep", "mixing", "weight_distribution")
}
CIRCUIT["response_sweep"]["parameter"] = "network.gain"


class TestPanels:
    @pytest.mark.parametrize(
        ("changed", "stale"),
        [
            ({"motifs": {"seed": 3}}, {"mixing"}),
            ({"measures": {"threshold_ratio": 0.1}}, CIRCUIT.keys() - {"weight_distribution"}),
            ({"runs": {"seeds": 3}}, CIRCUIT.keys()),
        ],
    )
    def test_depend_on_the_results_that_they_read_alone(self, study, changed, stale):
        experiment = {"system": "circuit", "sweep": {"network.gain": [0.001]}}

        def found(content: dict) -> dict[str, str]:
            opened = stages.open_study(study({"F": {"panels": CIRCUIT}}, one=content))
            return {panel: opened.panel_key("F", panel) for panel in CIRCUIT}

        before, after = found(experiment), found(experiment | changed)
        assert {panel for panel in before if before[panel] != after[panel]} == stale

    @pytest.mark.parametrize(
        ("module", "stale"),
        [
            ("figures.assembly.traces", {"activity"}),
            ("figures.assembly.functions", {"phi"}),
            ("figures.assembly.structure", {"phi"}),
            ("figures.circuit.times", set()),
            ("wiring.nulls.swaps", set()),
            ("config.circuit.experiment", set()),
            ("figures.drawing.compose", {"activity", "phi"}),
        ],
    )
    def test_depend_on_their_own_drawing(self, study, monkeypatch, module, stale):
        panels = {kind: {"kind": kind, "of": "one"} for kind in ("activity", "phi")}
        opened = stages.open_study(study({"F": {"panels": panels}}, one={}))
        before = {panel: opened.panel_key("F", panel) for panel in panels}
        code = keys.code
        other = code(f"ngpipe.{module}")
        parts = tuple(replace(part, digest="edited") for part in other.parts)
        edited = {f"ngpipe.{module}": replace(other, digest="edited", parts=parts)}
        monkeypatch.setattr(keys, "code", lambda name: edited.get(name) or code(name))
        monkeypatch.setattr(keys, "source_digest", keys.source_digest.__wrapped__)
        after = {panel: opened.panel_key("F", panel) for panel in panels}
        assert {panel for panel in before if before[panel] != after[panel]} == stale


OWN = """
from functools import cache
import numpy as np
from ngpipe.errors import BusyError, StoreError
from ngpipe import hashing

LIMIT, OTHER = 3, 4
FACTOR = 7
NAMES = {"a": LIMIT}
SHADES = np.linspace(1, 2)


def shared(x, more=OTHER):
    return x + more


class Shape:
    size = 5

    def grown(self):
        return Grown()


class Grown(Shape):
    @property
    def size(self):
        return inner(6)


@cache
def inner(x):
    return [NAMES[key] for key in x]


@cache
def scatter(material, ax, reach=LIMIT):
    if ax is None:
        raise StoreError("no ax")
    return Shape().grown(), reach


def heatmap(material: Shape, ax):
    return shared(hashing.canonical(ax)), FACTOR


def scatter_legend(ax):
    raise BusyError("alone")
"""
"""A module of two panels, `scatter` and `heatmap`."""


class TestNames:
    """Of a module, what a panel does not reach from its drawing function does not count."""

    @pytest.fixture
    def stale(self, package):
        """Panels whose key another text changes: of the module itself, or of another one."""
        (package / "own.py").write_text(OWN)
        _reread()

        def digests() -> dict[str, str]:
            _reread()
            return {
                name: keys.source_digest(f"ngpipe.own:{name}") for name in ("scatter", "heatmap")
            }

        def found(old: str, new: str, file: str = "own.py") -> set[str]:
            before, path = digests(), package / file
            text = path.read_text()
            assert text.count(old) == 1
            path.write_text(text.replace(old, new))
            after = digests()
            path.write_text(text)
            assert before == digests()
            return {name for name in before if before[name] != after[name]}

        return found

    @pytest.mark.quick(4)
    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ("return Shape().grown(), reach", "return Shape().grown(), 2 * reach", {"scatter"}),
            ("FACTOR = 7", "FACTOR = 8", {"heatmap"}),
            ("x + more", "x - more", {"heatmap"}),
            ("more=OTHER", "more=5", {"heatmap"}),
            ("reach=LIMIT", "reach=OTHER", {"scatter"}),
            ("@cache\ndef scatter", "def scatter", {"scatter"}),
            ("@cache\ndef scatter", "@shared\ndef scatter", {"scatter", "heatmap"}),
            ("size = 5", "size = shared(5)", {"scatter", "heatmap"}),
            ("LIMIT, OTHER", "LIMIT, np.OTHER", {"scatter", "heatmap"}),
            ("LIMIT, OTHER = 3, 4", "LIMIT, OTHER = 3, 5", {"scatter", "heatmap"}),
            ('{"a": LIMIT}', '{"b": LIMIT}', {"scatter", "heatmap"}),
            ("size = 5", "size = 6", {"scatter", "heatmap"}),
            ("inner(6)", "inner(7)", {"scatter", "heatmap"}),
            ("in x]", "in x[1:]]", {"scatter", "heatmap"}),
            ("(Shape):", "(dict):", {"scatter", "heatmap"}),
            ('BusyError("alone")', 'BusyError("both")', set()),
            ("(1, 2)", "(1, 3)", {"scatter", "heatmap"}),
            ("import BusyError, StoreError", "import BusyError, BusyError as StoreError",
             {"scatter"}),
            ("import hashing", "import installed as hashing", {"heatmap"}),
            ("import BusyError, ", "import BusyError, DeviceError, ", {"scatter", "heatmap"}),
            ("def scatter_legend", "import numba\n\n\ndef scatter_legend", {"scatter", "heatmap"}),
            ("def scatter_legend", "@np.register\ndef scatter_legend", {"scatter", "heatmap"}),
            ("def scatter_legend", "class New: ...\n\n\ndef scatter_legend", set()),
            ("def scatter_legend", "class New(Shape, table=NAMES): ...\n\n\ndef scatter_legend",
             {"scatter", "heatmap"}),
            ("def scatter_legend", "def scatter(): ...\n\n\ndef scatter_legend", {"scatter"}),
            ("def scatter_legend", "if LIMIT:\n    shared = 1\n\n\ndef scatter_legend",
             {"scatter", "heatmap"}),
            ("def scatter_legend", "NAMES['a'] = 1\n\n\ndef scatter_legend",
             {"scatter", "heatmap"}),
            ("def scatter_legend", "FACTOR += 1\n\n\ndef scatter_legend", {"heatmap"}),
            ("raise BusyError", "return globals()[ax]\n    raise BusyError",
             {"scatter", "heatmap"}),
            ("import hashing", "import hashing\nfrom ngpipe.arrays import *",
             {"scatter", "heatmap"}),
        ],
    )  # fmt: skip
    def test_of_its_own_module(self, stale, old, new, expected):
        assert stale(old, new) == expected

    @pytest.mark.parametrize(
        ("file", "old", "new", "expected"),
        [
            ("errors.py", "class StoreError(NgpipeError)", "class StoreError(Exception)",
             {"scatter"}),
            ("errors.py", "class NgpipeError(Exception)", "class NgpipeError(BaseException)",
             {"scatter"}),
            ("errors.py", "class BusyError(NgpipeError)", "class BusyError(Exception)", set()),
            ("errors.py", "class BusyError(NgpipeError)",
             "class New(Exception): ...\n\n\nclass BusyError(NgpipeError)", set()),
            ("errors.py", "class BusyError(NgpipeError)",
             "difflib.junk = 1\n\n\nclass BusyError(NgpipeError)", {"scatter", "heatmap"}),
            ("hashing.py", "sort_keys=True", "sort_keys=False", {"heatmap"}),
            ("hashing.py", "def file_digest(", "def file_digests(", set()),
        ],
    )  # fmt: skip
    def test_of_modules_that_it_imports(self, stale, file, old, new, expected):
        assert stale(old, new, file) == expected

    def test_a_module_handed_on_counts_with_all_its_names(self, package):
        (package / "own.py").write_text("from ngpipe import hashing\n\nTABLE = [hashing]\n")
        _reread()
        assert keys.closure("ngpipe.own:TABLE")["ngpipe.hashing"] is None

    def test_a_name_passed_on_is_followed(self, package):
        (package / "below.py").write_text("from ngpipe.errors import StoreError\n\nStoreError\n")
        (package / "own.py").write_text("from ngpipe.below import StoreError\n\nStoreError()\n")
        _reread()
        found = keys.closure("ngpipe.own")
        assert found["ngpipe.errors"] == {"StoreError", "NgpipeError"}
        assert found["ngpipe.below"] == {"StoreError"}

    @pytest.mark.quick(3)
    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ('ax.set_title("training")', 'ax.set_title("losses")', {"learning_curve"}),
            ("INSET = 20", "INSET = 30", {"true_connectivity", "learned_connectivity"}),
            ("bins=150", "bins=200", {"connectivity_scatter"}),
            ("(1 + LEVELS) / 2", "(1 + LEVELS) / 3", {"calibration"}),
            ("text(0.04, y", "text(0.05, y", {"calibration", "connectivity_scatter"}),
            ('"true_connectivity",\n', '"the_connectivity",\n', set()),
        ],
    )
    def test_a_panel_leaves_those_beside_it(self, monkeypatch, old, new, expected):
        module, code = "ngpipe.figures.assembly.structure", keys.code
        kinds = [kind for kind, one in KINDS.items() if one.module == module]
        text = keys.path_of(module).read_text()
        assert text.count(old) == 1

        def digests() -> dict[str, str]:
            digest = keys.source_digest.__wrapped__
            return {kind: digest("ngpipe.steps.panel", *KINDS[kind].roots) for kind in kinds}

        before, other = digests(), code_of(text.replace(old, new))
        monkeypatch.setattr(keys, "code", lambda name: other if name == module else code(name))
        after = digests()
        assert {kind for kind in kinds if before[kind] != after[kind]} == expected


class TestSource:
    def test_an_edit_reaches_the_stages_that_import_it_and_those_below(self, package):
        before = stage_keys()
        path = package / "config" / "assembly" / "training.py"
        path.write_text(path.read_text() + "\nEDITED = True\n")
        _reread()
        assert changed(before, stage_keys()) == BELOW["train"]

    def test_an_edit_of_the_simulator_reaches_everything(self, package):
        before = stage_keys()
        path = package / "dynamics" / "assembly.py"
        path.write_text(path.read_text().replace("torch.tanh(x)", "torch.sin(x)"))
        _reread()
        assert changed(before, stage_keys()) == BELOW["simulate"]

    def test_an_edit_of_the_figures_reaches_no_stage(self, package):
        before = stage_keys(), keys.source_digest("ngpipe.steps.panel")
        path = package / "figures" / "drawing" / "style.py"
        path.write_text(path.read_text() + "\nmpl.rc()\n")
        _reread()
        assert before[0] == stage_keys()
        assert before[1] != keys.source_digest("ngpipe.steps.panel")

    def test_renaming_a_module_is_an_edit(self, package):
        (package / "one.py").write_text("")
        (package / "steps" / "own.py").write_text("import ngpipe.one\n")
        before = keys.source_digest("ngpipe.steps.own")
        (package / "one.py").rename(package / "two.py")
        (package / "steps" / "own.py").write_text("import ngpipe.two\n")
        _reread()
        assert before != keys.source_digest("ngpipe.steps.own")

    @pytest.mark.parametrize(
        "statement",
        [
            "import ngpipe.dynamics.integrate as solver\n\nsolver.blocks(1)",
            "from ngpipe.dynamics import integrate\n\nintegrate.blocks(1)",
            "from ngpipe.dynamics.integrate import blocks\n\nblocks(1)",
            "def later():\n    from ngpipe.dynamics import integrate\n    integrate.blocks(1)",
            "def later():\n    from ngpipe.dynamics.integrate import blocks\n    blocks(1)",
        ],
    )
    def test_the_closure_follows_every_way_to_import(self, package, statement):
        (package / "own.py").write_text(statement + "\n")
        found = keys.closure("ngpipe.own")
        assert found.keys() == {"ngpipe.own", "ngpipe.dynamics.integrate", "ngpipe.errors"}
        assert found["ngpipe.own"] is None
        assert "blocks" in found["ngpipe.dynamics.integrate"]
        assert "euler_maruyama" not in found["ngpipe.dynamics.integrate"]

    def test_where_the_code_does_not_say_what_it_takes_annotations_count(self, package):
        (package / "own.py").write_text("import ngpipe.dynamics.integrate\n\nprint(ngpipe)\n")
        found = keys.closure("ngpipe.own")
        assert found["ngpipe.dynamics.integrate"] is None
        assert "ngpipe.arrays" in found

    def test_the_closure_leaves_out_what_annotations_alone_name(self, package):
        text = "from ngpipe.dynamics.integrate import blocks\n\n\ndef f(x: blocks): ...\n"
        (package / "below.py").write_text(text)
        (package / "own.py").write_text("import ngpipe.below as below\n\nbelow.f(1)\n")
        assert keys.closure("ngpipe.own").keys() == {"ngpipe.own", "ngpipe.below"}
        assert "ngpipe.dynamics.integrate" in keys.loaded_by("ngpipe.own")

    def test_the_closure_has_the_types_that_a_module_itself_is_called_with(self, package):
        text = "from ngpipe.dynamics.integrate import blocks\n\n\ndef run(x: blocks): ...\n"
        (package / "own.py").write_text(text)
        assert "ngpipe.dynamics.integrate" in keys.closure("ngpipe.own")

    @pytest.mark.parametrize(
        "taken",
        [
            "from ngpipe.below import blocks\n\nblocks(1)",
            "from ngpipe import below\n\nbelow.blocks",
        ],
    )
    def test_what_a_module_imports_for_annotations_it_cannot_lend(self, package, taken):
        text = "from ngpipe.dynamics.integrate import blocks\n\n\ndef f(x: blocks): ...\n"
        (package / "below.py").write_text(text)
        (package / "own.py").write_text(taken + "\n")
        told = r"own takes blocks from ngpipe\.below, .* import it from ngpipe\.dynamics\.integrate"
        with pytest.raises(StaleError, match=told):
            keys.closure("ngpipe.own")

    def test_a_relative_import_is_refused(self, package):
        (package / "own.py").write_text("from . import errors\n")
        with pytest.raises(StaleError, match=r"ngpipe\.own uses a relative import"):
            keys.closure("ngpipe.own")


def constant(node: ast.AST) -> bool:
    """Change a number, or what is true."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, bool | int | float):
        return False
    node.value = not node.value if isinstance(node.value, bool) else 2 * node.value + 1
    return True


def operator(node: ast.AST) -> bool:
    """Exchange an operator, or one that compares."""
    if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Mod):
        node.op = ast.Mod()
    elif isinstance(node, ast.Compare) and not isinstance(node.ops[0], ast.IsNot):
        node.ops[0] = ast.IsNot()
    else:
        return False
    return True


def default(node: ast.AST) -> bool:
    """Another default of an argument, or of a key."""
    if isinstance(node, ast.arguments) and (node.defaults or any(node.kw_defaults)):
        node.defaults = [ast.Constant("other") for _ in node.defaults]
        node.kw_defaults = [old and ast.Constant("other") for old in node.kw_defaults]
    elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Field" and node.args:
        node.args = [ast.Constant("other")]
    else:
        return False
    return True


def decorator(node: ast.AST) -> bool:
    """One decorator less."""
    if not getattr(node, "decorator_list", None):
        return False
    node.decorator_list.pop()
    return True


BEHAVIOUR = (constant, operator, default, decorator)
STAGES = sorted({stage for stages in SYSTEMS.values() for stage in stages})


def mutated(
    text: str,
    change: Callable[[ast.AST], bool],
    names: frozenset[str] | None,
    *,
    inside: bool = True,
) -> tuple[str, str] | None:
    """A text without annotations of functions, then with the first change of a kind, if any.

    The change is in a statement that binds one of the names (of None: in any), or in none of those.
    """
    tree = ast.parse(text)
    read = {one for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for one in node.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign) and node not in read:
            node.annotation = ast.Name("object")
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.Call):
            node.keywords = [one for one in node.keywords if one.arg != "description"]
    before = ast.unparse(tree)
    counted = [
        (names is None or acts(one) or not names.isdisjoint(bound_by(one))) == inside
        for one in tree.body
    ]
    nodes = [node for one, k in zip(tree.body, counted, strict=True) if k for node in ast.walk(one)]
    return (before, ast.unparse(tree)) if any(map(change, nodes)) else None


def without_comments(text: str, _: object = None) -> str:
    """Formatted anew, with other docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            node.body[0].value.value = "Another."
    return ast.unparse(tree)


def types_renamed(text: str, _: object = None) -> str | None:
    """What annotations and descriptions alone use, under another name; None if there is nothing."""
    names = {one.bound for one in code_of(text).annotating} - {"TYPE_CHECKING"}
    tree = ast.parse(text)
    annotations = []
    for node in ast.walk(tree):
        annotations += [getattr(node, "annotation", None), getattr(node, "returns", None)]
        if isinstance(node, ast.keyword) and node.arg == "description":
            annotations.append(node.value)
        if isinstance(node, ast.alias) and (node.asname or node.name) in names:
            node.asname = f"{node.asname or node.name}_"
    for node in (part for one in annotations if one for part in ast.walk(one)):
        if isinstance(node, ast.Name) and node.id in names:
            node.id += "_"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = re.sub("|".join(rf"\b{n}\b" for n in names) or "$^", r"\g<0>_", node.value)
    return ast.unparse(tree) if names else None


@pytest.fixture
def edited(monkeypatch):
    """Digest of the source of a stage with another text of one of its modules."""

    def digest(stage: str, module: str, text: str) -> str:
        found = keys.code
        other = code_of(text)
        monkeypatch.setattr(keys, "code", lambda m: other if m == module else found(m))
        total = keys.source_digest.__wrapped__(keys.step_module(stage))
        monkeypatch.setattr(keys, "code", found)
        return total

    return digest


def some_of(stage: str, change: Callable[..., object], count: int) -> dict[str, object]:
    """Some modules that a stage may run, the step first, with what becomes of their source."""
    found = {}
    closure = keys.closure(keys.step_module(stage))
    for name in sorted(closure, key=lambda m: (stage not in m, m)):
        other = change(keys.path_of(name).read_text(), closure[name])
        if other is not None:
            found[name] = other
        if len(found) == count:
            break
    return found


class TestMutations:
    @pytest.mark.quick(4)
    @pytest.mark.parametrize("change", BEHAVIOUR)
    @pytest.mark.parametrize("stage", STAGES)
    def test_changed_behaviour_changes_the_key(self, stage, change, edited):
        found = some_of(stage, lambda text, names: mutated(text, change, names), 2)
        assert len(found) > 1
        for module, (before, after) in found.items():
            assert edited(stage, module, before) != edited(stage, module, after), module

    @pytest.mark.quick(3)
    @pytest.mark.parametrize("stage", STAGES)
    def test_behaviour_of_what_the_stage_does_not_use_does_not(self, stage, edited):
        found = some_of(stage, lambda text, names: mutated(text, constant, names, inside=False), 2)
        assert len(found) > 1
        for module, (before, after) in found.items():
            assert before != after
            assert edited(stage, module, before) == edited(stage, module, after), module

    @pytest.mark.quick(3)
    @pytest.mark.parametrize("stage", STAGES)
    def test_comments_docstrings_and_formatting_do_not(self, stage, edited):
        before = keys.source_digest(keys.step_module(stage))
        for module, text in some_of(stage, without_comments, 3).items():
            assert edited(stage, module, text) == before, module
            assert edited(stage, module, f"# edited\n{text}") == before, module

    @pytest.mark.quick(3)
    @pytest.mark.parametrize("stage", STAGES)
    def test_other_names_of_imported_types_do_not(self, stage, edited):
        before = keys.source_digest(keys.step_module(stage))
        found = some_of(stage, types_renamed, 3)
        assert len(found) > 1
        for module, text in found.items():
            assert text != keys.path_of(module).read_text()
            assert edited(stage, module, text) == before, module


@pytest.fixture(scope="module")
def loaded() -> dict[str, list[str]]:
    """Every step -> the ngpipe modules that importing it loads, told by a fresh interpreter."""
    script = """if True:
        import importlib, json, sys
        loaded = {}
        for step in sys.argv[1:]:
            for name in [n for n in sys.modules if n.split(".")[0] == "ngpipe"]:
                del sys.modules[name]
            importlib.import_module("ngpipe.steps." + step)
            loaded[step] = [n for n in sys.modules if n.split(".")[0] == "ngpipe"]
        print(json.dumps(loaded))
    """
    return json.loads(_python(script, *STEPS))


def _python(script: str, *arguments: str) -> str:
    """Output of a script run by this interpreter, which finds the package tested here."""
    command = [sys.executable, "-c", script, *arguments]
    source = str(keys.PACKAGE.parent)
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=source)
    return done.stdout


class TestClosure:
    @pytest.mark.slow  # a process of its own loads them all
    @pytest.mark.parametrize("step", STEPS)
    def test_covers_what_the_step_loads(self, loaded, step):
        modules = dict.fromkeys(loaded[step])
        assert keys.step_module(step) in modules
        keys.check_closure(step, loaded=modules)
        assert set(modules) <= keys.loaded_by(keys.step_module(step))
        assert keys.closure(keys.step_module(step)).keys() <= keys.loaded_by(keys.step_module(step))

    def test_names_a_module_that_escaped(self):
        modules = ["numpy", "ngpipe.steps.simulate", "ngpipe.steps.train"]
        with pytest.raises(StaleError, match=r"step 'simulate' loaded \['ngpipe.steps.train'\]"):
            keys.check_closure("simulate", loaded=modules)

    def test_simulating_does_not_depend_on_how_it_is_learned(self):
        closure = keys.closure("ngpipe.steps.simulate")
        assert "ngpipe.config.assembly.simulation" in closure
        rooms = {name.split(".")[1] for name in closure if "." in name}
        assert not rooms & {"assembly", "figures", "metrics"}
        assert not closure.keys() & {
            f"ngpipe.config.assembly.{name}" for name in ("training", "experiment")
        }


class TestCheapToImport:
    def test_keys_imports_the_standard_library_alone(self):
        script = """if True:
            import json, sys
            before = set(sys.modules)
            import ngpipe.keys
            roots = {name.split(".")[0] for name in set(sys.modules) - before}
            print(json.dumps(sorted(roots - set(sys.stdlib_module_names))))
        """
        assert json.loads(_python(script)) == ["ngpipe"]

    def test_stages_do_without_torch(self):
        script = """if True:
            import json, sys
            import ngpipe.study.stages
            heavy = {"torch", "xarray", "zarr", "pandas", "matplotlib", "sklearn", "scipy"}
            print(json.dumps(sorted(heavy & set(sys.modules))))
        """
        assert json.loads(_python(script)) == []

    @pytest.mark.parametrize(
        "path", PACKAGES, ids=[p.parent.relative_to(keys.PACKAGE).as_posix() for p in PACKAGES]
    )
    def test_packages_import_no_module(self, path: Path):
        """Else each step of a package would depend on all modules of it."""
        package = ".".join(path.parent.relative_to(keys.PACKAGE.parent).parts)
        parents = {package.rsplit(".", k)[0] for k in range(package.count(".") + 1)}
        assert keys.loaded_by(package) == parents
        assert keys.closure(package).keys() <= parents
