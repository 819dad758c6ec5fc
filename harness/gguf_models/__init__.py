"""The tiny deterministic models that the builds are launched with.

``ensure_models`` writes them; ``models.MODELS`` says what they are.
"""

from harness.gguf_models.files import ensure_models, file_for

__all__ = ["ensure_models", "file_for"]
