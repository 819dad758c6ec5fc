"""The ways in which a spoofed machine can differ from a healthy one of its profile."""

from enum import StrEnum


class Variant(StrEnum):
    """What is wrong, or other than usual, with the spoofed driver, card or tool."""

    HANG = "hang"
    """``nvidia-smi`` never answers; the libraries do."""
    NO_DRIVER = "no-driver"
    """``nvidia-smi`` cannot reach the driver and exits with 9; the libraries find no driver."""
    NO_SMI = "no-smi"
    """There is no ``nvidia-smi``, only the libraries."""
    ZERO_MEMORY = "zero-memory"
    """Every card is full: no memory is free."""
    TWO_GPUS = "two-gpus"
    """The machine has its first card twice."""
    UNMASKED_SMI = "unmasked-smi"
    """``nvidia-smi`` and NVML list every card whatever ``CUDA_VISIBLE_DEVICES`` says.

    So do the real ones; without this variant they show the same cards as CUDA does.
    """


FAILURES = frozenset({Variant.HANG, Variant.NO_DRIVER, Variant.NO_SMI})
"""Variants in which some layer does not answer."""
