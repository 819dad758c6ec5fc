"""What is kept from one run to the next: found again under its key, and only a saving of time."""

import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from harness.config import memory
from harness.config.memory import (
    Memory,
    digest_of,
    digest_of_files,
    files_below,
    own_digest,
    states_below,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kept.sqlite"


def test_what_was_put_in_is_there_for_the_next_process(file: Path) -> None:
    with closing(Memory(file)) as first:
        first.put("plan", "a", b"1")
        first.put("plan", "a", b"2")
        first.put("verdict", "a", b"3")
    with closing(Memory(file)) as second:
        assert second.get("plan", "a") == b"2"
        assert second.get("verdict", "a") == b"3"
        assert second.get("plan", "b") is None
        second.forget("plan")
        assert second.get("plan", "a") is None
        assert second.get("verdict", "a") == b"3"


def test_what_is_old_is_forgotten(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as then, closing(Memory(file)) as old:
        then.setattr("time.time", lambda: 0.0)
        old.put("plan", "old", b"1")
    with closing(Memory(file)) as new:
        new.put("plan", "new", b"2")
    with closing(Memory(file)) as later:
        assert later.get("plan", "old") is None
        assert later.get("plan", "new") == b"2"


def test_many_threads_of_several_holders_lose_nothing(file: Path) -> None:
    with closing(Memory(file)) as one, closing(Memory(file)) as other:

        def put(number: int) -> None:
            (one, other)[number % 2].put("plan", str(number), str(number).encode())

        threads = [threading.Thread(target=put, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [one.get("plan", str(n)) for n in range(40)] == [str(n).encode() for n in range(40)]


def test_a_file_that_cannot_be_had_is_an_empty_one(tmp_path: Path) -> None:
    with closing(Memory(tmp_path)) as kept:
        kept.put("plan", "a", b"1")
        assert kept.get("plan", "a") is None


def test_a_spoilt_file_is_given_up_and_begun_anew(file: Path) -> None:
    file.write_bytes(b"this is no database, whatever its name says" * 100)
    with closing(Memory(file)) as spoilt:
        spoilt.put("plan", "a", b"1")
        assert spoilt.get("plan", "a") is None
    with closing(Memory(file)) as anew:
        anew.put("plan", "a", b"2")
        assert anew.get("plan", "a") == b"2"


def test_digests_tell_values_apart_and_not_their_order() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    different = [("a", "b"), ("ab",), ("a", "b", None), (["a", "b"],), ({"a": "b"},), (1,), ("1",)]
    assert len({digest_of(*parts) for parts in different}) == len(different)


def test_the_harness_s_own_digest_is_that_of_every_file_it_has(tmp_path: Path) -> None:
    assert own_digest() == own_digest()
    package = Path(memory.__file__).parents[1]
    names = {Path(state[0]).relative_to(package).as_posix() for state in states_below(str(package))}
    some = {"config/memory.py", "verdicts/checks.py", "formats/resources/programs.toml"}
    assert some <= names
    assert not any(name.endswith(".pyc") for name in names)
    (tmp_path / "a.py").write_text("x = 1")
    first = [*states_below(str(tmp_path))]
    assert first == [*states_below(str(tmp_path))]
    (tmp_path / "a.py").write_text("x = 2")
    assert first != [*states_below(str(tmp_path))]


def test_what_is_no_part_of_the_harness_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1")
    first = [*states_below(str(tmp_path))]
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.cpython-311.pyc.140").write_text("half written")
    if sys.platform != "win32":  # where a link takes a right
        (tmp_path / ".#a.py").symlink_to("somebody@host.1:2")
    assert first == [*states_below(str(tmp_path))]
    assert [*states_below(str(tmp_path / "gone"))] == []


def test_a_digest_of_files_is_that_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1")
    before = digest_of_files(files_below(tmp_path))
    (tmp_path / "a.py").write_text("x = 2")
    changed = digest_of_files(files_below(tmp_path))
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert len({before, changed, digest_of_files(files_below(tmp_path))}) == 3
