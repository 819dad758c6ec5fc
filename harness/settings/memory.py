"""Memory: batches, the KV cache, and how the model file is loaded."""

from typing import Final

from harness.flags.families import Family

_MMAP: Final = Family(
    flags=("--mmap",),
    variables=("LLAMA_ARG_MMAP",),
    negations=("--no-mmap",),
    negating_variables=("LLAMA_ARG_NO_MMAP",),
)
_DIRECT: Final = Family(
    flags=("--direct-io", "-dio"),
    variables=("LLAMA_ARG_DIO",),
    negations=("--no-direct-io", "-ndio"),
    negating_variables=("LLAMA_ARG_NO_DIO",),
)
_MLOCK: Final = Family(flags=("--mlock",), variables=("LLAMA_ARG_MLOCK",))
_MODE: Final = Family(flags=("--load-mode", "-lm"), variables=("LLAMA_ARG_LOAD_MODE",))
"""In place of the three others since b10105."""
