"""Wherever a command line says that its server listens, the harness finds it."""

import shlex
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.cells.workbench import Workbench
from harness.errors import EXIT_FAIL, EXIT_OK
from tests.live.matrix_runs import variables
from tests.unit.builds.stand_in import local_text

pytestmark = pytest.mark.live


def check(directory: Path, build: str, *words: str, **env: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "harness", "check", "--build", build, "--", "-m", "x.gguf", *words],
        env=variables(env),
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


@pytest.mark.parametrize("build", ["b8929", "b11434"])
@pytest.mark.parametrize(
    "words",
    [
        ["--host", "::1"],
        ["--host", "127.0.0.2"],
        ["--host", "localhost"],
        ["--host", "x.sock"],
        ["--api-prefix", "/deep/er"],
        ["--alias", "--host", "-c", "512"],
    ],
    ids=" ".join,
)
def test_it_is_found(tmp_path: Path, build: str, words: list[str]) -> None:
    status, told = check(tmp_path, build, *words)
    assert status == EXIT_OK, told
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this host has no IPv6 loopback")
def test_a_list_of_addresses_is_taken_from_b11104_on(tmp_path: Path) -> None:
    words = ("--host", "0.0.0.0,127.0.0.1")
    assert check(tmp_path, "b11434", *words)[0] == EXIT_OK
    status, told = check(tmp_path, "b8929", *words)
    assert status == EXIT_FAIL
    assert "the build takes one address for --host" in told


@pytest.mark.parametrize("port", ["-5", "70000", "many"])
def test_no_port_at_all_is_the_command_lines_fault(
    workbench: Workbench, tmp_path: Path, port: str
) -> None:
    generator = tmp_path / "generator.py"
    generator.write_text(
        "import json, sys\n"
        "asked = json.load(sys.stdin)['target']\n"
        f"print(json.dumps({{'argv': ['-m', asked['model_path'], '--port', {port!r}]}}))\n"
    )
    subject = f"command:{shlex.join([sys.executable, str(generator)])}"
    cells = ["--build", "b9246", "--env", "cpu", "--mode", "off", "--model", "tiny-llama"]
    done = subprocess.run(
        [sys.executable, "-m", "harness", "matrix", "-n", "0", *cells, "--subject", subject],
        env=variables(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == EXIT_FAIL, done.stdout
    assert "--port" in done.stdout
    assert "bad-value" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="the build is a script")
def test_a_server_that_left_its_group_does_not_outlive_the_command(
    workbench: Workbench, tmp_path: Path
) -> None:
    real = workbench.build("b9246").binary
    program = tmp_path / "own" / "llama-server"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        f'case "$1" in --help|--version|--list-devices) exec "{real}" "$@";; esac\n'
        f'setsid "{real}" "$@" &\n'
        "setsid sleep 977 &\n"
        "exec sleep 978\n"
    )
    program.chmod(0o755)
    catalogue = tmp_path / "cache" / "catalogue"
    catalogue.mkdir(parents=True)
    (catalogue / "leaving.toml").write_text(local_text("leaving", program, number=9246))
    cache = str(tmp_path / "cache")
    assert check(tmp_path, "leaving", "-c", "512", LLAMA_HARNESS_CACHE=cache)[0] == EXIT_OK
    left = [
        process.info["cmdline"]
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [])[-1:] in (["977"], ["978"])
        or str(tmp_path) in " ".join(process.info["cmdline"] or [])
    ]
    assert left == []
