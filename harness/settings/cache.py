"""Cache: the type of the K cache."""

import re
from typing import Final

from harness.settings.observation import Observation

_TYPE: Final = re.compile(r"\bK \((?P<type>\w+)\)")


class Cache:
    """Read from the start-up log; one witness on every build."""

    name = "cache"

    def effective(self, observation: Observation) -> str | None:
        """The type of the model's own cache, which is logged before a draft model's."""
        found = (_TYPE.search(line) for line in observation.startup_lines)
        return next((match["type"] for match in found if match), None)

    def show(self, value: str) -> str:
        """``cache q8_0``."""
        return f"cache {value}"
