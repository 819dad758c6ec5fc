"""The builds that files pin, and what a revision changed of them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.upgrade.bumps import bump_of, bumps_since, files_concerned, pinned_build

needs_git = pytest.mark.skipif(not shutil.which("git"), reason="no git")

COMPOSE = """services:
  llm:
    image: ghcr.io/ggml-org/llama.cpp:server-b8929
    command: ["-m", "/models/a.gguf", "--no-mmap"]
"""


@pytest.mark.parametrize(
    ("text", "build"),
    [
        ("image: ghcr.io/ggml-org/llama.cpp:server-b8929", 8929),
        ("FROM ghcr.io/ggml-org/llama.cpp:server-cuda-b9246 AS x", 9246),
        (
            "curl -LO https://github.com/ggml-org/llama.cpp/releases/download/b9246/llama-b9246.zip",
            9246,
        ),
        ("tag: server-b11434", 11434),
        ("LLAMA_TAG=b9464", 9464),
        ("LLAMA_VERSION: 'b9464'", 9464),
        ("image: ghcr.io/ggml-org/llama.cpp:server", None),
        ("# b8929 was good\nimage: x:server-b9246", None),
        ("sha256:ab12345cdb9246", None),
        ("-c 8192 -b 4096", None),
    ],
)
def test_the_build_that_a_text_pins(text: str, build: int | None) -> None:
    assert pinned_build(text) == build


@pytest.mark.parametrize(
    ("before", "after", "bump"),
    [
        ("a\nimage: x:server-b8929\n", "a\nimage: x:server-b9246\n", (8929, 9246)),
        ("LLAMA_BUILD=8929\n", "LLAMA_BUILD=9246\n", (8929, 9246)),
        (
            "llama.cpp: {tag: b8929, port: 8080}",
            "llama.cpp: {tag: b9246, port: 8080}",
            (8929, 9246),
        ),
        ("image: x:server-b8929\n", "# new\nimage: x:server-b8929\n", None),
        ("port: 8080\n", "port: 9090\n", None),
        ("llama: {port: 80}\n", "llama: {port: 90}\n", None),
        ("", "image: x:server-b9246\n", None),
    ],
)
def test_the_number_that_changes(before: str, after: str, bump: tuple[int, int] | None) -> None:
    assert bump_of(before, after) == bump


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for words in (
        ("init", "-q", "-b", "main"),
        ("config", "user.email", "a@example.org"),
        ("config", "user.name", "a"),
        ("config", "commit.gpgsign", "false"),
    ):
        subprocess.run(["git", *words], check=True)
    return tmp_path


def commit(**files: str) -> None:
    for name, text in files.items():
        Path(name.replace("__", ".")).write_text(text, encoding="utf-8")
    subprocess.run(["git", "add", "-A"], check=True)
    subprocess.run(["git", "commit", "-qm", "x"], check=True)


@needs_git
def test_files_that_change_and_hold_a_command_line(repository: Path) -> None:
    commit(compose__yml=COMPOSE, other__txt="b8929")
    commit(compose__yml=COMPOSE.replace("8929", "11434"), other__txt="c")
    (bump,) = bumps_since("HEAD~1")
    assert (bump.path.name, bump.old, bump.new) == ("compose.yml", 8929, 11434)
    assert files_concerned([bump]) == [repository / "compose.yml"]


@needs_git
def test_a_number_that_stands_alone_concerns_every_command_line(repository: Path) -> None:
    # As where a compose file takes its tag from an .env beside it.
    text = COMPOSE.replace("b8929", "${LLAMA_TAG}")
    commit(compose__yml=text, __env="LLAMA_TAG=b8929\n", README__md="llama-server -m a.gguf")
    commit(__env="LLAMA_TAG=b11434\n")
    bumps = bumps_since("HEAD~1")
    assert [(bump.old, bump.new) for bump in bumps] == [(8929, 11434)]
    assert repository / "compose.yml" in files_concerned(bumps)


@needs_git
def test_nothing_of_a_build_changes(repository: Path) -> None:
    commit(compose__yml=COMPOSE)
    commit(compose__yml=COMPOSE + "# x\n")
    assert bumps_since("HEAD~1") == []
    assert files_concerned([]) == []


@needs_git
def test_a_revision_that_is_none(repository: Path) -> None:
    commit(compose__yml=COMPOSE)
    with pytest.raises(UsageError, match="no-such-revision"):
        bumps_since("no-such-revision")


@needs_git
def test_a_place_that_is_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UsageError, match="not a git repository"):
        bumps_since("HEAD")
