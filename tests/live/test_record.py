"""Recordings of applications that detach, crash, do not end, or look for their server elsewhere."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from harness.server.ports import is_listened_to, reserved_port
from harness.shim.recordings import Run, load_recording
from tests.unit.docs_commands import ROOT

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(sys.platform == "win32", reason="the applications fork"),
]

APPLICATIONS = str(Path(__file__).with_name("applications.py"))
MARK = "RECORDED_BY_TEST"
DETACHING = ["setsid", "daemon", "cleared", "deaf", "reviving", "crashing"]
WITHIN_S = 120
ABORTED = -6


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as port:
        yield port


def record(
    folder: Path, *words: str, application: list[str], build: str = "b9246", **env: str
) -> "subprocess.CompletedProcess[str]":
    """Record; that this returns says that nobody holds the pipes any more."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "harness", "record", "--build", build, "-q"),
            *("-o", str(folder / "app.json"), *words, "--", *application),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), MARK: str(folder), **env},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def app(kind: str, port: int, *server: str) -> list[str]:
    return [sys.executable, APPLICATIONS, kind, str(port), *server]


def left_of(folder: Path, port: int) -> list[str]:
    """What still runs of a recording."""
    left = [f"a listener on {port}"] if is_listened_to(port) else []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get(MARK) == str(folder)
            if ours or [APPLICATIONS, str(port)] == [process.cmdline()[1], process.cmdline()[3]]:
                left.append(" ".join(process.cmdline()))
        except (psutil.Error, IndexError):
            continue
    return left


def the_run(folder: Path) -> Run:
    (run,) = load_recording(folder / "app.json").runs
    return run


@pytest.mark.parametrize("how", [[], ["--health-only"]], ids=["server", "health-only"])
@pytest.mark.parametrize("kind", DETACHING)
def test_nothing_is_left_of_an_application_that_detaches(
    kind: str, how: list[str], tmp_path: Path, port: int
) -> None:
    done = record(tmp_path, *how, application=app(kind, port))
    assert left_of(tmp_path, port) == []
    assert done.returncode == 0, done.stderr
    run = the_run(tmp_path)
    assert run.launches[0].argv == ["-m", "/home/user/model.gguf", "--port", str(port)]
    assert run.status == (ABORTED if kind == "crashing" else 0)
    assert ("itself failed: killed by signal 6" in done.stderr) == (kind == "crashing")
    assert "ended what it left running: " in done.stderr


@pytest.mark.parametrize("kind", ["endless", "stubborn"])
def test_an_application_that_never_ends_is_ended_after_its_healthy_starts(
    kind: str, tmp_path: Path, port: int
) -> None:
    done = record(tmp_path, "--starts", "1", application=app(kind, port))
    assert done.returncode == 0, done.stderr
    assert left_of(tmp_path, port) == []
    assert the_run(tmp_path).cut_short == "enough starts"
    assert "was ended: enough starts" in done.stderr
    assert "server is listening" in done.stderr
    assert "itself failed" not in done.stderr


def test_a_timeout_ends_all(tmp_path: Path, port: int) -> None:
    started = time.monotonic()
    done = record(tmp_path, "--timeout", "3", application=["sh", "-c", "setsid sleep 600 & wait"])
    assert done.returncode == 3
    assert "its time was up" in done.stderr
    assert left_of(tmp_path, port) == []
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_recorder_that_is_ended_leaves_nothing(
    number: signal.Signals, tmp_path: Path, port: int
) -> None:
    place = tmp_path / "llama-server"
    place.write_text("the user's own")
    recorder = subprocess.Popen(
        [
            *(sys.executable, "-m", "harness", "record", "--build", "b9246", "-q"),
            *("-o", str(tmp_path / "app.json"), "--shim-at", str(place)),
            *("--", *app("endless", port, "{shim}")),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), MARK: str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    eventually(lambda: is_listened_to(port))
    recorder.send_signal(number)
    recorder.wait(WITHIN_S)
    eventually(lambda: not left_of(tmp_path, port))
    eventually(lambda: place.read_text() == "the user's own")
    assert not (tmp_path / "app.json").exists()


def eventually(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.05)


FINDS_IT = """
import os, subprocess, sys
(where,) = sys.argv[1:] or [os.environ["MY_SERVER"]]
said = subprocess.run([where, "--version"], capture_output=True, text=True, check=True)
print(where, said.stdout + said.stderr)
subprocess.run([where, "-m", "x.gguf", "--no-such-flag"])
"""


def test_where_an_application_looks(tmp_path: Path) -> None:
    finds = [sys.executable, "-c", FINDS_IT]
    place = tmp_path / "deep" / "server"
    ways: Mapping[str, tuple[list[str], list[str]]] = {
        "argument": ([], ["{shim}"]),
        "variable": (["--shim-env", "MY_SERVER", "--shim-env", "OTHER"], []),
        "place": (["--shim-at", str(place)], [str(place)]),
    }
    told = {}
    for way, (options, argument) in ways.items():
        done = record(tmp_path, *options, application=[*finds, *argument])
        assert done.returncode == 0, done.stderr
        assert the_run(tmp_path).launches[0].argv == ["-m", "x.gguf", "--no-such-flag"]
        assert "version: 9246" in done.stdout
        told[way] = done.stdout.split()[0]
    assert told["place"] == str(place)
    assert not place.parent.exists()
    assert not Path(told["argument"]).exists()


def test_a_program_of_another_name(tmp_path: Path, port: int) -> None:
    script = f"exec llama serve -m x.gguf --port {port}"
    words = ["--shim-name", "llama", "--starts", "1"]
    done = record(tmp_path, *words, application=["sh", "-c", script])
    assert done.returncode == 0, done.stderr
    assert the_run(tmp_path).launches[0].argv == ["-m", "x.gguf", "--port", str(port)]


ASKS = """
import json, os, subprocess, sys, urllib.request
port = sys.argv[1]
os.environ.update(LLAMA_ARG_PORT=port, LLAMA_ARG_HOST="0.0.0.0", LLAMA_ARG_MODEL="/m/my.gguf",
                  LLAMA_ARG_ENDPOINT_METRICS="1", LLAMA_ARG_ENDPOINT_SLOTS="1",
                  LLAMA_ARG_N_PARALLEL="3", LLAMA_ARG_CTX_SIZE="1024")
server = subprocess.Popen(["llama-server"], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
def ask(path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.read().decode()
for line in server.stderr:
    if b"server is listening on" in line:
        break
import time
while True:
    try:
        ask("/health")
        break
    except OSError:
        time.sleep(0.05)
print(json.dumps({
    "name": os.path.basename(json.loads(ask("/v1/models"))["data"][0]["id"]),
    "slots": json.loads(ask("/props"))["total_slots"],
    "listed": len(json.loads(ask("/slots"))),
    "metrics": "llamacpp:" in ask("/metrics"),
    "comm": open(f"/proc/{server.pid}/comm").read().strip(),
}))
server.kill()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks a process up under /proc")
def test_the_server_answers_as_the_build_does(tmp_path: Path, port: int) -> None:
    done = record(tmp_path, application=[sys.executable, "-c", ASKS, str(port)])
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[0])
    assert answers == {
        "name": "my.gguf",
        "slots": 3,
        "listed": 3,
        "metrics": True,
        "comm": "llama-server",
    }
    (launch,) = the_run(tmp_path).launches
    assert launch.argv == []
    assert launch.env["LLAMA_ARG_MODEL"] == "/m/my.gguf"
    assert launch.env["LLAMA_ARG_HOST"] == "0.0.0.0"


SEES = """
import json, os, shutil, subprocess
has = shutil.which("nvidia-smi")
smi = subprocess.run([has, "-L"], capture_output=True, text=True).stdout if has else ""
print(json.dumps({"smi": smi, "home": os.environ["HOME"], "settings": os.path.expanduser("~/settings")}))
layers = "99" if smi else "0"
subprocess.run(["llama-server", "-ngl", layers, "--no-such-flag"], stderr=subprocess.DEVNULL)
"""


def test_an_environment_keeps_the_users_home_for_the_application(tmp_path: Path) -> None:
    done = record(
        tmp_path,
        *("--env", "cpu", "--env", "cuda-spoof"),
        application=[sys.executable, "-c", SEES],
        LLAMA_HARNESS_CACHE=str(store()),
        HOME=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    first, second = (json.loads(line) for line in done.stdout.splitlines() if line[0] == "{")
    assert first["home"] == second["home"] == str(tmp_path)
    assert first["settings"] == f"{tmp_path}/settings"
    assert first["smi"] == ""
    assert "NVIDIA" in second["smi"]
    runs = load_recording(tmp_path / "app.json").runs
    assert [(run.environment, run.launches[0].argv[1]) for run in runs] == [
        ("cpu", "0"),
        ("cuda-spoof", "99"),
    ]


def store() -> Path:
    from harness.builds.locations import cache_root

    return cache_root()


@pytest.mark.slow
def test_two_hundred_recordings_in_a_row_leave_nothing(tmp_path: Path, port: int) -> None:
    home = tmp_path / "home"
    home.mkdir()
    own = home / "llama-server"
    own.write_text("the user's own")
    own.chmod(0o744)
    before = files(home)
    kinds = ["daemon", "cleared", "deaf", "crashing"]
    for number in range(200):
        kind = kinds[number % len(kinds)]
        folder = tmp_path / str(number)
        folder.mkdir()
        done = record(folder, "--shim-at", str(own), application=app(kind, port, str(own)))
        assert done.returncode == 0, f"{number} {kind}: {done.stderr}"
        assert left_of(folder, port) == [], f"{number} {kind}"
        assert files(home) == before, f"{number} {kind}"


def files(folder: Path) -> Mapping[str, tuple[bytes, int, int]]:
    return {
        str(path): (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }
