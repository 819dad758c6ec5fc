#!/usr/bin/env python3
"""A small application that starts ``llama-server`` by name, as yours may.

Record it:

    llama-harness record --build b9246 -- python3 examples/application.py
"""

import socket
import subprocess
import time
import urllib.request


def main() -> None:
    """Start a server, wait until it is healthy, end it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    argv = ["llama-server", "-m", "model.gguf", "--port", str(port), "--spec-type", "ngram-mod"]
    server = subprocess.Popen(argv)
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/health")
    finally:
        server.terminate()
        server.wait()


def wait_until_healthy(url: str) -> None:
    """Ask ten times a second, for a minute."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(url, timeout=1):
                print("healthy")
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("llama-server is never healthy")


if __name__ == "__main__":
    main()
