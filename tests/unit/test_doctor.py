import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from harness.builds import Build, Catalogue
from harness.builds.catalogue import LocalBinary
from harness.builds.manifest import read_manifest, write_manifest
from harness.cells.qualification import open_store
from harness.cli import main
from harness.commands import doctor
from harness.commands.doctor import Finding, State, examine, store_finding
from harness.errors import EXIT_CANNOT_TELL, EXIT_OK, SourceUnavailableError
from tests.unit.builds.stand_in import write_server

EMPTY_PATH: Mapping[str, str] = {"PATH": ""}


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A host with an empty store, a closed package index and no engine."""
    monkeypatch.setenv("LLAMA_HARNESS_CACHE", str(tmp_path / "store"))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    monkeypatch.setattr("harness.builds.sources.image.open_engine", no_engine)


@pytest.fixture
def bare(no_index: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, without a single program."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)


def no_engine() -> None:
    """In place of the SDK's, which leaves a socket open where no engine answers."""
    raise SourceUnavailableError("no container engine answers")


def found(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_a_host_that_lacks_everything(bare: None) -> None:
    findings = found(examine(EMPTY_PATH))
    assert findings["package index"].state is State.MISSING
    assert "pip" in findings["package index"].remedy
    assert findings["releases"].state is State.ABSENT
    assert findings["git"].state is State.ABSENT
    assert findings["gpu"].state is State.ABSENT
    assert findings["containers"].state is State.ABSENT
    assert findings["python"].state is State.OK
    assert all(one.remedy for one in findings.values() if one.state is not State.OK)


def test_exit_status_and_last_line(bare: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == EXIT_CANNOT_TELL
    out = capsys.readouterr().out
    assert out.splitlines()[-1].startswith("missing: package index")
    assert main(["doctor", "--json"]) == EXIT_CANNOT_TELL
    rows = json.loads(capsys.readouterr().out)
    assert {"name", "state", "detail", "remedy"} == set(rows[0])


def test_a_fine_host(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fine = [Finding(name="python", state=State.OK, detail="3")]
    monkeypatch.setattr(doctor, "examine", lambda _: iter(fine))
    assert main(["doctor"]) == EXIT_OK
    assert capsys.readouterr().out.splitlines()[-1] == "the matrix can run here"


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    finding = store_finding(tmp_path / "file" / "store")
    assert finding.state is State.MISSING
    assert "LLAMA_HARNESS_CACHE" in finding.remedy
    assert str(tmp_path) in finding.detail


def test_a_store_that_can(tmp_path: Path) -> None:
    (tmp_path / "build").write_bytes(bytes(1024**2 * 60))
    finding = store_finding(tmp_path)
    assert finding.state is State.OK
    assert finding.detail.endswith("0.1 GiB")
    assert [path.name for path in tmp_path.iterdir()] == ["build"], "nothing is left behind"


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script")
def test_a_stored_build_that_no_longer_runs_is_named(
    bare: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = write_server(tmp_path / "own" / "llama-server")
    build = Build(id="b20000", number=20000, sources=(LocalBinary(path=str(program)),))
    store = open_store()
    store.acquire(build)
    program.with_suffix(".py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    manifest = read_manifest(store.directory(build.id))
    assert manifest is not None
    write_manifest(store.directory(build.id), msgspec.structs.replace(manifest, qualified=()))
    pinned = Catalogue(builds=(msgspec.structs.replace(build, profiles=("smoke",)),))
    monkeypatch.setattr("harness.builds.load_catalogue", lambda: pinned)
    findings = found(examine(EMPTY_PATH))
    assert "illegal instruction" in findings["build b20000"].detail
    assert findings["smoke builds"].detail == "to be acquired: b20000"
    assert findings["package index"].state is State.MISSING
