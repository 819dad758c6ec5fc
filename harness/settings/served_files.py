"""The model that is served, and its chat template; both are read from ``/props``."""

import hashlib
from pathlib import PurePath
from typing import Final

from harness.settings.observation import Observation

_DIGEST_LENGTH: Final = 12


class Model:
    """The model file; one witness on every build."""

    name = "model"

    def effective(self, observation: Observation) -> str | None:
        """The file's name without its ending."""
        path = (observation.properties or {}).get("model_path")
        return None if path is None else PurePath(str(path)).stem

    def show(self, value: str) -> str:
        """``model tiny-llama``."""
        return f"model {value}"


class ChatTemplate:
    """The chat template; one witness on every build."""

    name = "template"

    def effective(self, observation: Observation) -> str | None:
        """A digest of the template, which may be long."""
        text = (observation.properties or {}).get("chat_template")
        if text is None:
            return None
        return hashlib.sha256(str(text).encode()).hexdigest()[:_DIGEST_LENGTH]

    def show(self, value: str) -> str:
        """``template 0123456789ab``."""
        return f"template {value}"
