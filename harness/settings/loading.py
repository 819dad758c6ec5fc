"""Loading: how the model file comes into memory, and whether it is fitted to the devices first."""

import re
from typing import Final

from harness.flags.arguments import Argument
from harness.flags.families import Family
from harness.settings.observation import Observation
from harness.settings.value import ANYTHING, Reading, ValueSetting, last_match, logged, switch, word

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
"""In place of the three others: they are deprecated since b10105 and gone since b10878."""
_WARMUP: Final = Family(flags=("--warmup",), negations=("--no-warmup",))
_FIT: Final = Family(flags=("--fit", "-fit"), variables=("LLAMA_ARG_FIT",))

_FIT_SINCE: Final = 8929
"""Of the catalogue's builds the first that fits; nothing of it is logged before."""

_LOADING: Final = re.compile(r"loading model tensors")
_BUFFER: Final = re.compile(r"load_tensors: +\w*?(_Mapped)? model buffer size")


class _Asks:
    """What an argument asks of one part of the load mode, in either generation of spelling."""

    def __init__(self, part: str, family: Family) -> None:
        self._part = part
        self._family = family

    def __call__(self, argument: Argument) -> bool | str | None:
        """True or false; anything for ``auto``."""
        if not _MODE.is_set_by(argument):
            return switch(self._family)(argument)
        return ANYTHING if argument.value == "auto" else self._part in argument.value.split("+")


def _part(part: str, old: str) -> Reading:
    """A witness: one part of the load mode as it was logged when the model itself was loaded."""
    modern = re.compile(r"\(load_mode = ([\w+-]+)\)")
    former = re.compile(rf"\b{old} = (true|false)")

    def read(observation: Observation) -> bool | None:
        mode = last_match(observation.main_lines, modern)
        if mode is not None:
            return part in mode[1].split("+")
        told = last_match(
            [line for line in observation.main_lines if _LOADING.search(line)], former
        )
        return None if told is None else told[1] == "true"

    return Reading(witness="startup-log", read=read)


def _mapped(observation: Observation) -> bool | None:
    """Whether the model's own buffer is mapped from its file."""
    lines = observation.main_lines
    last = max((place for place, line in enumerate(lines) if _LOADING.search(line)), default=None)
    if last is None:
        return None
    buffers = [found for line in lines[last:] if (found := _BUFFER.search(line))]
    return any(found[1] for found in buffers) if buffers else None


def _warmed(observation: Observation) -> bool | None:
    if observation.fork or not observation.main_lines:
        return None
    return any("warming up the model" in line for line in observation.startup_lines)


def _fitted(observation: Observation) -> bool | None:
    if (observation.build_number or 0) < _FIT_SINCE:
        return None
    return any("fitting params to device memory" in line for line in observation.main_lines)


SETTINGS: Final = (
    ValueSetting(
        name="mmap",
        families=(_MMAP, _MODE),
        asks=_Asks("mmap", _MMAP),
        readings=(_part("mmap", "mmap"), Reading(witness="buffers", read=_mapped)),
    ),
    ValueSetting(
        name="direct_io",
        families=(_DIRECT, _MODE),
        asks=_Asks("dio", _DIRECT),
        readings=(_part("dio", "direct_io"),),
    ),
    ValueSetting(
        name="mlock",
        families=(_MLOCK, _MODE),
        asks=_Asks("mlock", _MLOCK),
        readings=(
            Reading(
                witness="locked-memory",
                read=lambda seen: seen.probed.locked if seen.probed else None,
            ),
            logged(r"\(load_mode = ([\w+-]+)\)", lambda mode: "mlock" in mode.split("+")),
        ),
    ),
    ValueSetting(
        name="load_mode",
        families=(_MODE,),
        asks=lambda argument: ANYTHING if argument.value == "auto" else word(argument),
        readings=(logged(r"\(load_mode = ([\w+-]+)\)"),),
    ),
    ValueSetting(
        name="warmup",
        families=(_WARMUP,),
        asks=switch(_WARMUP),
        readings=(Reading(witness="startup-log", read=_warmed),),
    ),
    ValueSetting(
        name="fit",
        families=(_FIT,),
        asks=switch(_FIT),
        readings=(Reading(witness="startup-log", read=_fitted),),
    ),
)
