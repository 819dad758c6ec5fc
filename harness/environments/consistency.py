"""Checks that all layers of a spoof tell the same, and that none is left when it is gone."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import msgspec

from harness.builds import AcquiredBuild
from harness.environments.environment import environment
from harness.environments.machine import Card, SpoofedMachine
from harness.environments.server_layer import ServerLayer, server_layer
from harness.environments.visibility import visible_indices
from harness.errors import EnvironmentUnavailableError
from harness.processes.running import ask
from harness.processes.variables import joined
from harness.server.devices import ListedDevice, is_cuda, list_devices

_TIMEOUT_S = 120
_COMPARED = ("uuid", "name", "memory_total_mib", "memory_free_mib", "compute_capability")
_BY_INDEX = ("nvidia-smi", "nvml", "nvidia-ml-py")
"""Layers that list cards by index; CUDA and torch list them in the order of the setting."""

_LISTED = ("name", "memory_total_mib", "memory_free_mib")
"""What a server tells of each card."""

_AS_CUDA = ("cuda-driver", "torch")
"""Layers that count memory as CUDA does: without the driver's share, and inside a context."""


@dataclass(frozen=True, kw_only=True)
class LayerAnswer:
    """What one layer said.

    Attributes:
        layer: ``nvidia-smi``, ``nvml``, ``nvidia-ml-py``, ``cuda-driver``, ``torch``, or the
            server of a build by its id.
        cards: The cards it sees; None where the layer is absent or failed.
        absent: Why it is absent.
        error: How it failed.
    """

    layer: str
    cards: tuple[Mapping[str, object], ...] | None = None
    absent: str | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class ConsistencyCheck:
    """One layer under one setting.

    Attributes:
        setting: ``CUDA_VISIBLE_DEVICES``; None where it is not set.
        layer: The layer.
        ok: Whether it saw what it had to; None where the layer is absent.
        detail: What it saw.
    """

    setting: str | None
    layer: str
    ok: bool | None
    detail: str


def ask_layers(env: Mapping[str, str], *, python: str = sys.executable) -> tuple[LayerAnswer, ...]:
    """Ask every layer from a program of its own inside ``env``.

    Args:
        env: The whole environment.
        python: The interpreter; what it has installed decides about nvidia-ml-py and torch.

    Raises:
        EnvironmentUnavailableError: The asking program could not be run.
    """
    return msgspec.json.decode(_ask(env, python, []), type=tuple[LayerAnswer, ...])


def driver_attributes(
    env: Mapping[str, str], wanted: Sequence[int], *, python: str = sys.executable
) -> list[Mapping[int, int]]:
    """Return attributes of every card that the CUDA driver library in ``env`` sees.

    Args:
        env: The whole environment.
        wanted: Numbers of ``cuDeviceGetAttribute``.
        python: The interpreter that loads the library.

    Raises:
        EnvironmentUnavailableError: The asking program could not be run.
    """
    said = _ask(env, python, [str(number) for number in wanted])
    return msgspec.json.decode(said, type=list[Mapping[int, int]])


def _ask(env: Mapping[str, str], python: str, arguments: Sequence[str]) -> str:
    with resources.as_file(resources.files("harness.environments") / "asking.py") as program:
        try:
            done = ask([python, program, *arguments], env=env, timeout_s=_TIMEOUT_S)
        except OSError as error:
            raise EnvironmentUnavailableError(f"cannot ask the layers: {error}") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EnvironmentUnavailableError(f"cannot ask the layers: {python} says {last}")
    return done.stdout


def visibility_settings(machine: SpoofedMachine) -> tuple[str | None, ...]:
    """Return the forms of ``CUDA_VISIBLE_DEVICES`` that a machine of these cards can tell apart."""
    first, last = machine.cards[0].uuid, machine.cards[-1].uuid
    beyond = str(len(machine.cards))
    settings: list[str | None] = [None, "0", "0,", "", "-1", beyond, f"0,{beyond},0", "0,0", "0 ,x"]
    settings += [first, f"{first[:9]},", f"GPU-ffffffff,{first}", f"{last},{first[:12]}"]
    if len(machine.cards) > 1:
        settings += ["1", "1,0", "0,1", "0,-1,1", "1,none,0", "1,1,0", "GPU-"]
    return tuple(dict.fromkeys(settings))


def check_consistency(
    name: str,
    *,
    home: Path,
    machine: SpoofedMachine | None = None,
    settings: Sequence[str | None] | None = None,
    python: str = sys.executable,
    cache: Path | None = None,
    builds: Sequence[AcquiredBuild] = (),
) -> Iterator[ConsistencyCheck]:
    """Ask all layers of a spoof under each visibility setting, then with the spoof off.

    Every layer must see exactly the cards that the CUDA driver's reading of the setting leaves,
    each with the same name, memory, uuid and capability. With the spoof off none may see any.

    Args:
        name: A ``cuda-spoof`` environment without a failure among its variants.
        home: A directory for the environment's home.
        machine: The machine to pretend instead of the name's profile.
        settings: Values of ``CUDA_VISIBLE_DEVICES``; those of :func:`visibility_settings`.
        python: The interpreter that asks.
        cache: Where compiled libraries are kept; the store's root if not given.
        builds: Builds whose servers are layers as well.

    Raises:
        EnvironmentUnavailableError: The layers cannot be asked.
    """
    with environment(name, home=home, machine=machine, cache=cache) as opened:
        assert opened.spoof is not None
        pretended = opened.spoof.machine
        servers = [
            (build, server_layer(opened.spoof, build, joined(opened.variables, build.env), cache))
            for build in builds
        ]
        for setting in settings or visibility_settings(pretended):
            env = dict(opened.variables)
            if setting is not None:
                env["CUDA_VISIBLE_DEVICES"] = setting
            uuids = [card.uuid for card in pretended.cards]
            order = visible_indices(setting, uuids)
            cards = [pretended.cards[index] for index in order]
            for answer in ask_layers(env, python=python):
                yield _judge(setting, answer, [_expected(card, answer.layer) for card in cards])
            for build, layer in servers:
                answer = _ask_server(build, layer, env)
                yield _judge(setting, answer, list(map(_as_listed, cards)))
    with environment("cpu", home=home, cache=cache) as opened:
        for answer in ask_layers(opened.variables, python=python):
            yield _judge_off(answer)
        for build in builds:
            listed = list_devices(build.binary, joined(opened.variables, build.env))
            yield _judge_off(_answer(build, listed or ()))


def _ask_server(build: AcquiredBuild, layer: ServerLayer, env: Mapping[str, str]) -> LayerAnswer:
    """What a build's server lists; cards that are not CUDA's are no business of the spoof's."""
    name = build.build.id
    if layer.absent:
        return LayerAnswer(layer=name, absent=layer.absent)
    listed = list_devices(build.binary, joined(joined(env, build.env), layer.variables))
    if listed is None:
        return LayerAnswer(layer=name, error="its --list-devices gives no answer")
    return _answer(build, listed)


def _answer(build: AcquiredBuild, listed: Sequence[ListedDevice]) -> LayerAnswer:
    name = build.build.id
    cards = [device for device in listed if is_cuda(device.name)]
    if [device.name for device in cards] != [f"CUDA{number}" for number in range(len(cards))]:
        return LayerAnswer(layer=name, error=f"it names its cards {', '.join(map(str, cards))}")
    return LayerAnswer(
        layer=name,
        cards=tuple(
            dict(zip(_LISTED, (one.description, one.total_mib, one.free_mib), strict=True))
            for one in cards
        ),
    )


def _as_listed(card: Card) -> dict[str, object]:
    facts = (card.name, card.cuda_total_mib, card.cuda_free_mib)
    return dict(zip(_LISTED, facts, strict=True))


def _expected(card: Card, layer: str) -> dict[str, object]:
    facts = {name: getattr(card, name) for name in _COMPARED}
    if layer in _AS_CUDA:
        facts["memory_total_mib"] = card.cuda_total_mib
        facts["memory_free_mib"] = card.cuda_free_mib
    return facts


def _judge(
    setting: str | None, answer: LayerAnswer, expected: Sequence[Mapping[str, object]]
) -> ConsistencyCheck:
    if answer.cards is None:
        ok = None if answer.error is None else False
        detail = answer.error or f"absent: {answer.absent}"
        return ConsistencyCheck(setting=setting, layer=answer.layer, ok=ok, detail=detail)
    seen, wanted = list(answer.cards), list(expected)
    if answer.layer in _BY_INDEX:
        seen.sort(key=lambda card: str(card["uuid"]))
        wanted.sort(key=lambda card: str(card["uuid"]))
    ok = seen == wanted
    detail = _names(seen) if ok else f"{_facts(seen)} instead of {_facts(wanted)}"
    return ConsistencyCheck(setting=setting, layer=answer.layer, ok=ok, detail=detail)


def _judge_off(answer: LayerAnswer) -> ConsistencyCheck:
    if answer.error is not None:
        ok, detail = False, answer.error
    elif answer.cards:
        ok, detail = False, f"sees {_names(answer.cards)} without the spoof"
    else:
        ok, detail = True, "sees nothing without the spoof"
    return ConsistencyCheck(setting="spoof off", layer=answer.layer, ok=ok, detail=detail)


def _names(cards: Sequence[Mapping[str, object]]) -> str:
    return ", ".join(str(card["name"]) for card in cards) or "no card"


def _facts(cards: Sequence[Mapping[str, object]]) -> str:
    return "; ".join(" ".join(str(value) for value in card.values()) for card in cards) or "no card"
