"""Where cells run: on this machine, or on a Dask cluster."""

from typing import Final

from harness.errors import UsageError

LOCAL: Final = "local"
_DASK: Final = "dask:"


def dask_address(executor: str) -> str | None:
    """The scheduler's address in ``dask:ADDRESS``; None for ``local``.

    Raises:
        UsageError: It is neither.
    """
    address = executor.removeprefix(_DASK)
    if executor == LOCAL:
        return None
    if not executor.startswith(_DASK) or not address:
        raise UsageError(
            f"--executor {executor!r}: write {LOCAL}, or dask:ADDRESS with the address of a Dask "
            "scheduler, for example dask:tcp://10.0.0.1:8786"
        )
    return address
