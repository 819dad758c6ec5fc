"""Devices: what a model is offloaded to, how it is split, and what fitting it there came to.

A server without a device besides the CPU says nothing of all this.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from harness.flags.arguments import Argument
from harness.flags.families import (
    DRAFT_DEVICE,
    DRAFT_GPU_LAYERS,
    FIT,
    GPU_LAYERS,
    KV_OFFLOAD,
    MAIN_DEVICE,
    MAIN_GPU,
    SPLIT_MODE,
    TENSOR_SPLIT,
)
from harness.settings.base import EffectiveState
from harness.settings.observation import Observation
from harness.settings.said import LinePattern, Said
from harness.settings.value import (
    ANYTHING,
    NOTHING,
    Reading,
    ValueSetting,
    Wish,
    integer,
    switch,
    word,
)

_LOADING: Final = "loading model tensors"
_USED: Final = LinePattern(r"using device (\S+) \(")
_VISIBLE: Final = (
    LinePattern(r"ggml_cuda_init: found ([1-9]\d*) \w+ devices"),
    LinePattern(r" - ([A-Za-z]+\d+) +: .*\(\d+ MiB, \d+ MiB free\)"),
    _USED,
)
"""What the log says of the devices that there are, in each of its places."""
_OFFLOADED: Final = LinePattern(r"offloaded (\d+)/(\d+) layers to GPU")
_ASSIGNED: Final = LinePattern(r"load_tensors: layer +\d+ assigned to device ([^\s,]+)")
_BUFFER: Final = LinePattern(r"load_tensors: +(\S+) model buffer size")
_KEPT: Final = LinePattern(r"llama_(?:kv_cache|memory)\w*: +(\S+) (?:KV|RS) buffer size")
_CPU: Final = "CPU"
_HOST: Final = "_Host"
"""Ends the name of memory of the host that a device reads fast."""
_DEVICE: Final = "a device"
_ROWS: Final = "_Split"
_TENSORS: Final = "Meta"
"""The device that stands for all where each tensor is split over them."""
_ROW, _TENSOR, _LAYER, _ONE = "row", "tensor", "layer", "one device"
_ALL: Final = "all"

_FITTED: Final = LinePattern(r"no changes needed")
_NOT_FITTED: Final = LinePattern(r"failed to fit params|an error while trying to fit")
_CONTEXT: Final = LinePattern(r"context size reduced from \d+ to (\d+)")
_FILLED: Final = LinePattern(r"- (\S+) \(.*\): +(\d+) layers?[ ,]")


@dataclass(frozen=True, kw_only=True)
class _Placement:
    """Where a model was put, by the log of its last loading.

    Attributes:
        used: The devices, in order.
        layers: Offloaded layers and all layers, as the log sums them up.
        assigned: The device of each layer, where the log says so much.
        weights: Names of the buffers that hold the model.
        kept: Names of those that hold what the model remembers.
    """

    used: tuple[str, ...]
    layers: tuple[int, int] | None
    assigned: tuple[str, ...]
    weights: tuple[str, ...]
    kept: tuple[str, ...]


def _placement(said: Said) -> _Placement | None:
    """None where the log tells of no loading; fitting loads before, and that does not count."""
    place = said.text.rfind(_LOADING)
    if place < 0:
        return None
    before, after = said.until(place), said.since(place)
    layers = after.last(_OFFLOADED)
    return _Placement(
        used=_named(before.since(max(before.text.rfind(_LOADING), 0)), _USED),
        layers=None if layers is None else (int(layers[1]), int(layers[2])),
        assigned=_named(after, _ASSIGNED),
        weights=tuple(dict.fromkeys(_named(after, _BUFFER))),
        kept=tuple(dict.fromkeys(_named(after, _KEPT))),
    )


def _named(said: Said, pattern: LinePattern) -> tuple[str, ...]:
    return tuple(found[1] for found in said.all(pattern))


def _has_devices(said: Said) -> bool:
    """Whether the server found any; such a one may be told to use none of them."""
    return any(said.last(pattern) for pattern in _VISIBLE)


def _placed(observation: Observation, said: Said) -> _Placement | None:
    return said.once(_placement) if observation.startup.once(_has_devices) else None


def _main(read: Callable[[_Placement], Any], witness: str = "startup-log") -> Reading:
    """A witness: what the log says of the model itself, where there are devices for it."""

    def told(observation: Observation) -> Any:
        placement = _placed(observation, observation.main)
        return None if placement is None else read(placement)

    return Reading(witness=witness, read=told)


def _draft(read: Callable[[_Placement], Any], witness: str = "startup-log") -> Reading:
    """A witness: the same of the draft model."""

    def told(observation: Observation) -> Any:
        placement = _placed(observation, observation.rest)
        return None if placement is None else read(placement)

    return Reading(witness=witness, read=told)


def _used(placement: _Placement) -> list[str] | None:
    """The devices; not told where one stands for all of them."""
    if any(name.startswith(_TENSORS) for name in placement.used):
        return None
    return list(dict.fromkeys(placement.used))


def _holding(placement: _Placement) -> list[str] | None:
    """The devices whose buffers hold any of the model, if those are all that there are."""
    held = {name.removesuffix(_ROWS) for name in (*placement.weights, *placement.kept)}
    devices = _used(placement)
    return devices if devices and held.issuperset(devices) else None


def _offloaded(placement: _Placement) -> str | None:
    """Layers on devices and layers in all; builds that use no device sum up as if they did."""
    if placement.layers is None or not placement.used:
        return None
    return "{}/{}".format(*placement.layers)


def _assigned(placement: _Placement) -> str | None:
    """The same, counted."""
    names = placement.assigned
    if not names or not placement.used:
        return None
    return f"{sum(name != _CPU for name in names)}/{len(names)}"


def _shares(placement: _Placement) -> list[int] | None:
    """Layers on each device, where there are several."""
    devices = list(dict.fromkeys(placement.used))
    if len(devices) < 2 or not placement.assigned:  # noqa: PLR2004 - several
        return None
    shares = [placement.assigned.count(name) for name in devices]
    return shares if any(shares) else None


def _split(placement: _Placement) -> str | None:
    """How it is split; of one device it cannot be told whether that was to be the only one."""
    if any(name.endswith(_ROWS) for name in placement.weights):
        return _ROW
    if any(name.startswith(_TENSORS) for name in placement.used):
        return _TENSOR
    if not any(name in placement.used for name in placement.weights):
        return None  # nothing is offloaded
    return _ONE if len(set(placement.used)) == 1 else _LAYER


def _only_one(placement: _Placement) -> str | None:
    """The device, where there is but one."""
    devices = set(placement.used)
    name = devices.pop() if len(devices) == 1 else _TENSORS
    return None if name.startswith(_TENSORS) else name


def _kept(placement: _Placement) -> list[str] | None:
    return list(placement.kept) or None


def _outcome(observation: Observation) -> str | None:
    """What fitting came to: what it changed, that it changed nothing, or that it failed."""
    said = observation.main
    if not observation.startup.once(_has_devices):
        return None
    if said.last(_NOT_FITTED):
        return "failed"
    context = said.last(_CONTEXT)
    filled = {found[1]: found[2] for found in said.all(_FILLED)}
    changes = [f"context {context[1]}"] if context else []
    changes += [f"{count} layers on {name}" for name, count in filled.items()]
    if changes:
        return " and ".join(changes)
    return "nothing changed" if said.last(_FITTED) else None


def _asks_devices(argument: Argument) -> list[str] | None:
    if argument.value == "none":
        return []
    return list(dict.fromkeys(name for name in argument.value.split(",") if name)) or None


def _asks_layers(argument: Argument) -> str | int | None:
    """A number of layers as it was written; a model has as many as it has."""
    if argument.value in {"auto", _ALL}:
        return ANYTHING if argument.value == "auto" else _ALL
    count = integer(argument)
    if count is None or str(count) != argument.value.strip():
        return count  # cut short
    return ANYTHING if count < 0 else argument.value.strip()


def _grants_layers(asked: str, seen: str, _: EffectiveState) -> bool:
    count, total = map(int, seen.split("/"))
    return count == (total if asked == _ALL else min(int(asked), total))


def _asks_split(argument: Argument) -> list[float] | None:
    try:
        return [float(part) for part in re.split(r"[,/]+", argument.value) if part] or None
    except ValueError:
        return None


def _grants_split(asked: list[float], seen: list[int], _: EffectiveState) -> bool:
    """Whether the layers are divided as builds divide them by such shares."""
    bounds = [*accumulate([*asked, *([0.0] * len(seen))][: len(seen)])]
    if not all(isinstance(layer, int) for layer in seen):
        return False
    layers = sum(seen)
    if not bounds[-1] or not layers:
        return True  # all zero leaves the shares to the build
    places = [
        bisect_right([bound / bounds[-1] for bound in bounds[:-1]], layer / layers)
        for layer in range(layers)
    ]
    return [places.count(place) for place in range(len(seen))] == seen


def _grants_mode(asked: str, seen: str, _: EffectiveState) -> bool:
    return asked == seen or (seen == _ONE and asked in {"none", _LAYER})


def _asks_kept(argument: Argument) -> str | None:
    return {True: _DEVICE, False: _CPU, None: None}[switch(KV_OFFLOAD)(argument)]


def _grants_kept(asked: str, seen: list[str], _: EffectiveState) -> bool:
    """Whether it is all in the host's memory, or any of it is not."""
    return all(name == _CPU or name.endswith(_HOST) for name in seen) is (asked == _CPU)


def _asks_main(argument: Argument) -> str | int | None:
    """A number as it was written; none at all where it is below zero."""
    number = integer(argument)
    if number is None or str(number) != argument.value.strip():
        return number  # cut short
    return ANYTHING if number < 0 else str(number)


def _grants_main(asked: str, seen: str, _: EffectiveState) -> bool:
    return seen in {asked, seen.rstrip("0123456789") + asked}


@dataclass(frozen=True, kw_only=True)
class _MainGpu(ValueSetting):
    """The device that counts where there is to be but one: a number in the list of devices."""

    def asked(self, arguments: Sequence[Argument]) -> Wish | None:
        """The name that the number means."""
        wish = super().asked(arguments)
        listed = [one for one in arguments if MAIN_DEVICE.is_set_by(one)]
        if wish is None or not listed or not str(wish.value).isdecimal():
            return wish
        names = dict(enumerate(listed[-1].value.split(",")))
        return Wish(value=names.get(int(wish.value), wish.value), argument=wish.argument)


SETTINGS: Final = (
    ValueSetting(
        name="devices",
        families=(MAIN_DEVICE,),
        asks=_asks_devices,
        readings=(_main(_used), _main(_holding, "buffers")),
    ),
    ValueSetting(
        name="gpu_layers",
        families=(GPU_LAYERS,),
        asks=_asks_layers,
        readings=(_main(_offloaded), _main(_assigned, "layers")),
        grants=_grants_layers,
    ),
    ValueSetting(
        name="split_mode",
        families=(SPLIT_MODE,),
        asks=word,
        readings=(_main(_split),),
        grants=_grants_mode,
    ),
    ValueSetting(
        name="tensor_split",
        families=(TENSOR_SPLIT,),
        asks=_asks_split,
        readings=(_main(_shares, "layers"),),
        grants=_grants_split,
    ),
    _MainGpu(
        name="main_gpu",
        families=(MAIN_GPU,),
        asks=_asks_main,
        readings=(_main(_only_one),),
        grants=_grants_main,
    ),
    ValueSetting(
        name="kv_placement",
        families=(KV_OFFLOAD,),
        asks=_asks_kept,
        readings=(_main(_kept),),
        grants=_grants_kept,
    ),
    ValueSetting(
        name="fit_outcome",
        families=(FIT,),
        asks=lambda argument: {True: ANYTHING, False: NOTHING, None: None}[switch(FIT)(argument)],
        readings=(Reading(witness="startup-log", read=_outcome),),
    ),
    ValueSetting(
        name="draft_devices",
        families=(DRAFT_DEVICE,),
        asks=_asks_devices,
        readings=(_draft(_used), _draft(_holding, "buffers")),
    ),
    ValueSetting(
        name="draft_gpu_layers",
        families=(DRAFT_GPU_LAYERS,),
        asks=_asks_layers,
        readings=(_draft(_offloaded), _draft(_assigned, "layers")),
        grants=_grants_layers,
    ),
)
