"""What the atlas costs: reading it, and the commands that answer from it, from a cold process.

Each is run in turn several times; the least of each is told, since other programs share the host.

    nox -s bench -- atlas
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

from benchmarks._figures import Figure, add_json_option, keep
from harness.flags.atlas import pinned_file, read_atlas

RUNS = 10
COMMANDS = (
    ("flag", "--no-mmap"),
    ("flags", "--build", "b9246"),
    ("flags", "--diff", "b8929", "b11434"),
    ("check", "--atlas-only", "--", "-md", "draft.gguf", "--draft-max", "8", "--no-mmap"),
)


def main() -> int:
    """Measure, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="of each (default: %(default)s)")
    add_json_option(parser, "atlas")
    options = parser.parse_args()
    content = pinned_file().read_bytes()
    told: dict[str, list[float]] = {"reading the data": []}
    with tempfile.TemporaryDirectory() as empty:
        for _ in range(options.runs):
            begun = time.perf_counter()
            read_atlas(content)
            told["reading the data"].append(time.perf_counter() - begun)
            for command in COMMANDS:
                seconds = _seconds_of(command, empty)
                told.setdefault(f"llama-harness {' '.join(command)}", []).append(seconds)
    figures: list[Figure] = [
        {
            "what": what,
            "least_ms": round(1000 * min(seconds), 1),
            "median_ms": round(1000 * sorted(seconds)[len(seconds) // 2], 1),
        }
        for what, seconds in told.items()
    ]
    keep("what the atlas costs", figures, options.json)
    return 0


def _seconds_of(command: tuple[str, ...], store: str) -> float:
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "harness", *command],
        env={**os.environ, "LLAMA_HARNESS_CACHE": store},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main())
