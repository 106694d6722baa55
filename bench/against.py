"""The closed form of another commit beside that of this one: same recording, same cores, one run.

Each measurement has a process of its own, so that the peak of its memory is its own; the two are
taken in turn. With ``--busy 8`` eight other processes keep the cores busy meanwhile.

    python bench/against.py 3630f78 --neurons 1000 2000 --out benchmarks/against
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
SIMULATED = """
import sys
import numpy as np
import torch
from pathlib import Path
from ngpipe.config.assembly.experiment import Experiment
from ngpipe.config.load import load
from ngpipe.steps import simulate
import xarray as xr

config, n, n_frames, out = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
cfg = load(config, Experiment).simulation
cfg = cfg.model_copy(update={"n_neurons": n, "n_frames": n_frames})
simulate.run(cfg, out, key="bench", device=torch.device("cpu"))
store = xr.open_zarr(out / "simulation.zarr", consolidated=False)
for name in ("activity", "drift", "connectivity"):
    np.save(out / f"{name}.npy", store[name].values)
"""
SOLVED = """
import json
import resource
import sys
import time
from pathlib import Path
import numpy as np
import torch
from ngpipe.assembly.closed_form.solve import ClosedForm
from ngpipe.assembly.recording import Recording

try:
    from ngpipe.config.assembly.training import Training
except ImportError:  # where sections of all systems lay together
    from ngpipe.config.training import Training

folder, dt = Path(sys.argv[1]), float(sys.argv[2])
torch.set_num_threads(int(sys.argv[3]))
arrays = [np.load(folder / f"{k}.npy") for k in ("activity", "drift", "connectivity")]
activity, rate, truth = map(torch.from_numpy, arrays)
start = time.perf_counter()
recording = Recording(activity, rate, dt=dt, held_out=0.05)
found = ClosedForm(recording, Training(solver="closed_form"), lambda *_, **__: None).solve()
seconds = time.perf_counter() - start
weights, truth = found.scaled().numpy(), truth.numpy()
off = ~np.eye(len(truth), dtype=bool)
r2 = float(np.corrcoef(weights[off], truth[off])[0, 1] ** 2)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "peak_mb": peak, "1 - r2": 1 - r2}))
"""
"""The same lines for both versions: what they import exists in either."""
BUSY = "while True: pass"
DT = 0.01


def main() -> None:
    """Measure both versions at all sizes; write the table after every measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commit", help="the other version")
    parser.add_argument("--neurons", type=int, nargs="+", default=[500, 1000, 2000])
    parser.add_argument("--frames", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--busy", type=int, default=0, help="processes that keep cores busy")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/against"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    with TemporaryDirectory(dir=options.out, prefix="scratch") as scratch:
        versions = {options.commit: other(options.commit, Path(scratch)), "this": ROOT / "src"}
        for n in options.neurons:
            folder = Path(scratch) / str(n)
            folder.mkdir()
            config = ROOT / "config" / "experiments" / "fig2.yaml"
            called(SIMULATED, ROOT / "src", config, n, options.frames, folder)
            for name, source in versions.items():
                with busy(options.busy):
                    told = json.loads(called(SOLVED, source, folder, DT, options.threads))
                rows.append({"n_neurons": n, "version": name, "busy": options.busy, **told})
                pd.DataFrame(rows).to_csv(options.out / "against.csv", index=False)
                print(pd.DataFrame(rows[-1:]).to_string(index=False, header=len(rows) == 1))
    table = pd.DataFrame(rows).pivot(index="n_neurons", columns="version", values="seconds")
    ratio = table[options.commit] / table["this"]
    print("\nfaster by " + ", ".join(f"{r:.2f} at {n}" for n, r in ratio.items()))
    if len(ratio) > 1:
        for name, seconds in table.items():
            slope = np.polyfit(np.log(seconds.index), np.log(seconds), 1)[0]
            print(f"{name}: time grows with the power {slope:.2f} of neurons")


def other(commit: str, scratch: Path) -> Path:
    """Source of another version, as git has it."""
    packed = subprocess.run(
        ["git", "archive", commit, "src"], cwd=ROOT, check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(scratch / "other", filter="data")
    return scratch / "other" / "src"


def called(lines: str, source: Path, *arguments: object) -> str:
    """What Python prints of some lines, with ngpipe from a source."""
    # Threads wait as under the command line.
    waiting = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
    environment = {**os.environ, **waiting, "PYTHONPATH": str(source)}
    command = [sys.executable, "-c", lines, *map(str, arguments)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


@contextmanager
def busy(n: int) -> Iterator[None]:
    """Processes that do nothing but take time."""
    others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(n)]
    try:
        yield
    finally:
        for one in others:
            one.kill()
            one.wait()


if __name__ == "__main__":
    main()
