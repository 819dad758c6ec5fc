"""What may not be read is not there: on PATH, in a home, above the working directory."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.builds.catalogue import load_catalogue
from harness.builds.pip_settings import read_pip_settings
from harness.cli import main
from harness.config import paths
from harness.config.configuration import load_configuration
from harness.environments import detect_host, open_environment
from harness.errors import EXIT_CANNOT_TELL, EXIT_USAGE

LONG = "x" * 300
"""No file system takes a name of this length: looking at it fails, for root as for anybody."""


def unprivileged() -> bool:
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).chmod(0)
        return not os.access(file.name, os.R_OK)


knows_its_users = pytest.mark.skipif(
    sys.platform == "win32", reason="Python takes any name for a neighbour's home on Windows"
)


@pytest.fixture(params=["too long", "closed"])
def unreadable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A directory that cannot be looked into."""
    if request.param == "too long":
        yield tmp_path / LONG
        return
    if not unprivileged():
        pytest.skip("root looks into every directory")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    yield closed
    closed.chmod(0o700)


def test_nothing_is_there(unreadable: Path) -> None:
    assert not paths.exists(unreadable / "file")
    assert not paths.is_file(unreadable / "file")
    assert not paths.is_dir(unreadable / "directory")
    assert paths.entries(unreadable) == []


@pytest.mark.parametrize("name", ["cpu", "cuda-spoof"])
def test_an_entry_of_path(
    unreadable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join([str(unreadable), os.environ["PATH"]]))
    with open_environment(name, home=tmp_path / "home") as variables:
        assert str(unreadable) in variables["PATH"]
        found = detect_host(variables)
    assert found.has_gpu == (name == "cuda-spoof"), found.note


def test_the_home_and_what_lies_in_it(unreadable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(unreadable))
    monkeypatch.delenv("PIP_CONFIG_FILE", raising=False)
    monkeypatch.delenv("LLAMA_HARNESS_CACHE", raising=False)
    assert read_pip_settings()
    assert load_catalogue().profile("smoke"), "of the harness's own catalogue"


def test_a_directory_above_the_working_directory(unreadable: Path) -> None:
    assert load_configuration(unreadable / "project", {}).file is None


@pytest.mark.skipif(sys.platform == "win32", reason="a working directory cannot be removed")
def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    root = Path(__file__).resolve().parents[2]
    command = f"cd {gone} && rmdir {gone} && exec {sys.executable} -m harness matrix --list"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "b9246" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="users without a home")
def test_a_user_without_a_home(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    ask = "import os; os.environ.pop('HOME'); from harness.cli import main; raise SystemExit(main("
    code = f"import pwd; pwd.getpwuid = {{}}.__getitem__; {ask}['builds', 'path', 'b9246']))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "HOME": "/", "PYTHONPATH": str(root)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "name one with LLAMA_HARNESS_CACHE" in done.stderr
    assert list(tmp_path.iterdir()) == []


@knows_its_users
def test_a_home_that_nobody_has() -> None:
    assert paths.expanded("~no-such-user/x") == Path("~no-such-user/x")
    assert paths.expanded("~/x") == Path.home() / "x"


@knows_its_users
@pytest.mark.parametrize("words", [("check", "~no-such-user/run.sh"), ("probe", "~no-such-user/x")])
def test_a_home_that_nobody_has_is_told(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words]) in {EXIT_USAGE, EXIT_CANNOT_TELL}
    assert "~no-such-user" in capsys.readouterr().err


def test_a_directory_that_goes_while_it_is_measured_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As workspaces of compiles do, under ``doctor`` and ``builds gc``."""
    for folder in ("goes", "stays"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.o").write_bytes(bytes(3))
    listed = os.scandir

    def vanishing(place: str | Path) -> object:
        if Path(place).name == "goes":
            Path(place, "a.o").unlink()
            Path(place).rmdir()
        return listed(place)

    assert paths.size_below(tmp_path) == 6
    monkeypatch.setattr(os, "scandir", vanishing)
    assert paths.size_below(tmp_path) == 3
    assert paths.size_below(tmp_path / "none") == 0
