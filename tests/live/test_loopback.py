"""Whatever a command line, a variable or a plan says: servers listen on loopback only.

Behind every command stand builds that a library watches: it writes down whatever they listen on.
"""

import json
import shlex
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from harness.builds.locations import cache_root
from harness.cells.workbench import Workbench
from harness.gguf_models import ensure_models
from harness.model import CellResult
from harness.report.jsonl import read_results
from harness.server.ports import reserved_port
from tests.live.matrix_runs import variables
from tests.unit.builds.stand_in import local_text

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(sys.platform != "linux", reason="a library watches the servers"),
]

EVERYWHERE = "0.0.0.0"
BUILD, NEWER, NEWEST = "b9246", "b9464", "b11434"

_WATCHER = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int listen(int descriptor, int backlog) {
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char text[80] = "unix";
    memset(&address, 0, sizeof address);
    getsockname(descriptor, (struct sockaddr *) &address, &size);
    if (address.ss_family == AF_INET)
        inet_ntop(AF_INET, &((struct sockaddr_in *) &address)->sin_addr, text, sizeof text);
    if (address.ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *) &address)->sin6_addr, text, sizeof text);
    strcat(text, "\n");
    int log = open(LOG, O_WRONLY | O_CREAT | O_APPEND, 0600);
    write(log, text, strlen(text));
    close(log);
    return ((int (*)(int, int)) dlsym(RTLD_NEXT, "listen"))(descriptor, backlog);
}
"""
"""Writes down the address of every socket that begins to listen."""


@dataclass(frozen=True)
class Watched:
    """A store of two builds whose servers' addresses are written down."""

    root: Path

    @property
    def log(self) -> Path:
        return self.root / "addresses.txt"

    @property
    def watcher(self) -> Path:
        return self.root / "watcher.so"

    def compile(self) -> None:
        source = self.root / "watcher.c"
        source.write_text(_WATCHER, encoding="utf-8")
        define = f'-DLOG="{self.log}"'
        words = [
            "cc",
            "-shared",
            "-fPIC",
            "-w",
            define,
            "-o",
            str(self.watcher),
            str(source),
            "-ldl",
        ]
        subprocess.run(words, check=True)

    def add(self, build_id: str, number: int, real: Path) -> None:
        program = self.root / build_id / "llama-server"
        program.parent.mkdir()
        preload = f'LD_PRELOAD="{self.watcher}${{LD_PRELOAD:+:$LD_PRELOAD}}"'
        program.write_text(f'#!/bin/sh\n{preload} exec "{real}" "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        catalogue = self.root / "cache" / "catalogue"
        catalogue.mkdir(parents=True, exist_ok=True)
        text = local_text(build_id, program, number=number)
        (catalogue / f"{build_id}.toml").write_text(text, encoding="utf-8")

    @property
    def sampled(self) -> Path:
        return self.root / "sampled.txt"

    def run(self, *words: str, status: set[int], **env: str) -> "subprocess.CompletedProcess[str]":
        self.log.unlink(missing_ok=True)
        said = self.root / "said.txt"
        with said.open("w", encoding="utf-8") as out:
            running = subprocess.Popen(
                [sys.executable, "-m", "harness", *words],
                env=variables({"LLAMA_HARNESS_CACHE": str(self.root / "cache"), **env}),
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
            )
            sampled = listened_by(running)
        self.sampled.write_text(" ".join(sampled), encoding="utf-8")
        text = said.read_text(encoding="utf-8")
        assert running.returncode in status, text
        return subprocess.CompletedProcess(words, running.returncode, stdout=text, stderr=text)

    def addresses(self) -> set[str]:
        """Written down by the library, and seen from outside by psutil."""
        logged = set(self.log.read_text().split()) if self.log.is_file() else set()
        seen = set(self.sampled.read_text().split()) if self.sampled.is_file() else set()
        return logged | seen

    def script(self, name: str, text: str) -> str:
        path = self.root / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def results(self) -> list[CellResult]:
        return list(read_results([self.root / "results.jsonl"]))


def listened_by(running: "subprocess.Popen[str]") -> set[str]:
    """The addresses that a command and all that it starts listen on, looked at until it ends."""
    found: set[str] = set()
    command = psutil.Process(running.pid)
    while running.poll() is None:
        with suppress(psutil.Error):
            for process in [command, *command.children(recursive=True)]:
                with suppress(psutil.Error):
                    found |= {
                        one.laddr.ip
                        for one in process.net_connections("inet")
                        if one.status == psutil.CONN_LISTEN
                    }
        time.sleep(0.005)
    return found


@pytest.fixture
def watched(workbench: Workbench, tmp_path: Path) -> Watched:
    opened = Watched(tmp_path)
    opened.compile()
    for build_id, number, real in (
        ("watched", 9246, BUILD),
        ("watched-newer", 9464, NEWER),
        ("watched-newest", 11434, NEWEST),
    ):
        acquired = workbench.build(real)
        assert not acquired.env
        opened.add(build_id, number, acquired.binary)
    opened.run("builds", "get", "-q", "watched", "watched-newer", "watched-newest", status={0})
    assert opened.addresses() == {"127.0.0.1"}, "qualification itself"
    return opened


def test_the_watcher_sees_other_addresses(watched: Watched) -> None:
    """Or the tests below could not fail."""
    model = ensure_models(cache_root() / "models")["tiny-llama"].path
    watched.log.unlink()
    watched.sampled.unlink()
    program = watched.root / "watched" / "llama-server"
    with reserved_port() as port:
        words = [str(program), "-m", str(model), "--port", str(port), "--host", "127.0.0.2"]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(words, stdout=quiet, stderr=quiet) as server:
            while not watched.addresses():
                assert server.poll() is None
                time.sleep(0.01)
            server.kill()
    assert watched.addresses() == {"127.0.0.2"}


def test_so_does_psutil(tmp_path: Path) -> None:
    script = (
        "import socket, time\nwith socket.create_server(('127.0.0.2', 0)):\n    time.sleep(0.5)\n"
    )
    (tmp_path / "listens.py").write_text(script)
    words = [sys.executable, str(tmp_path / "listens.py")]
    with subprocess.Popen(words, text=True) as listening:
        assert listened_by(listening) == {"127.0.0.2"}


@pytest.mark.parametrize(
    "line",
    [
        ["-m", "x.gguf", "--host", EVERYWHERE],
        ["-m", "x.gguf", "--host", "::"],
        ["-m", "x.gguf", "--host", socket.gethostname()],
        ["-m", "x.gguf", "--host", "127.0.0.1", "--host", EVERYWHERE],
        [f"LLAMA_ARG_HOST={EVERYWHERE}", "llama-server", "-m", "x.gguf"],
    ],
    ids=["flag", "ipv6", "name", "twice", "variable"],
)
def test_check(watched: Watched, line: list[str]) -> None:
    done = watched.run("check", "--build", "watched", "--", *line, status={0, 1})
    assert watched.addresses() == {"127.0.0.1"}
    _, starts, *remarks = done.stdout.splitlines()
    assert starts.split()[1] == "watched"
    (written,) = [remark for remark in remarks if "servers under test listen" in remark]
    assert "listen on loopback only" in written
    assert "in place of" in written


LIST = "0.0.0.0,::"
FORMS = {
    "list": ["--host", LIST],
    "empty": ["--host", ""],
    "zero": ["--host", "0"],
    "brackets": ["--host", "[::]"],
    "star": ["--host", "*"],
    "mapped": ["--host", "::ffff:0.0.0.0"],
    "last": ["--host", EVERYWHERE, "--host"],
    "behind-a-value": ["--alias", "--host", "--host", EVERYWHERE],
    "equals": [f"--host={EVERYWHERE}"],
    "variable-list": [f"LLAMA_ARG_HOST={LIST}"],
    "variable-empty": ["LLAMA_ARG_HOST="],
    "both": [f"LLAMA_ARG_HOST={EVERYWHERE}", "--host", "::"],
    "router": ["--models-dir", ".", "--host", EVERYWHERE],
    "router-variable": [f"LLAMA_ARG_HOST={EVERYWHERE}", "--models-dir", "."],
}


@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_an_address_is_listened_on(watched: Watched, form: str) -> None:
    assigned = [word for word in FORMS[form] if word.startswith("LLAMA_ARG_")]
    words = [word for word in FORMS[form] if word not in assigned]
    model = [] if form.startswith("router") else ["-m", "x.gguf"]
    line = [*assigned, "llama-server", *model, *words]
    builds = ["--build", "watched", "--build", "watched-newest"]
    watched.run("check", *builds, "--", *line, status={0, 1, 3})
    assert watched.addresses() <= {"127.0.0.1", "::1"}


def test_a_configuration_file_that_a_build_reads_unasked(watched: Watched) -> None:
    config = watched.root / "home" / ".config" / "llama.cpp" / "config.ini"
    config.parent.mkdir(parents=True)
    config.write_text(f"[*]\nhost = {EVERYWHERE}\nctx-size = 768\n", encoding="utf-8")
    home = {"HOME": str(watched.root / "home"), "XDG_CONFIG_HOME": str(config.parents[1])}
    line = ["--build", "watched-newest", "--", "-m", "x.gguf"]
    done = watched.run("check", *line, status={0, 1}, **home)
    assert watched.addresses() == {"127.0.0.1"}
    assert f"host = 127.0.0.1 in place of host = {EVERYWHERE} in [*]" in done.stdout


def test_upgrade(watched: Watched) -> None:
    line = ["-m", "x.gguf", "--host", EVERYWHERE, "-c", "512"]
    ends = ["--from", "watched", "--to", "watched-newest"]
    watched.run("upgrade", *ends, "--", *line, status={0, 1, 3}, LLAMA_ARG_HOST=EVERYWHERE)
    assert watched.addresses() == {"127.0.0.1"}


def test_explain(watched: Watched) -> None:
    line = ["-m", "x.gguf", "--host", EVERYWHERE, "--draft-max", "8"]
    watched.run("explain", "--build", "watched", "--", *line, status={1})
    assert watched.addresses() <= {"127.0.0.1"}


def test_matrix_with_a_plan_that_says_otherwise(watched: Watched) -> None:
    generator = watched.script(
        "generator.py",
        "import json, sys\n"
        "asked = json.load(sys.stdin)['target']\n"
        "argv = ['-m', asked['model_path'], '--port', str(asked['port'])]\n"
        f"argv += ['--host', {EVERYWHERE!r}]\n"
        f"print(json.dumps({{'argv': argv, 'env': {{'LLAMA_ARG_HOST': {EVERYWHERE!r}}}}}))\n",
    )
    subject = f"command:{shlex.join([sys.executable, generator])}"
    cells = ["--build", "watched", "--env", "cpu", "--mode", "off", "--model", "tiny-llama"]
    words = ["matrix", "-n", "0", *cells, "--subject", subject, "--jsonl", "results.jsonl"]
    watched.run(*words, status={0, 1})
    assert watched.addresses() == {"127.0.0.1"}
    (first, *_) = watched.results()
    assert first.argv[-2:] == ("--host", EVERYWHERE), "the plan is told as it was given"
    assert [(one.given, one.used) for one in first.replaced] == [
        (f"--host {EVERYWHERE}", "--host 127.0.0.1"),
        (f"LLAMA_ARG_HOST={EVERYWHERE}", "LLAMA_ARG_HOST=127.0.0.1"),
    ]
    session = watched.script("one.session", "load --mode off --model tiny-llama\n")
    watched.run("session", "--build", "watched", "--subject", subject, session, status={0, 1})
    assert watched.addresses() == {"127.0.0.1"}


@pytest.mark.parametrize("health_only", [False, True])
def test_record(watched: Watched, health_only: bool) -> None:
    model = ensure_models(cache_root() / "models")["tiny-llama"].path
    application = watched.script(
        "app.py",
        "import subprocess, sys, time, urllib.request, os, psutil\n"
        "model, port, log = sys.argv[1:]\n"
        f"os.environ['LLAMA_ARG_HOST'] = {EVERYWHERE!r}\n"
        "command = ['llama-server', '-m', model, '--port', port]\n"
        f"server = subprocess.Popen([*command, '--host', {EVERYWHERE!r}])\n"
        "for _ in range(200):\n"
        "    try:\n"
        "        urllib.request.urlopen(f'http://127.0.0.1:{port}/health', timeout=1)\n"
        "        break\n"
        "    except OSError:\n"
        "        time.sleep(0.05)\n"
        "tree = [psutil.Process(server.pid), *psutil.Process(server.pid).children()]\n"
        "found = {one.laddr.ip for each in tree for one in each.net_connections('inet')\n"
        "         if one.status == psutil.CONN_LISTEN}\n"
        "open(log, 'w').write(' '.join(found))\n"
        "[each.kill() for each in tree]\n"
        "server.wait()\n",
    )
    with reserved_port() as port:
        words = [sys.executable, application, str(model), str(port), "seen.txt"]
        option = ["--health-only"] if health_only else []
        done = watched.run("record", "--build", "watched", "-q", *option, "--", *words, status={0})
    assert (watched.root / "seen.txt").read_text() == "127.0.0.1"
    assert f"in place of --host {EVERYWHERE}" in done.stderr
    recording = json.loads((watched.root / "recording.json").read_text())
    (run,) = recording["runs"]
    assert run["launches"][0]["argv"][-1] == EVERYWHERE, "recorded as the application wrote"


def test_bisect(watched: Watched) -> None:
    line = watched.script(
        "line.txt", f"llama-server -m x.gguf -md y.gguf --draft-max 8 --host {EVERYWHERE}\n"
    )
    ends = ["--good", "watched", "--bad", "watched-newer", "--catalogue-only"]
    cell = ["--subject", f"argv:{line}", "--mode", "draft", "--model", "tiny-llama"]
    watched.run("bisect", "run", "-q", *ends, *cell, "--env", "cpu", status={0, 1, 3})
    assert watched.addresses() <= {"127.0.0.1"}


def test_a_preset_cannot_set_an_address(watched: Watched) -> None:
    preset = watched.script("presets.ini", f"[*]\nhost = {EVERYWHERE}\n[one]\nctx-size = 512\n")
    watched.run("check", "--build", "watched*", "--", "--models-preset", preset, status={0, 1, 3})
    assert watched.addresses() <= {"127.0.0.1"}
