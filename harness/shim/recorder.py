"""What the stand-in does when an application starts a server: write it down, then run it.

Runs as a script of its own, with the standard library alone, between an application and the real
server: it must be quick, and what it cannot do must not keep the server from starting.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

if __name__ == "__main__":  # alone, isolated from every package
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from harness.processes.loopback import LOOPBACK, WHY, on_loopback

CONFIG_NAME = "shim.json"
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
_LAST_PORT = 65535
REDACTED = "REDACTED"
ASKS_ONLY = frozenset({"--help", "-h", "--usage", "--version", "--list-devices"})


def main(config_path: str | None = None, argv: Sequence[str] | None = None) -> int:
    """Record one start and become the real server, or answer ``/health`` in its place."""
    if config_path is None:  # started by the Windows launcher, which lies beside its configuration
        config_path = str(Path(sys.argv[0]).resolve().parent / CONFIG_NAME)
        argv = sys.argv[1:]
    assert argv is not None
    config = json.loads(Path(config_path).read_text(encoding="utf-8"))
    local, env, replaced = on_loopback(argv, {**os.environ, **config["env"]})
    for given, used in replaced:
        sys.stderr.write(f"llama-harness: started with {used} in place of {given}: {WHY}\n")
    if ASKS_ONLY.isdisjoint(argv):
        try:
            write_launch(Path(config["recordings"]), argv)
        except OSError as error:
            sys.stderr.write(f"llama-harness: this start could not be recorded: {error}\n")
        if config["health_only"]:
            return answer_health(local)
    return become(config["binary"], local, env)


def write_launch(directory: Path, argv: Sequence[str]) -> Path:
    """Write one start as a file of its own, whole or not at all."""
    launch = {
        "argv": redacted(argv),
        "env": recorded_environment(os.environ),
        "directory": str(Path.cwd()),
        "time": time.time(),
        "pid": os.getpid(),
    }
    path = directory / f"{time.time_ns()}-{os.getpid()}.json"
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(launch), encoding="utf-8")
    unfinished.replace(path)
    return path


def redacted(argv: Sequence[str]) -> list[str]:
    """The arguments without the values that are secrets."""
    return [
        REDACTED if index and argv[index - 1] in SECRET_FLAGS else argument
        for index, argument in enumerate(argv)
    ]


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


def answer_health(argv: Sequence[str]) -> int:
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
    word = _value(argv, "--port", "8080")
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
    sys.exit(main(sys.argv[1], sys.argv[2:]))
