"""Context: tokens of one slot."""

from harness.settings.observation import Observation


class Context:
    """Read from ``/slots``; one witness on every build."""

    name = "context"

    def effective(self, observation: Observation) -> int | None:
        """Tokens of the first slot; all are alike."""
        tokens = (observation.slot or {}).get("n_ctx")
        return tokens if isinstance(tokens, int) else None

    def show(self, value: int) -> str:
        """``context 4096``."""
        return f"context {value}"
