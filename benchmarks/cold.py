"""From a fresh clone to the table of ``nox -s matrix``, as on a machine that has nothing yet.

Each time anew: the committed tree is cloned, nox makes the environment, and the smoke matrix runs
on a new store with an empty compiler cache. *releases*: GitHub's API and its archives come from a
server on this machine, at 50 Mbit/s for all of them together; the archives have the folder and
about the size of upstream's, and hold the servers of this user's own store, each one file, where
upstream's have libraries beside them. *packages*: no release can be reached, so that every build is
compiled from its package. pip's own cache is left as it is, and so is the network to the package
index.

    nox -s bench -- cold
    python benchmarks/cold.py --times 3 releases packages
"""

import argparse
import hashlib
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

from benchmarks._figures import add_json_option, keep
from benchmarks.compile import children_seconds
from harness.builds import load_catalogue
from harness.builds.platforms import this_platform
from harness.cells.qualification import open_store
from harness.errors import EXIT_CANNOT_TELL, HarnessError, UsageError

BITS_PER_S = 50_000_000
ARCHIVE_BYTES = 32_000_000
"""About what an archive of upstream's for Linux has since the server brings its web page."""
CHUNK = 1 << 16
NOWHERE = "http://127.0.0.1:9"


def archive(binary: Path, tag: str) -> bytes:
    """Pack a server as upstream does, with as much beside it as upstream's other programs have."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        tar.add(binary, f"llama-{tag}/llama-server")
        rest = max(0, ARCHIVE_BYTES - packed.tell())
        filler = tarfile.TarInfo(f"llama-{tag}/llama-cli")
        filler.size = rest
        tar.addfile(filler, io.BytesIO(random.Random(tag).randbytes(rest)))
    return packed.getvalue()


@contextmanager
def releases(archives: Mapping[str, bytes]) -> Iterator[str]:
    """Serve the releases of these tags, slowly; the address of the API."""
    line = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            tag = self.path.rsplit("/", 1)[-1]
            if tag == "rate_limit":
                self.answer(b"{}")
            elif "/tags/" in self.path and tag in archives:
                name = f"llama-{tag}-bin-ubuntu-{this_platform().machine}.tar.gz"
                asset = {
                    "name": name,
                    "browser_download_url": f"{address}/files/{tag}",
                    "digest": f"sha256:{hashlib.sha256(archives[tag]).hexdigest()}",
                }
                self.answer(json.dumps({"tag_name": tag, "assets": [asset]}).encode())
            elif "/files/" in self.path and tag in archives:
                self.answer(archives[tag])
            else:
                self.send_error(404)

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for at in range(0, len(body), CHUNK):
                piece = body[at : at + CHUNK]
                with line:
                    time.sleep(len(piece) * 8 / BITS_PER_S)
                self.wfile.write(piece)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield address
        finally:
            server.shutdown()


def packed_builds() -> dict[str, bytes]:
    """The builds of the smoke matrix as archives, from this user's store.

    Raises:
        UsageError: The store has not all of them.
    """
    store = open_store()
    found = {}
    for build in load_catalogue().builds:
        released = any(origin.kind == "release" for origin in build.sources)
        if "smoke" not in build.profiles or not released:
            continue
        acquired = store.find(build)
        if acquired is None:
            raise UsageError(
                f"{build.id} is not in the store: `llama-harness builds get {build.id}`"
            )
        found[build.id] = archive(acquired.binary, build.id)
    return found


def cold(nox: str, github: str) -> tuple[float, float, str]:
    """Clone and run the matrix; wall seconds, processor seconds, what the run said last."""
    with tempfile.TemporaryDirectory(prefix="cold-") as directory:
        clone = Path(directory, "clone")
        env = {name: text for name, text in os.environ.items() if not name.startswith("GITHUB_")}
        env |= {
            "LLAMA_HARNESS_CACHE": str(Path(directory, "cache")),
            "CCACHE_DIR": str(Path(directory, "ccache")),
            "GITHUB_API_URL": github,
        }
        # A session's own environment is none of the clone's.
        for name in ("VIRTUAL_ENV", "PYTHONPATH", "NOX_CURRENT_SESSION"):
            env.pop(name, None)
        source = Path(__file__).resolve().parent.parent
        before, start = children_seconds(), time.monotonic()
        subprocess.run(["git", "clone", "--quiet", str(source), str(clone)], check=True)
        done = subprocess.run(
            [nox, "-s", "matrix"], cwd=clone, env=env, capture_output=True, text=True, check=False
        )
        wall, cpu = time.monotonic() - start, children_seconds() - before
    if done.returncode:
        raise UsageError(f"the matrix ended with {done.returncode}: {done.stdout[-2000:]}")
    lines = [line for line in done.stdout.splitlines() if re.search(r"\d+ (?:cells|passed)", line)]
    return wall, cpu, lines[-1].strip() if lines else ""


def main() -> int:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="*", default=["releases", "packages"])
    parser.add_argument("--times", type=int, default=1, metavar="N")
    add_json_option(parser, "cold")
    options = parser.parse_args()
    nox = shutil.which("nox")
    if nox is None:
        sys.stderr.write("cold.py: nox is not on PATH\n")
        return EXIT_CANNOT_TELL
    rows = []
    try:
        for source in options.sources:
            served = packed_builds() if source == "releases" else {}
            with releases(served) as address:
                github = address if served else NOWHERE
                runs = [cold(nox, github) for _ in range(options.times)]
            walls = [wall for wall, _, _ in runs]
            rows.append(
                {
                    "builds_from": source,
                    "runs": len(runs),
                    "wall_s": round(median(walls), 1),
                    "spread_s": round(max(walls) - min(walls), 1),
                    "cpu_s": round(median(cpu for _, cpu, _ in runs), 1),
                    "said": runs[-1][2],
                }
            )
    except HarnessError as error:
        sys.stderr.write(f"cold.py: {error}\n")
        return error.exit_code
    keep("from a fresh clone to the table of the smoke matrix", rows, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
