"""What ``record.py`` recorded, read back."""

import json
import shlex
from dataclasses import dataclass
from functools import cache
from typing import Final

from harness.flags.arguments import Argument, read_arguments
from harness.settings.observation import Observation
from tests.unit.era import capabilities
from tests.unit.settings.record import RECORDED, read_observation

FORK: Final = "ik-2026-04"
UPSTREAM: Final = ("py0.3.16", "b8929", "b9246", "b9464", "b10435", "b11434")
BUILDS: Final = (*UPSTREAM, FORK)


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One command line on one build."""

    build: str
    name: str
    argv: tuple[str, ...]
    observation: Observation

    @property
    def arguments(self) -> tuple[Argument, ...]:
        return read_arguments(self.argv, capabilities(self.build))

    def __str__(self) -> str:
        return f"{self.build}-{self.name}"


@cache
def recordings(*builds: str) -> tuple[Recording, ...]:
    """All of some builds, or of every build."""
    return tuple(
        Recording(
            build=build,
            name=name,
            argv=tuple(shlex.split(recorded.pop("argv"))),
            observation=read_observation(recorded),
        )
        for build in builds or BUILDS
        for name, recorded in json.loads(
            (RECORDED / f"{build}.json").read_text(encoding="utf-8")
        ).items()
    )


def recording(build: str, name: str) -> Recording:
    (found,) = (one for one in recordings(build) if one.name == name)
    return found
