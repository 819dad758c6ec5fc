"""Asks the host which GPUs it has, as applications do: by running ``nvidia-smi``."""

import csv
import shutil
from collections.abc import Mapping

from harness.environments.visibility import visible_indices
from harness.model import Gpu, HostProfile
from harness.processes.running import ask

DETECTION_TIMEOUT_S = 20.0
"""How long ``nvidia-smi`` may take; a healthy one answers within some ten milliseconds, and on a
host that is busy with much else within some seconds."""

_QUERY = ("--query-gpu=index,uuid,memory.total,memory.free,name", "--format=csv,noheader,nounits")
_COLUMNS = 5


def detect_host(env: Mapping[str, str], *, timeout_s: float = DETECTION_TIMEOUT_S) -> HostProfile:
    """Return the GPUs that a program inside ``env`` finds.

    Never raises for what ``nvidia-smi`` does: a tool that is missing, hangs, fails or answers
    garbage means no GPU, and the profile's note says which of these it was.
    ``CUDA_VISIBLE_DEVICES`` in ``env`` is respected, since ``nvidia-smi`` itself does not.

    Args:
        env: The whole environment; the tool is the first on its PATH.
        timeout_s: Seconds after which the tool is killed.
    """
    tool = shutil.which("nvidia-smi", path=env.get("PATH", ""))
    if tool is None:
        return HostProfile(note="no nvidia-smi on PATH")
    try:
        answer = ask([tool, *_QUERY], env=env, timeout_s=timeout_s, merged=True)
    except TimeoutError:
        return HostProfile(note=f"nvidia-smi did not answer within {timeout_s:g} s")
    except OSError as error:
        return HostProfile(note=f"nvidia-smi cannot be run: {error.strerror or error}")
    if answer.returncode != 0:
        lines = (line.strip() for line in answer.stdout.splitlines() if line.strip())
        said = next(lines, "nothing")
        return HostProfile(note=f"nvidia-smi exited {answer.returncode} and said: {said[:200]}")
    return _read(answer.stdout, env.get("CUDA_VISIBLE_DEVICES"))


def _read(output: str, visible: str | None) -> HostProfile:
    found: list[tuple[str, Gpu]] = []
    for row in csv.reader(output.splitlines(), skipinitialspace=True):
        if not row:
            continue
        parsed = _read_row(row)
        if parsed is None:
            said = ", ".join(row)[:200]
            return HostProfile(note=f"nvidia-smi answered a line without a GPU: {said}")
        found.append(parsed)
    if not found:
        return HostProfile(note="nvidia-smi listed no GPU")
    # Positions in the list are the driver's indices only where nothing is hidden already.
    shown = _shown(found, visible)
    note = None if shown else f"CUDA_VISIBLE_DEVICES={visible} hides every GPU"
    return HostProfile(gpus=shown, note=note)


def _shown(found: list[tuple[str, Gpu]], visible: str | None) -> tuple[Gpu, ...]:
    highest = max(gpu.index for _, gpu in found)
    uuids = [""] * (highest + 1)
    by_index = {}
    for uuid, gpu in found:
        uuids[gpu.index] = uuid
        by_index[gpu.index] = gpu
    order = visible_indices(visible, uuids)
    return tuple(by_index[index] for index in order if index in by_index)


def _read_row(row: list[str]) -> tuple[str, Gpu] | None:
    if len(row) < _COLUMNS:
        return None
    index, uuid, total, free, *name = (cell.strip() for cell in row)
    if not index.isdecimal() or not uuid.startswith("GPU-"):
        return None
    return uuid, Gpu(
        index=int(index),
        name=", ".join(name),
        memory_total_mib=_mebibytes(total),
        memory_free_mib=_mebibytes(free),
    )


def _mebibytes(cell: str) -> int:
    # Cards with memory of the host's own (GB10, vGPU) answer "[N/A]".
    return int(cell) if cell.isdecimal() else 0
