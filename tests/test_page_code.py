"""The Python of the pages runs, and gives what the pages say."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ngpipe import keys
from ngpipe.wiring.sources.places import CELEGANS, OPTIC_LOBE, packaged

DOCS = Path(__file__).parents[1] / "docs"
pytestmark = pytest.mark.slow
RUNNER = """
import ast, json, sys
import numpy as np

known, values = {}, {}
for block in json.load(sys.stdin):
    for node in ast.parse(block).body:
        text = ast.unparse(node)
        if not isinstance(node, ast.Expr):
            exec(compile(ast.Module([node], []), "page", "exec"), known)
            continue
        found = eval(text, known)
        found = found if isinstance(found, tuple) else (found,)
        values[text] = [
            one.to_dict() if hasattr(one, "to_dict") and getattr(one, "ndim", 0) == 1
            else np.asarray(one.detach() if hasattr(one, "detach") else one).tolist()
            for one in found
            if not hasattr(one, "data_vars") and not hasattr(one, "columns")
        ]
print(json.dumps({"values": values, "neurons": len(known.get("brain", ()))}))
"""


def blocks(page: str) -> list[str]:
    """All Python of a page, in its order."""
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.S)


def activity_file(directory: Path) -> np.ndarray:
    """Activity of ten neurons under noise, as a table that readers may have; returns their W."""
    rng, n, dt = np.random.default_rng(0), 10, 0.05
    weights = rng.normal(size=(n, n))
    x, rows = 2 * rng.normal(size=n), []
    for _ in range(4000):
        rows.append(x)
        x = x + dt * (weights @ np.tanh(x) - x) + 0.2 * rng.normal(size=n)
    times = pd.Index(np.round(dt * np.arange(4000), 2), name="time")
    table = pd.DataFrame(rows, index=times, columns=[f"n{k}" for k in range(n)])
    table.to_csv(directory / "activity.csv")
    return weights


def run(code: list[str], directory: Path) -> dict:
    """Values of all expressions of some blocks, run one after the other as a reader would."""
    (directory / "config").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps(code),
        capture_output=True,
        text=True,
        cwd=directory,
        env={"PYTHONPATH": str(keys.PACKAGE.parent), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])  # the page may print


def told(text: str, claim: str) -> list[float]:
    """The numbers of a claim, which must stand on the page."""
    assert claim in text
    return [float(number) for number in re.findall(r"\d+\.?\d*(?:e-?\d+)?", claim)]


def test_your_own_activity(tmp_path):
    """The first page and that of the library: from a table to W and a picture."""
    weights = activity_file(tmp_path)
    first = blocks("../README.md")[1]
    short = '"closed_form", "closed_form": {"distil_steps": 400}'
    values = run([first.replace('"closed_form"', short), "W.values"], tmp_path)["values"]
    off = ~np.eye(len(weights), dtype=bool)
    learned = np.array(values["W.values"][0])
    assert np.corrcoef(learned[off], weights[off])[0, 1] ** 2 > 0.9
    assert (tmp_path / "found.png").stat().st_size > 10_000
    assert blocks("api.md")[0].splitlines()[:5] == first.splitlines()[:5]


def test_the_page_on_networks(tmp_path):
    """Shapes and numbers that stand behind its expressions."""
    text = (DOCS / "networks.md").read_text()
    found = run(blocks("networks.md"), tmp_path)
    values = found["values"]
    assert told(text, "# 171 neurons, 9 cell types")[0] == found["neurons"]
    assert told(text, "sample, neuron, layer: (2, 171, 5)") == values["network(u).shape"]
    losses = values["result['loss'].values[[0, -1]]"][0]
    assert losses == pytest.approx(told(text, "# 0.127, 0.0015"), rel=0.05)
    assert told(text, "sample, sensor, time: (1, 38, 5)") == values["found['best'].shape"]
    assert values["abs(by_input['delta']).max()"][0] < 1e-6
    ours, nulls = values["(float(response_of(brain)[1]), null.isel(sample=1).values)"]
    assert ours == pytest.approx(*told(text, "# 0.07;"), abs=0.005)
    assert len(nulls) == 10


def test_the_page_on_circuits(tmp_path):
    """The comparison at its top, and the code for a connectome of one's own."""
    first, _of_results, table, own = blocks("circuits.md")
    values = run([first, table, own], tmp_path)["values"]
    (compared,) = values["compare(times([observed] * 10), times(nulls))"]
    text = (DOCS / "circuits.md").read_text()
    claims = re.findall(r"(\w+) (-?\d+\.?\d*)", text.split(f"{first}```")[1].split("##")[0])
    assert len(claims) > 6
    for name, value in claims:
        assert round(compared[name], len(value.partition(".")[2])) == float(value), name
    (mean,) = values["edges.groupby('post')['weight'].sum().mean()"]
    assert [round(mean)] == told(text, "# 38: mean number")
    stable = values["(leading_eigenvalue(made.weights).real, mean_field(made).weights)"]
    assert np.isfinite(stable[0])


def test_tables_of_synapses_on_the_page_of_connectomes(tmp_path):
    (code,) = (one for one in blocks("connectomes.md") if "from_synapses" in one)
    values = run([code], tmp_path)["values"]
    count, unit = values["(cortex.origin.counts['cells_not_proofread'], cortex.unit)"]
    assert unit in (DOCS / "connectomes.md").read_text().split("cortex.unit")[1].splitlines()[0]
    assert count > 0


def test_the_worm_on_the_page_of_connectomes(tmp_path):
    """From an edge list of one's own to paths in the worm, over signs that are not known."""
    if packaged(CELEGANS) is None:
        pytest.skip(f"no package {CELEGANS.package}")
    text = (DOCS / "connectomes.md").read_text()
    own, _synapses, _lobe, paths, signs = blocks("connectomes.md")
    root = 720575940600000000 + np.arange(3)  # as FlyWire names neurons
    edges = pd.DataFrame({"pre_root_id": root[[0, 0, 1]], "post_root_id": root[[1, 2, 2]]})
    edges.assign(n=[3, 1, 4]).to_parquet(tmp_path / "edges.parquet")
    neurons = pd.DataFrame({"root_id": root, "hemibrain_type": list("aab"), "sign": [1, -1, 1]})
    more = {"cell_type": list("xyz"), "hemisphere": "left"}
    neurons.assign(**more).to_csv(tmp_path / "neurons.csv", index=False)
    routes = "paths(worm, 'ASH', 'AVA', 2).table().query('layer == 1').set_index('pre')['flow']"
    extra = f"""
W.toarray()
effective_connectivity(worm, "ASH", "AVA", 1).total.values.ravel()
{routes}
"""
    both = "from ngpipe.wiring.paths.effective import effective_connectivity"
    values = run([own, both, paths, extra, signs.replace("spawn(200)", "spawn(20)")], tmp_path)[
        "values"
    ]
    assert np.allclose(values["W.toarray()"], [[0, 0, 0], [1, 0, 0], [0.2, -0.8, 0]])
    (direct,) = values["effective_connectivity(worm, 'ASH', 'AVA', 1).total.values.ravel()"]
    assert told(text, "directly (1.9 % of its input)") == [round(100 * direct[0], 1)]
    (flow,) = values[routes]
    total = sum(flow.values())
    found = {name: round(100 * value / total) for name, value in flow.items()}
    assert told(text, "(60 % of that flow)") == [found["AVD"]]
    assert f"ADL ({found['ADL']} %)" in text.replace("\n", " ")
    assert f"AIB ({found['AIB']} %)" in text
    assert all(found[name] in (4, 5) for name in ("AVB", "ADA", "AVE"))
    mean, interval = values["(net.mean('variant'), net.quantile([0.025, 0.975], 'variant'))"]
    low, high = np.squeeze(interval)
    assert (low <= np.squeeze(mean)).all()
    assert (np.squeeze(mean) <= high).all()
    assert (low < high).any()


def test_light_on_the_page_of_connectomes(tmp_path):
    if packaged(OPTIC_LOBE) is None:
        pytest.skip(f"no package {OPTIC_LOBE.package}")
    (code,) = (one for one in blocks("connectomes.md") if "optic_lobe()" in one)
    third = "found.net.sum('pre').sel(hop=3).values"
    (net,) = run([code, third], tmp_path)["values"][third]
    text = (DOCS / "connectomes.md").read_text()
    claim = re.search(r"# T4a (\.\d+) \(light excites\), T5a (-\.\d+) \(light inhibits\)", text)
    assert claim is not None
    assert net == pytest.approx([float(number) for number in claim.groups()], abs=5e-4)
