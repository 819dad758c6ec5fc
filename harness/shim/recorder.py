"""What the stand-in does when an application starts a server: write it down, then run it.

Runs as a script of its own, with the standard library alone, between an application and the real
server: it must be quick, and what it cannot do must not keep the server from starting.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # alone, isolated from every package
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from harness.processes.loopback import LOOPBACK, WHY, on_loopback
from harness.processes.variables import joined

RECORDED_PREFIXES = (
    "LLAMA_",
    "GGML_",
    "CUDA_",
    "NVIDIA_",
    "HIP_",
    "ROCR_",
    "HSA_",
    "GPU_",
    "VK_",
    "SYCL_",
    "ONEAPI_",
    "OMP_",
)
"""Variables that a server or its backends read; others may hold secrets and stay unwritten."""

OURS = "LLAMA_HARNESS_"
SECRET_VARIABLES = frozenset({"LLAMA_API_KEY", "LLAMA_ARG_HF_TOKEN"})
SECRET_FLAGS = frozenset({"--api-key", "-hft", "--hf-token"})
FILE_FLAGS = frozenset({"--models-preset", "--chat-template-file"})
FILE_VARIABLES = frozenset({"LLAMA_ARG_MODELS_PRESET", "LLAMA_ARG_CHAT_TEMPLATE_FILE"})
_FILE_LIMIT = 1024 * 1024
_SECRET_KEY = re.compile(
    r"(?m)^([ \t]*(?:api-key|hf-token|hft|LLAMA_API_KEY|LLAMA_ARG_HF_TOKEN|HF_TOKEN)[ \t]*=)"
    r".+"
)
PORT_VARIABLE = "LLAMA_ARG_PORT"
_LAST_PORT = 65535
REDACTED = "REDACTED"
ASKS_ONLY = frozenset({"--help", "-h", "--usage", "--version", "--list-devices"})


SUBCOMMANDS = frozenset({"serve", "server"})
"""What makes a program of many names a server: ``llama serve``."""

NOT_FOUND = 127
PUT_BACK = "put a llama-server of your own in its place"

WHY_MODEL = "the harness loads a tiny model of its own"
WHY_ONE_THREAD = "threads of a tiny model only wait for each other"


STARTED_AS = "started-as"
"""Beside the configuration: the path of every stand-in that recorded a start, one a line."""


def main(config_path: str, program: str, argv: Sequence[str]) -> int:
    """Record one start and become the real server, or answer ``/health`` in its place.

    Args:
        config_path: ``harness.shim.install`` writes it.
        program: The stand-in, or the copy of it, that was started.
        argv: The arguments.
    """
    try:
        config = json.loads(Path(config_path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        tell(f"{program} is a copy of the stand-in of a recording that is over: {PUT_BACK}")
        return NOT_FOUND
    if argv and argv[0] in SUBCOMMANDS:
        argv = argv[1:]
    env = joined({**os.environ, **config["overriding"]}, config["env"])
    if not ASKS_ONLY.isdisjoint(argv):
        return become(config["binary"], argv, env)
    try:
        write_launch(Path(config["recordings"]), argv)
        with Path(config_path).with_name(STARTED_AS).open("a", encoding="utf-8") as started:
            started.write(f"{Path(program).absolute()}\n")
    except OSError as error:
        tell(f"this start could not be recorded: {error}")
    words, env, replaced = on_loopback(argv, env)
    for given, used in replaced:
        tell(f"started with {used} in place of {given}: {WHY}")
    replacements = config["replacements"]
    if replacements is None:
        return answer_health(words, env)
    own = Replacing(replacements, words, env)
    return become(config["binary"], own.arguments(words), own.variables(env))


def tell(text: str) -> None:
    """Write a line to where the server logs."""
    sys.stderr.write(f"llama-harness: {text}\n")
    sys.stderr.flush()


class Replacing:
    """Puts what belongs to this host in place of what belongs to an application's own models.

    Args:
        rules: ``harness.shim.install`` writes them.
        argv: The arguments.
        env: The variables.
    """

    def __init__(
        self, rules: Mapping[str, Any], argv: Sequence[str], env: Mapping[str, str]
    ) -> None:
        self._rules = rules
        wants_mtp = any("mtp" in word for word in (*argv, env.get("LLAMA_ARG_SPEC_TYPE", "")))
        drafts = any(rules["flags"].get(word, [""])[0] == "draft" for word in argv)
        self._model = rules["mtp" if wants_mtp and not drafts else "plain"]

    def arguments(self, argv: Sequence[str]) -> tuple[str, ...]:
        """The arguments with tiny models, and one thread."""
        words: list[str] = []
        rest = iter(argv)
        for word in rest:
            flag = word.replace("_", "-") if word.startswith("--") else word
            rule = self._rules["flags"].get(flag)
            value = next(rest, None) if rule else None
            words += [word] if value is None else self._instead(rule, word, value)
        return tuple(words)

    def variables(self, env: Mapping[str, str]) -> dict[str, str]:
        """The variables with tiny models, and one thread."""
        changed = dict(env)
        for name, rule in self._rules["variables"].items():
            if value := changed.pop(name, ""):
                words = self._instead(rule, name, value)
                changed |= dict(zip(words[::2], words[1::2], strict=True))
        return changed

    def _instead(self, rule: Sequence[str], word: str, value: str) -> list[str]:
        kind, name = rule
        own: str | None = None
        if kind == "model":
            own = self._own(self._model, value)
        elif kind == "draft":
            own = self._rules["draft"]
        elif kind == "threads":
            own = "1" if value.removeprefix("-").isdecimal() else value
        used = [] if own is None else [name or word, own]
        if used != [word, value]:
            instead = f"with {' '.join(used)} in place of" if used else "without"
            why = WHY_ONE_THREAD if kind == "threads" else WHY_MODEL
            tell(f"started {instead} {word} {value}: {why}")
        return used

    def _own(self, model: str, value: str) -> str:
        """The model under the name that the application's has, which servers tell on."""
        name = Path(value).name
        if not name.endswith(".gguf"):
            return model
        copy = Path(self._rules["directory"], str(os.getpid()), name)
        with suppress(OSError, ValueError):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(model, copy)
            return str(copy)
        return model


def write_launch(directory: Path, argv: Sequence[str]) -> Path:
    """Write one start as a file of its own, whole or not at all."""
    launch = {
        "argv": redacted(argv),
        "env": recorded_environment(os.environ),
        "files": named_files(argv, os.environ),
        "directory": str(Path.cwd()),
        "time": time.time(),
        "pid": os.getpid(),
    }
    path = directory / f"{time.time_ns()}-{os.getpid()}.json"
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(launch), encoding="utf-8", newline="\n")
    unfinished.replace(path)
    return path


def redacted(argv: Sequence[str]) -> list[str]:
    """The arguments without the values that are secrets."""
    return [
        REDACTED if index and argv[index - 1] in SECRET_FLAGS else argument
        for index, argument in enumerate(argv)
    ]


def named_files(argv: Sequence[str], env: Mapping[str, str]) -> dict[str, str]:
    """The text of files whose content decides what the server does, without secrets."""
    pairs = [*pairwise(argv), *env.items()]
    names = [value for flag, value in pairs if flag.replace("_", "-") in FILE_FLAGS]
    names += [value for flag, value in pairs if flag in FILE_VARIABLES]
    texts = {}
    for name in names:
        with suppress(OSError, ValueError):
            if Path(name).stat().st_size <= _FILE_LIMIT:
                texts[name] = _SECRET_KEY.sub(r"\1" + REDACTED, Path(name).read_text("utf-8"))
    return texts


def recorded_environment(env: Mapping[str, str]) -> dict[str, str]:
    """The variables worth keeping."""
    return {
        name: value
        for name, value in sorted(env.items())
        if name.startswith(RECORDED_PREFIXES)
        and not name.startswith(OURS)
        and name not in SECRET_VARIABLES
    }


def become(binary: str, argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Replace this process by the real server; where a system cannot, wait for it instead."""
    if sys.platform != "win32":
        os.execve(binary, [binary, *argv], env)
    return subprocess.run([binary, *argv], env=env, check=False).returncode


def answer_health(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Answer ``/health`` like a server that has loaded its model, until killed."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            healthy = self.path in ("/health", "/v1/health")
            body = json.dumps({"status": "ok"} if healthy else {"error": "recording only"})
            self.send_response(200 if healthy else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_args: object) -> None: ...

    host = LOOPBACK
    word = _value(argv, "--port", env.get(PORT_VARIABLE, "8080"))
    if not (word.isdecimal() and int(word) <= _LAST_PORT):
        sys.stderr.write(f"error: --port {word} is no port (recording only)\n")
        return 1
    port = int(word)
    server = ThreadingHTTPServer((host, port), Handler)
    sys.stderr.write(f"main: server is listening on http://{host}:{port} (recording only)\n")
    sys.stderr.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return 130
    return 0


def _value(argv: Sequence[str], flag: str, default: str) -> str:
    for index in range(len(argv) - 1, 0, -1):
        if argv[index - 1] == flag:
            return argv[index]
    return default


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
