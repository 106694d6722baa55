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
