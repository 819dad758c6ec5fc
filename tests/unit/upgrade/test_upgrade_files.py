"""Files of command lines: replaced as a whole, or shown as a diff that patch takes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import FormatError, UsageError
from harness.formats import read_text
from harness.upgrade.files import diff, rewritten_files, write_files
from harness.upgrade.rewriting import rewrite
from tests.generated_lines import era

COMPOSE = """services:
  llm:
    image: ghcr.io/ggml-org/llama.cpp:server
    command: -m /models/a.gguf --no-mmap  # NFS
"""


def changed(path: Path, text: str) -> dict[Path, tuple[str, str]]:
    lines = read_text(text, str(path), path=path)
    eras = era("b8929"), era("b11434")
    changes = {name: rewrite(line, *eras).stages for name, line in lines.items()}
    return dict(rewritten_files(path, changes, {}))


@pytest.fixture
def compose(tmp_path: Path) -> Path:
    path = tmp_path / "compose.yml"
    path.write_text(COMPOSE, encoding="utf-8")
    return path


def test_a_file_is_replaced_and_keeps_its_mode(compose: Path) -> None:
    compose.chmod(0o640)
    write_files(changed(compose, COMPOSE), backup=False)
    assert compose.read_text() == COMPOSE.replace("--no-mmap", "--load-mode none")
    assert [path.name for path in compose.parent.iterdir()] == ["compose.yml"]
    if sys.platform != "win32":
        assert compose.stat().st_mode & 0o777 == 0o640


def test_a_backup_is_kept_where_it_is_asked_for(compose: Path) -> None:
    write_files(changed(compose, COMPOSE), backup=True)
    assert compose.with_name("compose.yml.orig").read_text() == COMPOSE


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_stays_one(compose: Path) -> None:
    link = compose.with_name("link.yml")
    link.symlink_to(compose)
    write_files(changed(link, COMPOSE), backup=False)
    assert link.is_symlink()
    assert "--load-mode none" in compose.read_text()


def test_a_file_that_cannot_be_written_is_told_and_left(
    compose: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UsageError, match=r"compose\.yml: cannot be written: No space left"):
        write_files(changed(compose, COMPOSE), backup=False)
    assert compose.read_text() == COMPOSE
    assert [path.name for path in compose.parent.iterdir()] == ["compose.yml"]


def test_an_encoding_stays(tmp_path: Path) -> None:
    path = tmp_path / "start.bat"
    text = "llama-server.exe -m a.gguf --no-mmap\r\n"
    path.write_bytes(b"\xff\xfe" + text.encode("utf-16-le"))
    write_files(changed(path, text), backup=False)
    assert path.read_bytes() == b"\xff\xfe" + text.replace("--no-mmap", "--load-mode none").encode(
        "utf-16-le"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="patch is no program of Windows")
@pytest.mark.parametrize("end", ["\n", ""])
def test_patch_takes_the_diff(compose: Path, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = COMPOSE.rstrip("\n") + end
    compose.write_text(text, encoding="utf-8")
    monkeypatch.chdir(compose.parent)
    texts = changed(Path("compose.yml"), text)
    shown = "".join(diff(texts))
    assert shown.startswith("--- a/compose.yml\n+++ b/compose.yml\n")
    subprocess.run(["git", "apply", "-"], input=shown, text=True, check=True, env=os.environ)
    assert compose.read_bytes().decode() == texts[Path("compose.yml")][1]


def test_a_comment_stays_where_it_belongs(tmp_path: Path) -> None:
    path = tmp_path / "compose.yml"
    text = """services:
  llm:
    image: ghcr.io/ggml-org/llama.cpp:server
    command:
      - -fa
      - --no-mmap   # NFS
"""
    path.write_text(text, encoding="utf-8", newline="\n")
    assert changed(path, text)[path][1].endswith(
        '      - -fa\n      - "on"\n      - --load-mode   # NFS\n      - none\n'
    )


def test_nothing_to_change_is_no_file(compose: Path) -> None:
    lines = read_text(COMPOSE, "x", path=compose)
    assert rewritten_files(compose, {name: (one, one) for name, one in lines.items()}, {}) == {}


def test_a_change_that_has_no_place_is_said(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    text = """macros:
  server: llama-server --port ${PORT} --no-mmap
models:
  a:
    cmd: ${server} -m a.gguf
  b:
    cmd: ${server} -m b.gguf
"""
    path.write_text(text, encoding="utf-8")
    line = read_text(text, str(path), path=path)["a"]
    other = rewrite(line, era("b8929"), era("b11434")).line
    with pytest.raises(FormatError, match="would change as well"):
        rewritten_files(path, {"a": (line, other)}, {})
