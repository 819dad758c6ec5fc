import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path

import psutil
import pytest

from harness.commands.record import (
    SHIM_VARIABLE,
    application_environment,
    end_servers,
    run_application,
)
from harness.errors import UsageError
from harness.server.ports import reserved_port
from harness.shim import recorder
from harness.shim.install import Shim, install_shim
from harness.shim.recordings import collect_launches, describe

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="scripts stand in for a build")

REAL = """\
#!/bin/sh
echo "out: $BUILD_NEEDS"
for a in "$@"; do echo "[$a]"; done
echo "err" >&2
exit 7
"""


def shim(tmp_path: Path, *, health_only: bool = False) -> Shim:
    real = tmp_path / "it's real" / "llama-server"
    real.parent.mkdir()
    real.write_text(REAL)
    real.chmod(0o755)
    return install_shim(
        tmp_path / "shim dir", real, env={"BUILD_NEEDS": "a 'b'"}, health_only=health_only
    )


def run(program: Path, *argv: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(program), *argv],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        env={**os.environ, **env},
    )


@pytest.mark.parametrize("flag", ["--help", "-h", "--version", "--list-devices"])
def test_questions_go_to_the_real_build_and_leave_no_trace(tmp_path: Path, flag: str) -> None:
    stand_in = shim(tmp_path)
    done = run(stand_in.program, "-m", "x", flag)
    assert (done.stdout, done.stderr) == (f"out: a 'b'\n[-m]\n[x]\n[{flag}]\n", "err\n")
    assert done.returncode == 7
    assert collect_launches(stand_in.recordings) == []


def test_a_start_is_recorded_and_then_runs_the_real_build(tmp_path: Path) -> None:
    stand_in = shim(tmp_path)
    argv = ("-m", "a b.gguf", "--alias", 'it\'s "x" $HOME', "", "é\n")
    done = run(
        stand_in.program,
        *argv,
        LLAMA_ARG_THREADS="2",
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
    assert launch.env == {"LLAMA_ARG_THREADS": "2", "CUDA_VISIBLE_DEVICES": "0"}
    assert launch.directory == str(Path.cwd())
    assert "secret" not in json.dumps([str(p.read_text()) for p in stand_in.recordings.iterdir()])


def test_secrets_in_arguments_are_not_written(tmp_path: Path) -> None:
    stand_in = shim(tmp_path)
    run(stand_in.program, "--api-key", "secret", "-hft", "secret", "-c", "1")
    (launch,) = collect_launches(stand_in.recordings)
    assert launch.argv == ["--api-key", "REDACTED", "-hft", "REDACTED", "-c", "1"]
    assert "secret" in run(stand_in.program, "--api-key", "secret").stdout


def test_a_start_that_cannot_be_recorded_still_runs(tmp_path: Path) -> None:
    stand_in = shim(tmp_path)
    shutil.rmtree(stand_in.recordings)
    done = run(stand_in.program, "-m", "x")
    assert done.returncode == 7
    assert "could not be recorded" in done.stderr


def test_starts_are_kept_in_their_order(tmp_path: Path) -> None:
    stand_in = shim(tmp_path)
    for number in range(3):
        run(stand_in.program, "-c", str(number))
    launches = collect_launches(stand_in.recordings)
    assert [launch.argv[1] for launch in launches] == ["0", "1", "2"]
    assert "#2 in" in describe(launches)
    assert "llama-server -c 1" in describe(launches)


def test_health_only_answers_health_and_starts_nothing(tmp_path: Path) -> None:
    stand_in = shim(tmp_path, health_only=True)
    with reserved_port() as port:
        child = subprocess.Popen(
            [str(stand_in.program), "--port", str(port)], stderr=subprocess.PIPE, text=True
        )
        try:
            assert child.stderr is not None
            assert f"listening on http://127.0.0.1:{port}" in child.stderr.readline()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                assert json.load(answer) == {"status": "ok"}
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/completion", timeout=5)
            (launch,) = collect_launches(stand_in.recordings)
            assert launch.pid == child.pid
        finally:
            child.terminate()
            child.communicate(timeout=10)
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


def test_a_python_application(tmp_path: Path) -> None:
    stand_in = shim(tmp_path)
    status, interrupted = run_application([sys.executable, "-c", PYTHON_LAUNCHER], stand_in, 30)
    assert (status, interrupted) == (7, False)
    (launch,) = collect_launches(stand_in.recordings)
    assert launch.argv == ["-m", "x.gguf", "--spec-draft-n-max", "5"]


def test_a_shell_application(tmp_path: Path) -> None:
    stand_in = shim(tmp_path)
    script = tmp_path / "launch.sh"
    script.write_text(SHELL_LAUNCHER)
    script.chmod(0o755)
    assert run_application([str(script)], stand_in, 30) == (0, False)
    first, second = collect_launches(stand_in.recordings)
    assert first.argv == ["-m", "x y.gguf", "--port", "8080"]
    assert first.env == {"LLAMA_ARG_THREADS": "2"}
    assert first.directory == "/"
    assert second.argv == ["-m", "second.gguf"]


def test_an_application_that_does_not_end_is_ended(tmp_path: Path) -> None:
    stand_in = shim(tmp_path)
    started = time.monotonic()
    status, _ = run_application(["sh", "-c", "exec sleep 60"], stand_in, 0.5)
    assert status != 0
    assert time.monotonic() - started < 10


def test_an_application_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no program 'no-such-app'"):
        run_application(["no-such-app"], shim(tmp_path), None)


def test_the_stand_in_comes_first_on_path(tmp_path: Path) -> None:
    stand_in = shim(tmp_path)
    env = application_environment({"PATH": "/usr/bin", "A": "b"}, stand_in)
    assert env["PATH"].split(os.pathsep) == [str(stand_in.program.parent), "/usr/bin"]
    assert env[SHIM_VARIABLE] == str(stand_in.program)
    assert env["A"] == "b"


def test_servers_that_outlive_the_application_are_ended(tmp_path: Path) -> None:
    stand_in = shim(tmp_path)
    real = Path(json.loads((stand_in.program.parent / recorder.CONFIG_NAME).read_text())["binary"])
    real.write_text("#!/bin/sh\nsleep 60\n")
    run_application(["sh", "-c", "llama-server -m x & sleep 1"], stand_in, 30)
    (launch,) = collect_launches(stand_in.recordings)
    assert psutil.pid_exists(launch.pid)
    end_servers([launch], [Path("/another/program")])
    assert psutil.pid_exists(launch.pid)
    for child in psutil.Process(launch.pid).children():
        child.kill()
    end_servers([launch], [real])
    assert (
        not psutil.pid_exists(launch.pid)
        or psutil.Process(launch.pid).status() == psutil.STATUS_ZOMBIE
    )


def test_the_windows_launcher_runs_the_recorder_beside_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = install_shim(tmp_path / "bin", Path("C:/llama-server.exe"), windows=True)
    assert stand_in.program.name == "llama-server.exe"
    assert stand_in.program.read_bytes()[:2] == b"MZ"
    with zipfile.ZipFile(stand_in.program) as appended:
        script = appended.read("__main__.py").decode()
    assert "from harness.shim.recorder import main" in script
    ran: list[object] = []
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bin" / "llama-server"), "-m", "x"])

    def become(*arguments: object) -> int:
        ran.append(arguments)
        return 5

    monkeypatch.setattr(recorder, "become", become)
    assert recorder.main() == 5
    assert ran == [(str(Path("C:/llama-server.exe")), ("-m", "x"), dict(os.environ))]
    assert [launch.argv for launch in collect_launches(stand_in.recordings)] == [["-m", "x"]]
