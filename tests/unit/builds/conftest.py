"""Fixtures: a local web server, a store of its own, and no settings from outside."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.builds.download import Patience
from tests.unit.builds.builds_bench import Web, Workbench, serving


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as served:
        yield served


@pytest.fixture
def patience() -> Patience:
    """Five tries without the waits."""
    return Patience(tries=5, timeout_s=5, sleep=lambda _: None)


@pytest.fixture
def slept() -> tuple[list[float], Callable[[float], None]]:
    waits: list[float] = []
    return waits, waits.append


@pytest.fixture(autouse=True)
def _no_outside_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)
