import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.gguf_models import ensure_models
from harness.model import TinyModel
from harness.processes.reaper import Reaper
from harness.server.ports import reserved_port
from harness.shim import recorder
from harness.shim.application import Ending, application_variables, run_application
from harness.shim.install import Shim, install_shim, programs_directory
from harness.shim.placing import MARK
from harness.shim.recordings import collect_launches, describe

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="scripts stand in for a build")

REAL = """\
#!/bin/sh
echo "out: $BUILD_NEEDS"
for a in "$@"; do echo "[$a]"; done
echo "err" >&2
exit 7
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, TinyModel]:
    return ensure_models(tmp_path_factory.mktemp("models"))


def shim(
    tmp_path: Path,
    *names: str,
    models: Mapping[str, TinyModel] | None = None,
    script: str = REAL,
    **env: str,
) -> Shim:
    real = tmp_path / "it's real" / "llama-server"
    real.parent.mkdir()
    real.write_text(script)
    real.chmod(0o755)
    programs = tmp_path / "shim dir"
    programs.mkdir()
    return install_shim(
        programs,
        tmp_path / "shim state",
        real,
        names=names,
        env={"BUILD_NEEDS": "a 'b'", **env},
        models=models,
    )


def run_recorded(
    application: Sequence[str],
    stand_in: Shim,
    timeout_s: float | None = None,
    enough: Callable[[], bool] = bool,
) -> Ending:
    env = application_variables(os.environ, {}, stand_in.directory)
    with Reaper() as reaper:
        return run_application(application, env, reaper.token, timeout_s=timeout_s, enough=enough)


def run(program: Path, *argv: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(program), *argv],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **env},
    )


@pytest.mark.parametrize("flag", ["--help", "-h", "--version", "--list-devices"])
def test_questions_go_to_the_real_build_and_leave_no_trace(tmp_path: Path, flag: str) -> None:
    stand_in = shim(tmp_path)
    done = run(stand_in.program, "-m", "x", flag)
    assert (done.stdout, done.stderr) == (f"out: a 'b'\n[-m]\n[x]\n[{flag}]\n", "err\n")
    assert done.returncode == 7
    assert collect_launches(stand_in.recordings) == []


def test_a_start_is_recorded_and_then_runs_the_real_build(
    tmp_path: Path, models: Mapping[str, TinyModel]
) -> None:
    stand_in = shim(tmp_path, models=models)
    argv = ("--alias", 'it\'s "x" $HOME', "", "é\n")
    done = run(
        stand_in.program,
        *argv,
        LLAMA_ARG_CTX_SIZE="2",
        LLAMA_API_KEY="secret",
        LLAMA_HARNESS_SHIM="x",
        OTHER_TOKEN="secret",
        CUDA_VISIBLE_DEVICES="0",
    )
    assert done.returncode == 7
    assert done.stderr == "err\n"
    assert done.stdout == "out: a 'b'\n" + "".join(f"[{word}]\n" for word in argv)
    (launch,) = collect_launches(stand_in.recordings)
    assert tuple(launch.argv) == argv
    assert launch.env == {"LLAMA_ARG_CTX_SIZE": "2", "CUDA_VISIBLE_DEVICES": "0"}
    assert launch.directory == str(Path.cwd())
    assert "secret" not in json.dumps([str(p.read_text()) for p in stand_in.recordings.iterdir()])


def test_secrets_in_arguments_are_not_written(
    tmp_path: Path, models: Mapping[str, TinyModel]
) -> None:
    stand_in = shim(tmp_path, models=models)
    run(stand_in.program, "--api-key", "secret", "-hft", "secret", "-c", "1")
    (launch,) = collect_launches(stand_in.recordings)
    assert launch.argv == ["--api-key", "REDACTED", "-hft", "REDACTED", "-c", "1"]
    assert "secret" in run(stand_in.program, "--api-key", "secret").stdout


def test_a_start_that_cannot_be_recorded_still_runs(
    tmp_path: Path, models: Mapping[str, TinyModel]
) -> None:
    stand_in = shim(tmp_path, models=models)
    shutil.rmtree(stand_in.recordings)
    done = run(stand_in.program, "-m", "x")
    assert done.returncode == 7
    assert "could not be recorded" in done.stderr


def test_starts_are_kept_in_their_order(tmp_path: Path, models: Mapping[str, TinyModel]) -> None:
    stand_in = shim(tmp_path, models=models)
    for number in range(3):
        run(stand_in.program, "-c", str(number))
    launches = collect_launches(stand_in.recordings)
    assert [launch.argv[1] for launch in launches] == ["0", "1", "2"]
    assert "#2 in" in describe(launches)
    assert "llama-server -c 1" in describe(launches)


def test_health_only_answers_health_and_starts_nothing(tmp_path: Path) -> None:
    stand_in = shim(tmp_path)
    with reserved_port() as port:
        child = subprocess.Popen(
            [str(stand_in.program), "--port", str(port)], stderr=subprocess.PIPE, text=True
        )
        try:
            assert child.stderr is not None
            assert f"listening on http://127.0.0.1:{port}" in child.stderr.readline()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60) as answer:
                assert json.load(answer) == {"status": "ok"}
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/completion", timeout=60)
            (launch,) = collect_launches(stand_in.recordings)
            assert launch.pid == child.pid
        finally:
            child.terminate()
            child.communicate(timeout=60)
    assert run(stand_in.program, "--version").returncode == 7


PYTHON_LAUNCHER = """
import subprocess, sys
help_text = subprocess.run(["llama-server", "--help"], capture_output=True, text=True).stdout
flag = ["--spec-draft-n-max", "5"] if "[--help]" in help_text else []
sys.exit(subprocess.run(["llama-server", "-m", "x.gguf", *flag]).returncode)
"""
SHELL_LAUNCHER = """\
#!/bin/sh
export LLAMA_ARG_THREADS=2
cd /
llama-server --version >/dev/null 2>&1
llama-server -m "x y.gguf" --port 8080 2>/dev/null
llama-server -m second.gguf &
wait
exit 0
"""


def test_a_python_application(tmp_path: Path, models: Mapping[str, TinyModel]) -> None:
    stand_in = shim(tmp_path, models=models)
    ending = run_recorded([sys.executable, "-c", PYTHON_LAUNCHER], stand_in, 30)
    assert ending == Ending(status=7)
    assert ending.failed
    (launch,) = collect_launches(stand_in.recordings)
    assert launch.argv == ["-m", "x.gguf", "--spec-draft-n-max", "5"]


def test_a_shell_application(tmp_path: Path, models: Mapping[str, TinyModel]) -> None:
    stand_in = shim(tmp_path, models=models)
    script = tmp_path / "launch.sh"
    script.write_text(SHELL_LAUNCHER)
    script.chmod(0o755)
    assert run_recorded([str(script)], stand_in, 30) == Ending(status=0)
    first, second = collect_launches(stand_in.recordings)
    assert first.argv == ["-m", "x y.gguf", "--port", "8080"]
    assert first.env == {"LLAMA_ARG_THREADS": "2"}
    assert first.directory == "/"
    assert second.argv == ["-m", "second.gguf"]


def test_an_application_that_does_not_end_is_ended(tmp_path: Path) -> None:
    started = time.monotonic()
    ending = run_recorded(["sh", "-c", "exec sleep 60"], shim(tmp_path), 0.5)
    assert ending == Ending(status=-15, cut_short="its time was up")
    assert not ending.failed
    assert time.monotonic() - started < 10


def test_an_application_is_ended_when_there_is_enough(tmp_path: Path) -> None:
    asked = iter([False, True])
    ending = run_recorded(
        ["sh", "-c", "exec sleep 60"], shim(tmp_path), enough=lambda: next(asked, True)
    )
    assert ending.cut_short == "enough starts"


def test_an_application_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no program 'no-such-app'"):
        run_recorded(["no-such-app"], shim(tmp_path))


def test_the_stand_in_comes_first_on_path(tmp_path: Path) -> None:
    user = {"PATH": "/usr/bin", "HOME": "/home/u", "A": "b"}
    env = application_variables(user, {"PATH": "/spoof:/usr/bin", "A": "c"}, tmp_path)
    assert env == {"PATH": f"{tmp_path}:/spoof:/usr/bin", "HOME": "/home/u", "A": "c"}


def test_a_stand_in_of_another_name_is_a_server_when_it_serves(
    tmp_path: Path, models: Mapping[str, TinyModel]
) -> None:
    stand_in = shim(tmp_path, "llama", models=models)
    assert stand_in.program.name == "llama"
    assert sorted(path.name for path in stand_in.directory.iterdir()) == ["llama", "llama-server"]
    assert MARK in stand_in.program.read_bytes()
    assert run(stand_in.program, "serve", "-c", "1").stdout == "out: a 'b'\n[-c]\n[1]\n"
    assert run(stand_in.program, "serve", "--version").stdout == "out: a 'b'\n[--version]\n"
    (launch,) = collect_launches(stand_in.recordings)
    assert launch.argv == ["-c", "1"]


def test_the_applications_models_become_tiny_ones_of_the_same_name(
    tmp_path: Path, models: Mapping[str, TinyModel]
) -> None:
    stand_in = shim(tmp_path, models=models)
    done = run(
        stand_in.program,
        *("-m", "/home/u/big one.gguf", "-md", "d.gguf", "--mmproj", "mm.gguf", "--threads", "8"),
        *("-tb", "many", "-c", "1"),
    )
    _, flag, model, *rest = done.stdout.splitlines()
    assert flag == "[-m]"
    own = Path(model[1:-1])
    assert own.name == "big one.gguf"
    assert own.read_bytes() == models["tiny-llama"].path.read_bytes()
    draft = f"[{models['tiny-llama'].draft_path}]"
    assert rest == ["[-md]", draft, "[--threads]", "[1]", "[-tb]", "[many]", "[-c]", "[1]"]
    assert "started without --mmproj mm.gguf: the harness loads a tiny model" in done.stderr
    (launch,) = collect_launches(stand_in.recordings)
    assert launch.argv[1] == "/home/u/big one.gguf"


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["-hf", "org/big:Q4"], "tiny-llama"),
        (["--hf_repo", "org/big", "--spec-type", "draft-mtp"], "tiny-mtp"),
        (["-mu", "https://host/big", "-md", "x", "--spec-type", "draft-mtp"], "tiny-llama"),
    ],
)
def test_a_remote_model_becomes_a_tiny_one(
    tmp_path: Path, models: Mapping[str, TinyModel], argv: list[str], name: str
) -> None:
    done = run(shim(tmp_path, models=models).program, *argv)
    assert done.stdout.splitlines()[1:3] == ["[-m]", f"[{models[name].path}]"]


SAYS_VARIABLES = """\
#!/bin/sh
echo "$LLAMA_ARG_MODEL|$LLAMA_ARG_MODEL_URL|$LLAMA_ARG_THREADS|$LLAMA_ARG_HOST|$#"
"""


def test_a_launch_by_variables_alone(tmp_path: Path, models: Mapping[str, TinyModel]) -> None:
    stand_in = shim(tmp_path, models=models, script=SAYS_VARIABLES)
    done = run(
        stand_in.program,
        LLAMA_ARG_MODEL_URL="https://host/x",
        LLAMA_ARG_THREADS="9",
        LLAMA_ARG_HOST="0.0.0.0",
    )
    assert done.stdout == f"{models['tiny-llama'].path}||1|127.0.0.1|0\n"
    (launch,) = collect_launches(stand_in.recordings)
    assert launch.env["LLAMA_ARG_MODEL_URL"] == "https://host/x"
    assert launch.argv == []


def test_libraries_of_a_build_are_joined_with_the_applications(
    tmp_path: Path, models: Mapping[str, TinyModel]
) -> None:
    script = '#!/bin/sh\necho "$LD_LIBRARY_PATH"\n'
    stand_in = shim(tmp_path, models=models, script=script, LD_LIBRARY_PATH="/it's lib")
    for question in ("--help", "-c"):
        assert run(stand_in.program, question, LD_LIBRARY_PATH="/app").stdout == "/it's lib:/app\n"
        env = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
        done = subprocess.run(
            [stand_in.program, question], env=env, capture_output=True, text=True, check=True
        )
        assert done.stdout == "/it's lib\n"


def test_the_directory_of_stand_ins_has_the_same_path_each_time(tmp_path: Path) -> None:
    with programs_directory(tmp_path) as first, programs_directory(tmp_path) as second:
        assert first != second
        (first / "left").touch()
    with programs_directory(tmp_path) as third:
        assert third == first
        assert list(third.iterdir()) == []
    assert not first.exists()
    assert not second.exists()


def test_the_windows_launcher_runs_the_recorder(
    tmp_path: Path, models: Mapping[str, TinyModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    stand_in = install_shim(
        programs, tmp_path / "state", Path("C:/llama-server.exe"), windows=True, models=models
    )
    assert stand_in.program.name == "llama-server.exe"
    assert stand_in.program.read_bytes()[:2] == b"MZ"
    assert MARK in stand_in.program.read_bytes()
    with zipfile.ZipFile(stand_in.program) as appended:
        script = appended.read("__main__.py").decode()
    assert "from harness.shim.recorder import main" in script
    ran: list[object] = []
    monkeypatch.setattr(sys, "argv", ["llama-server", "-c", "1"])

    def become(*arguments: object) -> int:
        ran.append(arguments)
        return 5

    monkeypatch.setattr(recorder, "become", become)
    with pytest.raises(SystemExit, match="5"):
        exec(script, {})
    assert ran == [(str(Path("C:/llama-server.exe")), ("-c", "1"), dict(os.environ))]
    assert [launch.argv for launch in collect_launches(stand_in.recordings)] == [["-c", "1"]]


@pytest.mark.parametrize("words", [["--help"], ["-m", "x.gguf"]], ids=" ".join)
def test_a_copy_that_outlives_its_recording_says_what_it_is(
    words: list[str], tmp_path: Path
) -> None:
    stand_in = shim(tmp_path)
    copy = tmp_path / "copy"
    shutil.copy2(stand_in.program, copy)
    shutil.rmtree(stand_in.recordings.parent)
    done = run(copy, *words)
    assert done.returncode == 127
    assert done.stderr == (
        f"llama-harness: {copy} is a copy of the stand-in of a recording that is over: put a "
        "llama-server of your own in its place\n"
    )
