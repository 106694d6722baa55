"""A Python that has the libraries loaded, from which the commands of studies fork.

Every Snakemake and every job of it is a Python of its own that loads torch, xarray, zarr and more:
seconds, for work of a tenth of a second. Here one server loads the libraries once, and a command is
a fork of it. The server loads nothing of ngpipe: a fork imports that from the source of its study,
which a test may have edited.

A fork is asked for by a `python` in a directory of its own, which Snakemake puts first on the PATH
of its jobs. It passes on its arguments, environment, directory, open streams and signals, and ends
as the fork ends; a signal also reaches all that the fork started, as one for a process group does.
Whatever is not ``-m ngpipe`` or ``-m snakemake`` is run by the real Python.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

FORKED = ("ngpipe", "snakemake", "warm")
PRELOADED = (
    *("torch", "torch._dynamo", "safetensors.torch", "numpy", "pandas", "xarray", "zarr"),
    *("dask.array", "pydantic", "yaml", "jaxtyping", "tqdm", "networkx", "pooch", "pyarrow"),
    *("scipy.interpolate", "scipy.linalg", "scipy.ndimage", "scipy.optimize", "scipy.spatial"),
    *("scipy.sparse.csgraph", "scipy.sparse.linalg", "scipy.stats", "scipy.special"),
    *("sklearn.cluster", "sklearn.mixture", "sklearn.metrics", "sklearn.neighbors"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg"),
    *("matplotlib.backends.backend_pdf", "PIL.PngImagePlugin", "imageio.v3", "tifffile"),
    *("snakemake.cli", "snakemake.linting.rules", "snakemake.report"),
)
CLIENT = """\
import array, json, os, signal, socket, sys

address, real, shown, *arguments = sys.argv[1:]
if arguments[:1] != ["-m"] or arguments[1] not in {forked}:
    os.execv(real, [real, *arguments])
server = socket.socket(socket.AF_UNIX)
server.connect(address)
wanted = json.dumps([shown, arguments[1:], os.getcwd(), dict(os.environ)]).encode()
streams = array.array("i", [0, 1, 2])
size = len(wanted).to_bytes(8, "big")
server.sendmsg([size], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
server.sendall(wanted)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: server.send(bytes([number])))
status = server.recv(1)
sys.exit(status[0] if status else "the Python that commands fork from is gone")
"""


@functools.cache
def forking_python(source: Path | None = None) -> Path:
    """The `python` that asks for forks, of a server that ends with this process.

    Args:
        source: one that no test edits; what commands load of it first is then loaded too.
    """
    directory = Path(tempfile.mkdtemp(prefix="forked"))
    atexit.register(shutil.rmtree, directory)
    python, client, address = (directory / name for name in ("python", "client.py", "server"))
    client.write_text(CLIENT.format(forked=FORKED))
    parts = [sys.executable, "-IS", client, address, sys.executable, python]
    python.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, parts))} "$@"\n')
    python.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, __file__, address]
        if source is None
        else [forking_python(), "-m", "warm", address],
        stdin=subprocess.PIPE,  # closed when this process ends, however it ends
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(source or "")},
    )
    atexit.register(server.communicate)
    assert server.stdout.readline() == b"ready\n"
    return python


def serve(address: str) -> str:
    """Fork for everyone who connects, until the standard input is closed.

    Returns in the forks alone, the name of the module they are to run; the server itself exits.
    """
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    os.write(1, b"ready\n")
    events = selectors.PollSelector()  # an epoll would be shared with the forks
    events.register(0, selectors.EVENT_READ)
    events.register(listener, selectors.EVENT_READ)
    while True:
        for event, _ in events.select():
            if event.fileobj == 0:
                os._exit(0)
            elif event.fileobj is listener:
                client, _ = listener.accept()
                streams, wanted = received(client)
                if (child := os.fork()) == 0:
                    os.setpgid(0, 0)
                    events.register(client, selectors.EVENT_READ)
                    become(events, streams, *wanted)
                    return warmed(sys.argv[1]) if sys.argv[0] == "warm" else sys.argv[0]
                os.setpgid(child, child)
                follow(events, client, child)
                for stream in streams:
                    os.close(stream)
            elif event.fd in events.get_map():
                attend(events, *event.data)


def received(client: socket.socket) -> tuple[list[int], list]:
    """The open streams of a client, and what it wants."""
    size, streams, *_ = socket.recv_fds(client, 8, 3)
    left, parts = int.from_bytes(size, "big"), []
    while left:
        parts.append(client.recv(left))
        left -= len(parts[-1])
    return streams, json.loads(b"".join(parts))


def follow(events: selectors.BaseSelector, client: socket.socket, child: int) -> None:
    """Have it noticed when a fork ends, or its client wants something or is gone."""
    ended = os.pidfd_open(child)
    for source in (ended, client):
        events.register(source, selectors.EVENT_READ, (ended, client, child))


def attend(events: selectors.BaseSelector, ended: int, client: socket.socket, child: int) -> None:
    """Hand a signal on to a fork and all it started, or tell the client how the fork ended.

    A client that is gone was killed, and so is the fork.
    """
    if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        number = client.recv(1)
        os.killpg(child, number[0] if number else signal.SIGKILL)
        if number:
            return
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(OSError):
        client.send(bytes([status if status >= 0 else 128 - status]))
    for source in (ended, client):
        events.unregister(source)
    client.close()
    os.close(ended)


def become(
    events: selectors.BaseSelector,
    streams: list[int],
    executable: str,
    arguments: list[str],
    directory: str,
    environment: dict[str, str],
) -> None:
    """Turn a fork into the process that was asked for."""
    for source in list(events.get_map().values()):
        os.close(source.fd)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(directory)
    loaded = os.environ.get("PYTHONPATH")
    os.environ.clear()
    os.environ.update(environment)
    assert "ngpipe" not in sys.modules or os.environ["PYTHONPATH"] == loaded
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests ignore it
    sys.executable = executable
    source = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [directory, *filter(None, source), *INSTALLED]
    sys.argv = arguments


def warmed(address: str) -> str:
    """Serve forks that have loaded what every command loads first, and read the source for keys."""
    keys = importlib.import_module("ngpipe.keys")
    importlib.import_module("ngpipe.commands.stage")
    for path in keys.PACKAGE.rglob("*.py"):
        parts = path.relative_to(keys.PACKAGE.parent).with_suffix("").parts
        keys.code(".".join(parts).removesuffix(".__init__"))
    gc.freeze()
    return serve(address)


INSTALLED = sys.path[1:]
STATUS = 1
"""With which a fork ends."""


def leave() -> None:
    """End a fork at once: to tear down all that is loaded takes longer than most commands."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(STATUS)


if __name__ == "__main__":
    atexit.register(leave)  # the first that is registered is the last that is called
    for name in PRELOADED:
        importlib.import_module(name)
    assert "ngpipe" not in sys.modules
    gc.freeze()
    try:
        runpy.run_module(serve(sys.argv[1]), run_name="__main__", alter_sys=True)
        STATUS = 0
    except SystemExit as end:
        STATUS = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
