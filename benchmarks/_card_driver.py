"""Runs command lines on one llama-server and writes down what it does with the cards it finds.

It imports nothing but the standard library: by itself it records the truth, on a machine with a
card and a server compiled for it:

    python benchmarks/_card_driver.py --server llama-server --build b8929 --models DIR
        --cases fixtures/card/cases.json --what "a CUDA build on ..." --out truth-b8929.json

Cases with ``leave`` run while another process holds all but so many MiB of the first card.
"""

import argparse
import contextlib
import fnmatch
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PROMPT = (
    "hello world, this is a longer prompt so that the batch has more than thirty two tokens in it"
)
STAMP = re.compile(r"(?m)^\d+\.\d\d\.\d{3}\.\d{3} ")
START_S = 60.0
DEFAULT_VERBOSITY = 3
END_S = 20.0

HOG = """
import ctypes, sys
cuda = ctypes.CDLL("libcuda.so.1")
def call(name, *values):
    code = getattr(cuda, name)(*values)
    if code:
        sys.exit(f"{name}: {code}")
context, free, total = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_size_t()
call("cuInit", 0)
call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
call("cuCtxSetCurrent", context)
left, step = int(sys.argv[1]) << 20, 1 << 30
while step >= 1 << 20:
    call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
    got = ctypes.c_ulonglong()
    fits = free.value >= left + step
    if not fits or cuda.cuMemAlloc_v2(ctypes.byref(got), ctypes.c_size_t(step)):
        step >>= 1
call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
print("ready", free.value, total.value, flush=True)
sys.stdin.read()
"""

Case = Mapping[str, Any]
Record = dict[str, Any]


def applies(case: Case, build: str, cards: int) -> bool:
    """Whether a case is for a build, on a machine with so many cards."""
    return build in case.get("builds", [build]) and int(case.get("cards", 1)) == cards


def run_case(
    case: Case,
    server: Path,
    models: Mapping[str, Path],
    *,
    variables: Mapping[str, str],
    words: Mapping[str, str],
    tokens: int | None = None,
) -> Record:
    """Run one case, and return what was seen.

    Args:
        case: Of ``cases.json``.
        server: The program.
        models: Model files by the name that cases use.
        variables: All variables of the program but the case's own.
        words: What stands for a word in braces besides the models.
        tokens: How many to ask for; the case's own number if None.
    """
    wanted = int(case.get("n", 48)) if tokens is None else tokens
    fill = {**{name: str(path) for name, path in models.items()}, **words}
    env = {**variables, "GGML_NO_BACKTRACE": "1"}
    env |= {name: _filled(value, fill) for name, value in case.get("env", {}).items()}
    argv = [_filled(word, fill) for word in case["argv"]]
    if case.get("kind") == "list":
        done = subprocess.run(
            [server, *argv],
            env=env,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=START_S,
            check=False,
        )
        said = done.stdout.decode(errors="replace")
        log = _plain(done.stderr.decode(errors="replace"))
        devices = [
            re.sub(r", \d+ MiB free", ", F MiB free", line.strip())
            for line in said.splitlines()
            if " MiB" in line
        ]
        record: Record = {"outcome": f"exit {done.returncode}", "stdout": said, "log": log}
        return record | {"devices": devices, "errors": _errors(log), "warnings": _warnings(log)}
    with tempfile.TemporaryDirectory(prefix="card") as folder:
        return _served(
            case, [str(server), *argv], Path(folder) / "log", models, env=env, tokens=wanted
        )


def _served(
    case: Case,
    command: Sequence[str],
    file: Path,
    models: Mapping[str, Path],
    *,
    env: Mapping[str, str],
    tokens: int,
) -> Record:
    port = _free_port()
    told = ["--host", "127.0.0.1", "--port", str(port), "--offline"]
    told += ["-m", str(models[str(case["model"])])]
    level = int(case.get("lv", 4))
    words = [*told, *command[1:], *(["-lv", str(level)] if level != DEFAULT_VERBOSITY else [])]
    record: Record = {}
    start = time.monotonic()
    with file.open("wb") as log:
        process = subprocess.Popen(
            [command[0], *words], env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        up = _wait(process, port)
        record["seconds"] = round(time.monotonic() - start, 3)
        died = ""
        if up:
            record |= _asked(port, tokens, case.get("ask", {}))
            died = str(record.pop("problem", ""))
        time.sleep(0.05)
        ended = process.poll()
        if ended is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if up and ended is not None:
            record["outcome"] = f"up, then {died} exit {ended}"
        elif up:
            record["outcome"] = f"up, {died}" if died else "up"
        else:
            record["outcome"] = f"down, exit {process.returncode}"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return record | told_by(_plain(file.read_text(errors="replace")))


def _filled(text: str, words: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda word: words.get(word[1], word[0]), text)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _get(port: int, path: str, body: object = None, timeout_s: float = 120.0) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=timeout_s) as answer:
        return json.load(answer)


def _wait(process: subprocess.Popen[bytes], port: int) -> bool:
    until = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until:
        try:
            _get(port, "/health", timeout_s=2)
        except (OSError, ValueError):
            time.sleep(0.02)
        else:
            return True
    return False


def _asked(port: int, tokens: int, more: Mapping[str, Any]) -> Record:
    record: Record = {}
    try:
        props = _get(port, "/props")
        settings = props.get("default_generation_settings", {})
        record["n_ctx"] = settings.get("n_ctx")
        slots = _get(port, "/slots")
        record["slots"] = [slot.get("n_ctx") for slot in slots]
        record["speculative"] = sorted({bool(slot.get("speculative")) for slot in slots})
        question = {"prompt": PROMPT, "n_predict": tokens, "temperature": 0, "seed": 1}
        question |= {"return_tokens": True, "cache_prompt": False, "ignore_eos": True, **more}
        answer = _get(port, "/completion", question)
        timings = answer.get("timings", {})
        record["tokens"] = answer.get("tokens")
        record["drafted"] = [timings.get("draft_n"), timings.get("draft_n_accepted")]
    except urllib.error.HTTPError as error:
        record["problem"] = f"HTTP {error.code}"
    except (OSError, ValueError) as error:
        record["problem"] = f"{type(error).__name__}: {error}"
    return record


def _plain(log: str) -> str:
    return STAMP.sub("", log)


# -- what the log tells --------------------------------------------------------------------------

FIT = re.compile(r"^\w common_(?:params_)?fit\w*: (.*)", re.MULTILINE)
FREE = (
    (r"will leave -?\d+ ", "# "),
    (r"-?\d+ free vs\.", "# vs."),
    (r"target=-?\d+ MiB", "#"),
    (r"-?\d+ MiB free$", "#"),
)
"""How much is free depends on the machine more than on the server."""


def told_by(log: str) -> Record:
    """What the lines of a log tell of devices."""

    def buffers(kind: str) -> list[str]:
        found = re.findall(rf"(\S+) +{kind} buffer size = +([\d.]+) MiB", log)
        return [f"{name}={size}" for name, size in found]

    return {
        "devices": re.findall(r"using device (.+?) - \d+ MiB free", log),
        "layers": re.findall(r"offloaded (\S+) layers", log),
        **{field: buffers(kind) for field, kind in BUFFERS.items()},
        "fa": re.findall(r"Flash Attention (?:was auto, set to )?(enabled|disabled)", log),
        "graph": [
            re.sub(" +", " ", line)
            for line in re.findall(r"(graph(?:: nodes| nodes| splits| \(pp).*)", log)
        ],
        "pipeline": re.findall(r"(pipeline parallelism(?: enabled)?|sched copies = \d+)", log),
        "fit": fit_steps(log),
        "errors": _errors(log),
        "warnings": _warnings(log),
        "log": log,
    }


BUFFERS = {"model": "model", "kv": "KV", "rs": "RS", "output": "output", "compute": "compute"}


def fit_steps(log: str) -> list[str]:
    """What the server tells of fitting its context and layers into what is free."""
    steps = []
    for line in FIT.findall(log):
        if re.match(r"getting|projected|memory for test|fitting params|.*took ", line):
            continue
        step = line
        for pattern, instead in FREE:
            step = re.sub(pattern, instead, step)
        steps.append(step)
    return steps


def _errors(log: str) -> list[str]:
    return [PATH.sub(r"\1", line) for line in log.splitlines() if ERROR.match(line)]


ERROR = re.compile(r"E |error while handling|error: |.*GGML_ASSERT\(.*failed|.*: CUDA error$")
PATH = re.compile(r"(?:/[^\s':]+)+/(ggml/src/|(?=[^/\s']+\.gguf))")


SAID_ANYWAY = re.compile(
    r"common_speculative_init: no implementations|^W srv |^W llama_model_loader: "
    r"|: exiting due to model loading error"
)
"""Lines that have nothing to do with devices, or are lost where the end comes quickly; the records
hold none of the model loader's."""


def _warnings(log: str) -> list[str]:
    return [line for line in log.splitlines() if line.startswith("W ")]


# -- recording on a real card --------------------------------------------------------------------


@contextlib.contextmanager
def _left(mib: int | None) -> Iterator[str]:
    """Another process holds all of the first card but so much; what it said."""
    if mib is None:
        yield ""
        return
    hog = subprocess.Popen(
        [sys.executable, "-c", HOG, str(mib)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert hog.stdout is not None
        yield hog.stdout.readline().strip()
    finally:
        hog.communicate(timeout=END_S)
        time.sleep(0.3)


def main() -> int:
    """Record the cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("server", "build", "models", "cases", "what", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--only", default="*", help="patterns of case names, with | between")
    parser.add_argument("--cards", type=int, default=1)
    parser.add_argument("--uuid", default="GPU-")
    parser.add_argument("--stop-after-s", type=float, default=1e9)
    options = parser.parse_args()
    start = time.monotonic()
    models = {path.stem: path for path in Path(options.models).glob("*.gguf")}
    words = {"uuid": options.uuid, "uuid8": options.uuid[:12]}
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GGML_", "LLAMA_")) and name != "CUDA_VISIBLE_DEVICES"
    }
    records: dict[str, Record] = {}
    for case in json.loads(Path(options.cases).read_text()):
        if not applies(case, options.build, options.cards):
            continue
        if not any(fnmatch.fnmatchcase(case["id"], each) for each in options.only.split("|")):
            continue
        if time.monotonic() - start > options.stop_after_s:
            break
        with _left(case.get("leave")) as said:
            record = run_case(case, Path(options.server), models, variables=variables, words=words)
        if said:
            record["hog"] = said
        seen = re.search(r"\((\d+) MiB, (\d+) MiB free\)|- (\d+) MiB free", record["log"])
        listed = re.search(r"\((\d+) MiB, (\d+) MiB free\)", record.get("stdout", ""))
        if found := listed or seen:
            record["free_seen"] = int(found[2] or found[3])
        records[case["id"]] = record
        print(case["id"], record["outcome"], flush=True)
    truth = {"build": options.build, "what": options.what, "cases": records}
    Path(options.out).write_text(json.dumps(truth, indent=0))
    print(f"{len(records)} cases in {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
