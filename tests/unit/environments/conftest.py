from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from harness.environments.environment import Environment, environment
from harness.environments.machine import SpoofedMachine, load_profile
from harness.environments.spoof import varied_machine
from harness.environments.variants import Variant


class OpenEnvironment(Protocol):
    def __call__(self, name: str) -> AbstractContextManager[Environment]: ...


@pytest.fixture(scope="session")
def native_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keeps the compiled libraries between tests."""
    return tmp_path_factory.mktemp("native")


@pytest.fixture
def opened(tmp_path: Path, native_cache: Path) -> OpenEnvironment:
    """Opens environments under a home of the test's."""

    @contextmanager
    def open_it(name: str) -> Iterator[Environment]:
        with environment(name, home=tmp_path / "home", cache=native_cache) as it:
            yield it

    return open_it


@pytest.fixture(scope="session")
def two_cards() -> SpoofedMachine:
    return varied_machine(load_profile("a100-80gb"), frozenset({Variant.TWO_GPUS}))


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mapping[str, str]:
    """A PATH without a C compiler."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return {"PATH": str(tmp_path)}
