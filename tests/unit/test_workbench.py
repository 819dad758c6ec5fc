"""What a workbench keeps of one launch for the next: recent results, and untouched homes."""

from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from harness.cells import workbench
from harness.cells.workbench import Launched, RecentLaunches, Workbench
from harness.environments.hermetic import home_variables, is_untouched
from harness.errors import EnvironmentUnavailableError
from harness.model import HostProfile


def launched(name: str) -> Launched:
    return cast("Launched", name)


def test_recent_launches_make_room_for_newer_ones() -> None:
    recent = RecentLaunches(2)
    recent["a"], recent["b"] = launched("A"), launched("B")
    assert recent["a"] == launched("A")
    recent["c"] = launched("C")
    assert list(recent) == ["a", "c"]
    with pytest.raises(KeyError):
        recent["b"]
    assert "b" not in recent
    recent["a"] = launched("again")
    recent["d"] = launched("D")
    assert list(recent.items()) == [("a", launched("again")), ("d", launched("D"))]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    monkeypatch.setenv("LLAMA_HARNESS_CACHE", str(tmp_path / "cache"))
    return Workbench(
        catalogue=cast("object", None),  # type: ignore[arg-type]
        store=cast("object", None),  # type: ignore[arg-type]
        models={},
        scratch=tmp_path,
        owner="nobody",
        resources=ExitStack(),
    )


def test_an_untouched_home_is_used_again(bench: Workbench) -> None:
    with bench.launch_directory() as first:
        home_variables(Path(first))
    with bench.launch_directory() as second:
        assert second == first
        with bench.launch_directory() as beside:
            assert beside != second


@pytest.mark.parametrize("name", ["a-file", "tmp/a-file", ".cache/llama.cpp/a-file"])
def test_a_home_that_was_written_to_is_not(bench: Workbench, name: str) -> None:
    with bench.launch_directory() as first:
        home_variables(Path(first))
        file = Path(first, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert not Path(first).exists()
    with bench.launch_directory() as second:
        assert second != first


def test_a_directory_more_or_less_is_a_touch(tmp_path: Path) -> None:
    home_variables(tmp_path)
    assert is_untouched(tmp_path)
    (tmp_path / ".config" / "app").mkdir()
    assert not is_untouched(tmp_path)
    (tmp_path / ".config" / "app").rmdir()
    (tmp_path / "tmp").rmdir()
    assert not is_untouched(tmp_path)
    (tmp_path / "tmp").symlink_to(tmp_path)
    assert not is_untouched(tmp_path)
    assert not is_untouched(tmp_path / "gone")


def test_a_card_that_the_host_is_too_busy_to_show_is_no_host_without_one(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = HostProfile(note="nvidia-smi did not answer within 20 s")
    monkeypatch.setattr(workbench, "detect_host", lambda _: late)
    with bench.resources:
        assert bench.environment("cpu").host == late
        assert bench.environment("cuda-spoof:hang").host == late
        with pytest.raises(EnvironmentUnavailableError, match="cuda-spoof: nvidia-smi did not ans"):
            bench.environment("cuda-spoof")
