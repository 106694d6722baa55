"""The chain key: changes with all that a result depends on, and with nothing else."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngpipe import keys
from ngpipe.config.experiment import Experiment
from ngpipe.config.load import load
from ngpipe.errors import StaleError
from ngpipe.steps import stages

STEPS = sorted(p.stem for p in (keys.PACKAGE / "steps").glob("*.py") if p.stem != "__init__")
PACKAGES = sorted(keys.PACKAGE.rglob("__init__.py"))
BELOW = {  # stage -> itself and all that is made from it
    "simulate": {"simulate", "train", "recover", "rollout", "score"},
    "train": {"train", "recover", "rollout", "score"},
    "recover": {"recover", "score"},
    "rollout": {"rollout", "score"},
    "score": {"score"},
}
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
    _reread()
    yield copy
    monkeypatch.undo()
    _reread()


def _reread():
    for cached in (keys.source_digest, keys.closure, keys._imports):
        cached.cache_clear()


def stage_keys(**content) -> dict[str, str]:
    return stages.stage_keys(Experiment.model_validate(content))


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {stage for stage in before if before[stage] != after[stage]}


class TestCanonicalJson:
    def test_is_sorted_and_without_spaces(self):
        assert keys.canonical({"b": [1.5, None], "a": {"d": True, "c": "x"}}) == (
            '{"a":{"c":"x","d":true},"b":[1.5,null]}'
        )

    @given(JSON)
    def test_says_everything_that_was_put_in(self, content):
        assert json.loads(keys.canonical(content)) == content

    @given(st.dictionaries(st.text(), JSON, max_size=5), st.randoms(use_true_random=False))
    def test_ignores_the_order_of_keys(self, content, random):
        shuffled = list(content.items())
        random.shuffle(shuffled)
        assert keys.canonical(dict(shuffled)) == keys.canonical(content)

    def test_keeps_the_order_of_lists(self):
        assert keys.canonical([1, 2]) != keys.canonical([2, 1])

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_refuses_what_json_cannot_say(self, value):
        with pytest.raises(ValueError, match="JSON compliant"):
            keys.canonical({"dt": value})


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
        before = keys.tree_digest(store)
        assert keys.file_digest(store) == before
        (store / ".snakemake_timestamp").touch()
        assert keys.tree_digest(store) == before
        (store / "W" / "0.0").rename(store / "W" / "1.0")
        renamed = keys.tree_digest(store)
        (store / "W" / "1.0").write_bytes(b"1243")
        assert len({before, renamed, keys.tree_digest(store)}) == 3


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


class TestSource:
    def test_an_edit_reaches_the_stages_that_import_it_and_those_below(self, package):
        before = stage_keys()
        path = package / "config" / "training.py"
        path.write_text(path.read_text() + "\n# edited\n")
        _reread()
        assert changed(before, stage_keys()) == BELOW["train"]

    def test_an_edit_of_the_simulator_reaches_everything(self, package):
        before = stage_keys()
        path = package / "dynamics" / "assembly.py"
        path.write_text(path.read_text().replace("torch.tanh(x)", "torch.sin(x)"))
        _reread()
        assert changed(before, stage_keys()) == BELOW["simulate"]

    def test_an_edit_of_the_figures_reaches_no_stage(self, package):
        before = stage_keys(), keys.source_digest("panel")
        path = package / "figures" / "style.py"
        path.write_text(path.read_text() + "\n# edited\n")
        _reread()
        assert before[0] == stage_keys()
        assert before[1] != keys.source_digest("panel")

    def test_renaming_a_module_is_an_edit(self, package):
        (package / "one.py").write_text("")
        (package / "steps" / "own.py").write_text("import ngpipe.one\n")
        before = keys.source_digest("own")
        (package / "one.py").rename(package / "two.py")
        (package / "steps" / "own.py").write_text("import ngpipe.two\n")
        _reread()
        assert before != keys.source_digest("own")

    @pytest.mark.parametrize(
        "statement",
        [
            "import ngpipe.dynamics.integrate",
            "import ngpipe.dynamics.integrate as solver",
            "from ngpipe.dynamics import integrate",
            "from ngpipe.dynamics.integrate import blocks",
            "def later():\n    from ngpipe.dynamics import integrate",
        ],
    )
    def test_the_closure_follows_every_way_to_import(self, package, statement):
        (package / "own.py").write_text(statement + "\n")
        assert keys.closure("ngpipe.own") == {
            "ngpipe",
            "ngpipe.own",
            "ngpipe.arrays",
            "ngpipe.dynamics",
            "ngpipe.dynamics.integrate",
            "ngpipe.errors",
        }

    def test_a_relative_import_is_refused(self, package):
        (package / "own.py").write_text("from . import errors\n")
        with pytest.raises(StaleError, match=r"ngpipe\.own uses a relative import"):
            keys.closure("ngpipe.own")


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
    @pytest.mark.parametrize("step", STEPS)
    def test_covers_what_the_step_loads(self, loaded, step):
        modules = dict.fromkeys(loaded[step])
        assert f"ngpipe.steps.{step}" in modules
        keys.check_closure(step, modules)
        assert set(modules) <= keys.closure(f"ngpipe.steps.{step}")

    def test_names_a_module_that_escaped(self):
        modules = dict.fromkeys(["numpy", "ngpipe.steps.simulate", "ngpipe.steps.train"])
        with pytest.raises(StaleError, match=r"step 'simulate' loaded \['ngpipe.steps.train'\]"):
            keys.check_closure("simulate", modules)

    def test_simulating_does_not_depend_on_how_it_is_learned(self):
        closure = keys.closure("ngpipe.steps.simulate")
        assert "ngpipe.config.simulation" in closure
        rooms = {name.split(".")[1] for name in closure if "." in name}
        assert not rooms & {"assembly", "figures", "metrics"}
        assert not closure & {"ngpipe.config.training", "ngpipe.config.experiment"}


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
            import ngpipe.steps.stages
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
        assert keys.closure(package) == parents
