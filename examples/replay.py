#!/usr/bin/env python3
"""Replay the failing cells of a results file by hand, without the harness.

    llama-harness matrix ... --jsonl results.jsonl
    python3 examples/replay.py results.jsonl

Each distinct command line is started as it stands in the file (the port apart), asked for 128
tokens and ended; printed is what the server itself says. Nothing of the harness is imported: only
`llama-harness builds path ID` is run, to find the binaries. Ends with 1 where a server does not do
what the file says it did.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any

PATIENCE_S = 120.0
VARIABLES = {
    "LLAMA_TRACE": "1",
    "LLAMA_LOG_VERBOSITY": "4",
    "LLAMA_ARG_LOG_VERBOSITY": "4",
    "LLAMA_ARG_THREADS": "1",
}
"""More of the server's own log, and one thread, since several wait for each other by spinning,
which on a busy host takes minutes. An argument of the command line wins over all of these."""

ADDING = re.compile(r"adding speculative implementation '([\w-]+)'")
DRAFTED = re.compile(r"statistics\s+([\w -]+?):.*#gen drafts =\s*([1-9]\d*)")
STEP = re.compile(r"accepted\s+\d+/\s*(\d+) draft tokens")
TRIES = 3
"""Some builds end before their last words are written; a start without a reason is repeated."""

Cell = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Replay the file."""
    if len(arguments) != 1:
        sys.exit(f"usage: {sys.argv[0]} RESULTS.jsonl")
    lines = Path(arguments[0]).read_text(encoding="utf-8").splitlines()
    failing = [cell for cell in map(json.loads, lines) if cell["status"] == "fail"]
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for cell in failing:
        groups.setdefault(launch_of(cell), []).append(cell)
    print(f"{len(failing)} failing cells, {len(groups)} distinct command lines")
    unlike = 0
    for cells in groups.values():
        said, done = what_the_file_says(cells[0]), replay(cells[0])
        unlike += said != done
        print(f"{'same' if said == done else 'UNLIKE'}  {cells[0]['build']}  {done}")
        if said != done:
            print(f"  the file says: {said}")
        print(f"  {' '.join(launch_of(cells[0])[2:])}")
        for cell in cells:
            print(f"    {cell['id']}")
    print(f"{len(groups) - unlike} of {len(groups)} do by hand what the file says")
    return 1 if unlike else 0


def launch_of(cell: Cell) -> tuple[str, ...]:
    """Build, variables and arguments, without what differs from run to run."""
    argv = cell["argv"]
    words = [
        "PORT" if before == "--port" else "DIRECTORY" if before == "--slot-save-path" else word
        for before, word in zip(["", *argv], argv, strict=False)
    ]
    return (cell["build"], cell["environment"] if "CUDA" in str(argv) else "", *words)


def what_the_file_says(cell: Cell) -> str:
    """What the harness saw."""
    failure, effective = cell["failure"], cell["effective"]
    if effective is None:
        return f"refuses to start, about {failure['argument'] or 'the model'}"
    drafts = effective["speculation"]
    return started(drafts, max((one["n_max"] or 0 for one in drafts.values()), default=0))


def started(names: Iterable[str], longest: int) -> str:
    """A server that runs, in words."""
    if not names:
        return "starts, drafts nothing"
    return f"starts, drafts up to {longest} tokens with {' and '.join(sorted(names))}"


def replay(cell: Cell) -> str:
    """What the server does now."""
    for _ in range(TRIES):
        told = start_once(cell)
        if told != "ends without a word":
            return told
    return told


def start_once(cell: Cell) -> str:
    """The same, of one start."""
    program = subprocess.run(
        ["llama-harness", "builds", "path", "-q", cell["build"]],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    with tempfile.TemporaryDirectory() as scratch, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        free.close()
        put = {"--port": port, "--slot-save-path": scratch}
        words = [
            put.get(before, word)
            for before, word in zip(["", *cell["argv"]], cell["argv"], strict=False)
        ]
        log = Path(scratch, "log")
        with log.open("wb") as sink:
            server = subprocess.Popen(
                [program, *words], stdout=sink, stderr=sink, env={**VARIABLES, **os.environ}
            )
        try:
            if not healthy(server, port):
                return refusal(log.read_text(encoding="utf-8", errors="replace"))
            drafted = ask(port)
            time.sleep(0.5)  # the log is written behind the answer's back
            return working(log.read_text(encoding="utf-8", errors="replace"), drafted)
        finally:
            server.kill()
            server.wait()


def healthy(server: "subprocess.Popen[bytes]", port: str) -> bool:
    """Whether the server becomes healthy before it ends."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                return bool(answer.status == HTTPStatus.OK)
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    return False


def ask(port: str) -> int:
    """How many tokens were drafted for 128."""
    body = json.dumps({"prompt": "hello", "n_predict": 128, "temperature": 0}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/completion", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return int(json.load(answer)["timings"].get("draft_n", 0))


def refusal(log: str) -> str:
    """What a server that ended says of it."""
    found = re.search(r'invalid argument: (\S+)|handling argument "([^"]+)"', log)
    if found:
        return f"refuses to start, about {found[1] or found[2]}"
    if "error loading model" in log or "model loading error" in log:
        return "refuses to start, about the model"
    return "ends without a word"


def working(log: str, drafted: int) -> str:
    """Who drafts, by the server's statistics where it has any, else by what it says it set up."""
    if not drafted:
        return started((), 0)
    names = {name.replace(" ", "").replace("_", "-") for name, _ in DRAFTED.findall(log)}
    return started(names or set(ADDING.findall(log)), max(map(int, STEP.findall(log)), default=0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
