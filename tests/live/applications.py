"""Applications that are hard to get rid of, each a program of a few lines.

Run as ``python applications.py KIND PORT [SERVER]``: starts a server on the port, waits until it is
healthy, and ends in the way of its kind.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping

assert sys.platform != "win32"  # they fork

KIND, PORT = sys.argv[1:3]
SERVER = sys.argv[3] if len(sys.argv) > 3 else "llama-server"
CLEARED = {"PATH": os.environ["PATH"]}


def serve(
    env: Mapping[str, str] | None = None, *, apart: bool = False
) -> "subprocess.Popen[bytes]":
    words = [SERVER, "-m", "/home/user/model.gguf", "--port", PORT]
    return subprocess.Popen(words, env=env, start_new_session=apart)


def healthy() -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    sys.exit("never healthy")


def detached(work: Callable[[], object]) -> None:
    """Do something in a daemon: two forks and a session of its own."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            work()
            time.sleep(600)
        os._exit(0)
    os.wait()


def deaf() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    serve()


def reviving() -> None:
    """Start the server anew whenever it ends."""
    while True:
        serve(CLEARED).wait()


if KIND == "setsid":
    serve(apart=True)
elif KIND == "daemon":
    detached(serve)
elif KIND == "cleared":
    detached(lambda: serve(CLEARED))
elif KIND == "deaf":
    detached(deaf)
elif KIND == "reviving":
    detached(reviving)
elif KIND in {"crashing", "endless", "stubborn"}:
    serve()
healthy()
if KIND == "crashing":
    os.abort()
if KIND == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if KIND in {"endless", "stubborn"}:
    time.sleep(600)
