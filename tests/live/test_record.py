"""Recordings of applications that detach, crash, do not end, or look for their server elsewhere."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from harness.builds.locations import cache_root
from harness.cells.running import run_cell
from harness.cells.workbench import Workbench
from harness.model import Cell, CellResult, LoadRequest, Verdict
from harness.server.ports import is_listened_to, reserved_port
from harness.shim.recordings import Launch, Recording, Run, load_recording, save_recording
from harness.subjects import demanded_by
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


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGKILL"])
def test_a_recorder_that_is_ended_leaves_nothing(name: str, tmp_path: Path, port: int) -> None:
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
    recorder.send_signal(getattr(signal, name))
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
settings = os.path.expanduser("~/settings")
print(json.dumps({"smi": smi, "home": os.environ["HOME"], "settings": settings}))
layers = "99" if smi else "0"
subprocess.run(["llama-server", "-ngl", layers, "--no-such-flag"], stderr=subprocess.DEVNULL)
"""


def test_an_environment_keeps_the_users_home_for_the_application(tmp_path: Path) -> None:
    done = record(
        tmp_path,
        *("--env", "cpu", "--env", "cuda-spoof"),
        application=[sys.executable, "-c", SEES],
        LLAMA_HARNESS_CACHE=str(cache_root()),
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


LATE = """
import os, subprocess, sys
words = ["sleep 2; exec llama-server -m x.gguf --port 70000"]
subprocess.Popen(["sh", "-c", *words], start_new_session=True)
os._exit(0)
"""
"""Ends long before what it has detached is a server."""


def test_what_an_application_detached_is_let_begin(tmp_path: Path) -> None:
    words = ["--health-only", "--timeout", "30"]
    done = record(tmp_path, *words, application=[sys.executable, "-c", LATE])
    assert done.returncode == 0, done.stderr
    run = the_run(tmp_path)
    assert [launch.argv[:2] for launch in run.launches] == [["-m", "x.gguf"]]
    assert run.status == 0
    assert not run.cut_short


def test_what_it_detached_and_is_no_server_is_not_waited_for_long(tmp_path: Path) -> None:
    started = time.monotonic()
    done = record(tmp_path, application=["sh", "-c", "setsid sleep 600 &"])
    assert done.returncode == 3
    assert 10 < time.monotonic() - started < 30
    assert "ended what it left running: sleep" in done.stderr


COPIES = """
import os, shutil, subprocess
from pathlib import Path
own, link = Path("own/llama-server"), Path("own/linked")
if not own.exists():
    own.parent.mkdir(exist_ok=True)
    shutil.copy2(os.environ["APP_SERVER"], own)
    link.symlink_to(os.environ["APP_SERVER"])
for program in (own, link):
    subprocess.run([program, "-m", "x.gguf", "--port", "70000"])
"""
"""Keeps its server in a place of its own, and looks nowhere else once it is there."""


def test_the_copies_that_an_application_makes_are_taken_away(tmp_path: Path) -> None:
    words = ["--build", "b8929", "--health-only", "--shim-env", "APP_SERVER"]
    script = tmp_path / "copies.py"
    script.write_text(f"import os; os.chdir({str(tmp_path)!r})\n{COPIES}")
    done = record(tmp_path, *words, application=[sys.executable, str(script)])
    assert done.returncode == 0, done.stderr
    runs = load_recording(tmp_path / "app.json").runs
    assert [(run.build, len(run.launches)) for run in runs] == [("b8929", 2), ("b9246", 2)]
    assert f"took away {tmp_path / 'own' / 'llama-server'}, a copy" in done.stderr
    assert list((tmp_path / "own").iterdir()) == []


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


PROBES = """
import subprocess
known = subprocess.run(["llama-server", "--help"], capture_output=True, text=True).stdout
flag = "--spec-draft-n-max" if "--spec-draft-n-max" in known else "--draft-max"
spec = "draft-mtp" if "draft-mtp" in known else "ngram-mod"
subprocess.run(["llama-server", "-m", "x.gguf", "--spec-type", spec, flag, "4", "--port", "70000"])
"""


@pytest.fixture(scope="module")
def on_two_builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    words = ["--build", "b8929", "--health-only"]
    done = record(folder, *words, application=[sys.executable, "-c", PROBES])
    assert done.returncode == 0, done.stderr
    return folder / "app.json"


def judged(
    build: str, subject: str, workbench: Workbench, *, model: str = "tiny-mtp"
) -> CellResult:
    cell = Cell(
        build=build,
        subject=subject,
        environment="cpu",
        request=LoadRequest(model=model, mode="auto"),
        demanded_by=demanded_by(subject),
    )
    return run_cell(cell, workbench)


def test_a_cell_is_judged_by_what_was_recorded_on_its_build(
    on_two_builds: Path, workbench: Workbench
) -> None:
    subject = f"recording:{on_two_builds}"
    legacy = judged("b8929", subject, workbench)
    assert legacy.status is Verdict.PASS, legacy.failure
    assert "--draft-max" in legacy.argv
    renamed = judged("b9246", subject, workbench)
    assert renamed.status is Verdict.PASS, renamed.failure
    assert "--spec-draft-n-max" in renamed.argv
    other = judged("b9464", subject, workbench)
    assert other.status is Verdict.ERROR
    assert other.failure is not None
    assert "was recorded on" in other.failure.message
    everywhere = judged("b9464", f"{subject}@b8929", workbench)
    assert everywhere.status is Verdict.FAIL
    assert everywhere.failure is not None
    assert everywhere.failure.argument == "--draft-max"


def test_a_recording_is_held_to_what_stands_beside_it(
    on_two_builds: Path, workbench: Workbench
) -> None:
    beside = on_two_builds.with_suffix(".expects.json")
    subject = f"recording:{on_two_builds}#1"
    try:
        beside.write_text(
            '{"*": {"slots": 7}, "b9*": {"speculation": {"draft-mtp": {"n_max": 5}}}}'
        )
        result = judged("b9246", subject, workbench)
    finally:
        beside.unlink()
    assert result.status is Verdict.FAIL
    assert {(check.name, check.observed) for check in result.failed} == {
        ("draft-n-max", "draft-mtp n_max 4"),
        ("effect", "the subject expects slots 7, and it is 4"),
    }


@pytest.mark.parametrize(
    ("argv", "build", "status"),
    [
        # pyllama-server 0.1.0 on a host without a GPU: no build takes the CPU for a device.
        ("-m x.gguf --port 8080 -c 4096 -ngl 0 -dev cpu", "b9246", Verdict.FAIL),
        ("-m x.gguf --port 8080 -c 4096 -ngl 0 -dev none", "b9246", Verdict.PASS),
        # A device of another host is left out, and named.
        ("-m x.gguf --port 8080 -dev CUDA0", "b9246", Verdict.PASS),
        # llserve 0.2.0 takes --spec-type for a switch where the help lists its values.
        ("--model x.gguf draft-mtp --port 18322", "b9246", Verdict.FAIL),
        # hearthwork 0.11.0: --load-mode came in b10105.
        ("-m x.gguf --load-mode none", "b9464", Verdict.FAIL),
        ("-m x.gguf --load-mode none", "b10435", Verdict.PASS),
        # ramalama 0.25.0: a draft model alone does not draft from b9464 on.
        ("-m x.gguf --model-draft d.gguf", "b9246", Verdict.PASS),
        ("-m x.gguf --model-draft d.gguf", "b9464", Verdict.FAIL),
        # arc-llama 1.0.0: draft-mtp without asking whether the build has it.
        ("-m x.gguf --spec-type draft-mtp", "b8929", Verdict.FAIL),
        ("-m x.gguf --spec-type draft-mtp", "b9246", Verdict.PASS),
        # clanker-gguf 1.2.0.
        ("-m x.gguf --fit --fit-margin 512", "b10435", Verdict.FAIL),
    ],
)
def test_command_lines_that_applications_were_seen_to_write(
    argv: str, build: str, status: Verdict, tmp_path: Path, workbench: Workbench
) -> None:
    launch = Launch(argv=argv.split(), env={}, directory="/", time=1, pid=1)
    run = Run(build=build, status=0, launches=[launch])
    save_recording(Recording(application=["app"], runs=[run]), tmp_path / "app.json")
    model = "tiny-mtp" if "mtp" in argv else "tiny-llama"
    result = judged(build, f"recording:{tmp_path / 'app.json'}", workbench, model=model)
    assert result.status is status, (result.failure, result.failed)


VARIABLES = {
    "LLAMA_ARG_MODEL": "/models/x.gguf",
    "LLAMA_ARG_N_PARALLEL": "2",
    "LLAMA_ARG_CTX_SIZE": "1024",
    "LLAMA_ARG_HOST": "0.0.0.0",
    "LLAMA_ARG_PORT": "8080",
}


@pytest.mark.parametrize("length", [[], ["--spec-draft-n-max", "7"]])
def test_a_length_that_nobody_asked_for_is_not_judged(
    length: list[str], tmp_path: Path, workbench: Workbench
) -> None:
    argv = ["-m", "x.gguf", "--spec-type", "draft-mtp", *length]
    launch = Launch(argv=argv, env={}, directory="/", time=1, pid=1)
    run = Run(build="b9246", status=0, launches=[launch])
    save_recording(Recording(application=["app"], runs=[run]), tmp_path / "app.json")
    subject = f"recording:{tmp_path / 'app.json'}"
    own = judged("b9246", subject, workbench)
    assert own.status is Verdict.PASS, own.failed
    wish = LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=5)
    studio = Cell(build="b9246", subject=subject, environment="cpu", request=wish)
    assert run_cell(studio, workbench).status is Verdict.FAIL


@pytest.mark.parametrize("build", ["b9246", "b10435"])
def test_variables_alone_are_a_command_line(
    build: str, tmp_path: Path, workbench: Workbench
) -> None:
    launch = Launch(argv=[], env=VARIABLES, directory="/", time=1, pid=1)
    run = Run(build=build, status=0, launches=[launch])
    save_recording(Recording(application=["app"], runs=[run]), tmp_path / "app.json")
    result = judged(build, f"recording:{tmp_path / 'app.json'}", workbench, model="tiny-llama")
    assert result.status is Verdict.PASS, result.failed
    assert "-m" not in result.argv
    assert result.effective is not None
    assert (result.effective["context"], result.effective["slots"]) == (1024, 2)
    given = {one.given.partition("=")[0].split()[0] for one in result.replaced}
    assert given == {"LLAMA_ARG_MODEL", "LLAMA_ARG_HOST", "LLAMA_ARG_PORT"}


STATES = """
import json, sys
asked = json.load(sys.stdin)
assert asked["protocol"] == 2
target = asked["target"]
argv = ["-m", target["model_path"], "--port", str(target["port"]), "-c", "1024"]
argv += ["--spec-type", "draft-mtp", "--spec-draft-n-max", "4"]
expects = json.loads(sys.argv[1])
json.dump({"argv": argv, "expects": expects}, sys.stdout)
"""


@pytest.mark.parametrize(
    ("expects", "status", "failed"),
    [
        ({}, Verdict.PASS, set()),
        ({"speculation": {"draft-mtp": {"n_max": 4}}, "context": {"per_slot": 1024}},
         Verdict.PASS, set()),
        ({"speculation": {"draft-mtp": {}}, "context": 1024}, Verdict.PASS, set()),
        ({"speculation": {"draft-mtp": {"n_max": 2}}}, Verdict.FAIL, {"draft-n-max"}),
        ({"speculation": {}}, Verdict.FAIL, {"implementations"}),
        ({"context_per_slot": 8192}, Verdict.FAIL, {"effect"}),
        ({"moon": 1}, Verdict.ERROR, set()),
        ({"speculation": 3}, Verdict.ERROR, set()),
    ],
)  # fmt: skip
def test_a_generator_is_held_to_its_own_word(
    expects: Mapping[str, object],
    status: Verdict,
    failed: set[str],
    tmp_path: Path,
    workbench: Workbench,
) -> None:
    script = tmp_path / "states.py"
    script.write_text(STATES)
    subject = f"command:{shlex.join([sys.executable, str(script), json.dumps(expects)])}"
    result = judged("b9246", subject, workbench)
    assert result.status is status, result.failed
    assert {check.name for check in result.failed} == failed
    if status is Verdict.ERROR:
        assert result.failure is not None
        assert "expects" in result.failure.message


def test_what_a_generator_states_and_nobody_tells_is_listed(
    tmp_path: Path, workbench: Workbench
) -> None:
    script = tmp_path / "states.py"
    script.write_text(STATES)
    words = [sys.executable, str(script), '{"model_ids": ["x"], "slots": 4}']
    result = judged("b9246", f"command:{shlex.join(words)}", workbench)
    unseen = [word for word in result.not_seen if word.startswith("expects")]
    assert unseen == ["expects model_ids"]
