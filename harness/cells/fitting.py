"""A command line from another host, fitted to this one: its files, its port, its devices.

What stands for something that this host has not is replaced by something that the build validates
in the same way, or left out where there is nothing of the kind; both are named. Everything else
stays as it is, in its order.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath, PureWindowsPath
from typing import Final

from harness.cells.presets import (
    CONFIG_FILE,
    CONFIG_PLACE,
    HOST_KEYS,
    fitted_preset,
    preset_keys,
    tiny_folder,
    user_config,
)
from harness.config.paths import exists, is_dir, is_file
from harness.flags import families
from harness.flags.arguments import Argument, read_arguments, read_variables, value_count
from harness.flags.capabilities import Capabilities
from harness.gguf_models.companions import fits_another_model
from harness.model import (
    WHY_MODEL,
    WHY_PORT,
    LaunchPlan,
    Provenance,
    Remark,
    Replacement,
    TinyModel,
)
from harness.processes.loopback import LOOPBACK, WHY, own_address
from harness.server.devices import is_cuda
from harness.server.ports import LAST_PORT

WHY_PLACE: Final = "the harness writes nothing outside its own directories"
_OWN_PLACE: Final = "."
_OWN_LOG: Final = "server.log"
_OWN_PRESET: Final = "preset.ini"
_OWN_MODELS: Final = "models"
_SCALE: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)")
_DROPPED: Final = frozenset({"--hf-file", "--hf-token"})
_PLACEHOLDER: Final = re.compile(r"\$[A-Za-z_]\w*|\$\{[A-Za-z_][^}]*\}?|\{\{.*?\}\}|\{[a-z_]+\}")
_MODEL_PLACEHOLDERS: Final = ("{model}", "{{model_path}}", "{{model}}", "${MODEL}")
_DRAFT_PLACEHOLDERS: Final = ("{draft_model}", "{{draft_model_path}}", "${DRAFT_MODEL}")
_PORT_PLACEHOLDERS: Final = ("{port}", "{{port}}", "{{worker_port}}", "${PORT}", "$PORT")
_HOST_PLACEHOLDERS: Final = ("{host}", "{{host}}", "{{worker_ip}}", "${HOST}")
_PORT_READ: Final = re.compile(r"\d+")
"""The number that a word begins with is all that builds read of it."""
_LAST_INTEGER: Final = 2**31 - 1
_OTHER_DRAFTERS: Final = frozenset({"draft-eagle3", "draft-dflash", "draft-dspark", "eagle3"})
_OF_GPUS: Final = frozenset({"row", "tensor", "none"})
"""Builds before b10435 refuse ``none`` as well where there is no GPU: no main one can be had."""
_NO_DEVICE: Final = frozenset({"none", "auto", "", "cpu", "CPU"})
"""Words that name a device on no host; the build says what it thinks of them."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A plan for this host.

    Attributes:
        plan: What is started.
        replaced: What of it was put in place of something.
        left_out: What it was started without, because nothing on this host can stand for it.
        silent: What the build would do otherwise than it was written.
    """

    plan: LaunchPlan
    replaced: tuple[Replacement, ...] = ()
    left_out: tuple[Remark, ...] = ()
    silent: tuple[Remark, ...] = ()


@dataclass(kw_only=True)
class _Fitting:
    """What is known while the words are gone through."""

    model: TinyModel
    port: int
    texts: Mapping[str, str | Path]
    """Text of files that the command line names, where it is not what lies here."""
    has_card: bool = False
    replaced: list[Replacement] = field(default_factory=list)
    left_out: list[Remark] = field(default_factory=list)
    silent: list[Remark] = field(default_factory=list)
    files: dict[str, str | Path] = field(default_factory=dict)
    routes: bool = False
    preset: str = ""
    names_model: bool = False
    names_remote: bool = False
    names_port: bool = False

    def filled(self, word: str) -> str:
        """A word with what generators of command lines put in place of the host's own."""
        draft = self.model.draft_path
        own = {
            **dict.fromkeys(_MODEL_PLACEHOLDERS, str(self.model.path)),
            **(dict.fromkeys(_DRAFT_PLACEHOLDERS, str(draft)) if draft else {}),
            **dict.fromkeys(_PORT_PLACEHOLDERS, str(self.port)),
            **dict.fromkeys(_HOST_PLACEHOLDERS, LOOPBACK),
            "{{model_name}}": self.model.name,
        }
        # The longest first: {{port}} holds {port}.
        for placeholder, value in sorted(own.items(), key=lambda item: -len(item[0])):
            word = word.replace(placeholder, value)
        return word

    def values_for(self, argument: Argument) -> tuple[str, ...] | None:
        """The values that are handed over; None where the argument is left out."""
        option = argument.option
        if option is None or option.removed or len(argument.values) < value_count(option):
            # The build says what is wrong with it, but for what it was compiled without.
            return self._of_host(argument) if families.RPC.is_set_by(argument) else argument.values
        if families.MODEL.is_set_by(argument) or families.REMOTE_MODEL.is_set_by(argument):
            return self._model(argument)
        if any(
            one.is_set_by(argument) for one in (families.DRAFT_MODEL, families.REMOTE_DRAFT_MODEL)
        ):
            return self._draft(argument)
        if families.PORT.is_set_by(argument):
            return self._port(argument)
        return None if not _DROPPED.isdisjoint(option.spellings) else self._of_host(argument)

    def _instead(self, argument: Argument, value: str, why: str) -> tuple[str, ...]:
        if argument.value != value:
            given, used = " ".join(argument.words), f"{argument.flag} {value}"
            self.replaced.append(Replacement(given=given, used=used, why=why))
        return (value, *argument.values[1:])

    def _model(self, argument: Argument) -> tuple[str, ...] | None:
        remote = families.REMOTE_MODEL.is_set_by(argument)
        if _is_no_repository(argument):
            self.names_model = True
            return argument.values  # The build refuses it before it asks a hub.
        if self.names_remote or (remote and self.names_model):
            return None  # -m beside -hf would become -m twice, of which builds warn.
        self.names_model, self.names_remote = True, remote
        return self._instead(argument, str(self.model.path), WHY_MODEL)

    def _draft(self, argument: Argument) -> tuple[str, ...] | None:
        if self.model.draft_path is not None:
            return self._instead(argument, str(self.model.draft_path), WHY_MODEL)
        why = f"no draft model of the harness fits {self.model.name}"
        self.left_out.append(Remark(word=argument.flag, why=why))
        return None

    def _port(self, argument: Argument) -> tuple[str, ...]:
        self.names_port = True
        text = argument.value
        read = _PORT_READ.match(text)
        if read is None and not _PLACEHOLDER.search(text):
            return argument.values
        number = int(read[0]) if read else 0
        if number > _LAST_INTEGER:
            return argument.values
        if (read and read[0] != text) or number > LAST_PORT:
            heard = number % (LAST_PORT + 1)
            self.silent.append(
                Remark(
                    word=argument.flag,
                    why=f"{argument.flag} {text}: the server listens on {heard}",
                )
            )
        return self._instead(argument, str(self.port), WHY_PORT)

    def _of_host(self, argument: Argument) -> tuple[str, ...] | None:
        if families.PRESETS.is_set_by(argument):
            return self._models_of(argument)
        held = argument.value in self.texts
        why = None if held else _lacking(argument, has_card=self.has_card)
        if why is not None:
            self.left_out.append(Remark(word=argument.flag, why=why))
            return None
        if families.WRITTEN.is_set_by(argument):
            return self._instead(argument, _OWN_LOG, WHY_PLACE)
        if families.PLACES.is_set_by(argument) and (
            is_elsewhere(argument.value) or is_dir(Path(argument.value))
        ):
            return self._instead(argument, _OWN_PLACE, WHY_PLACE)
        if families.FILES.is_set_by(argument):
            return (self._file(argument.value), *argument.values[1:])
        return argument.values

    def _file(self, value: str) -> str:
        if value not in self.texts:
            return _absolute(value)  # The server's working directory is not the user's.
        name = f"{len(self.files)}-{PurePath(value).name}"
        self.files[name] = self.texts[value]
        return name

    def _models_of(self, argument: Argument) -> tuple[str, ...]:
        """A preset or a folder of models, with tiny ones in their place; a router has no -m."""
        self.routes = True
        path = Path(argument.value)
        text = self.texts.get(argument.value)
        if isinstance(text, str) or is_file(path):
            read = text if isinstance(text, str) else path.read_text("utf-8", errors="replace")
            self.preset = read
            self.files[_OWN_PRESET] = fitted_preset(self.preset, self.model)
            return (_OWN_PRESET,)
        if is_dir(path):
            self.files |= tiny_folder(path, self.model, _OWN_MODELS)
            return (_OWN_MODELS,)
        return argument.values


def _lacking(argument: Argument, *, has_card: bool) -> str | None:
    """What this host has not that an argument needs; None where it has all."""
    why = None
    unknown = next(filter(None, map(_PLACEHOLDER.search, argument.values)), None)
    if unknown is not None and not families.TEMPLATES.is_set_by(argument):
        why = f"nothing tells what {unknown[0]} stands for"
    elif families.DEVICE.is_set_by(argument) and not (
        argument.value in _NO_DEVICE or (has_card and _names_cards(argument.value))
    ):
        why = f"{argument.value} is not on this host"
    elif families.RPC.is_set_by(argument):
        why = "the builds here are compiled without RPC"
    elif families.SPEC_TYPE.is_set_by(argument) and _needs_other_drafter(argument):
        why = f"the harness has no draft model for {argument.value}"
    elif families.SPLIT_MODE.is_set_by(argument) and _splits(argument) and not has_card:
        why = "a split over GPUs needs GPUs"
    elif families.FILES.is_set_by(argument) and all(map(_SCALE.match, argument.values[1:])):
        why = next(filter(None, (_unfit(path) for path, _ in _files(argument.value))), None)
    return why


def _is_no_repository(argument: Argument) -> bool:
    """Whether it names a model of a hub as no hub does; builds know by the one slash."""
    return (
        families.HUB_MODEL.is_set_by(argument)
        and argument.value.partition(":")[0].count("/") != 1
        and not _PLACEHOLDER.search(argument.value)
    )


def _unfit(path: str) -> str | None:
    """Why a file cannot be read beside a tiny model; None where it can."""
    if is_elsewhere(path):
        return f"{path} is not on this host"
    if is_file(Path(path)) and fits_another_model(Path(path)):
        return f"{path} fits another model than the tiny one that the harness loads"
    return None


def _files(value: str) -> Iterator[tuple[str, str]]:
    """Each file of a value, and what follows its name: a comma separates them, a colon a scale."""
    if exists(Path(value)):
        yield value, ""
        return
    for word in value.split(","):
        path, colon, scale = word.rpartition(":")
        scaled = bool(colon) and _SCALE.fullmatch(scale) is not None
        yield (path, colon + scale) if scaled else (word, "")


def _absolute(value: str) -> str:
    return ",".join(
        (str(Path(path).absolute()) if exists(Path(path)) else path) + rest
        for path, rest in _files(value)
    )


def _needs_other_drafter(argument: Argument) -> bool:
    """Whether it asks for a type that the build knows and no tiny draft model can serve."""
    offered = argument.option.choices if argument.option else ()
    return argument.value in _OTHER_DRAFTERS & set(offered)


def _names_cards(value: str) -> bool:
    """Whether it names NVIDIA cards alone; one that is not there is refused by the build."""
    return all(map(is_cuda, value.split(",")))


def _splits(argument: Argument) -> bool:
    """Whether it asks for a split over GPUs that the build knows."""
    option = argument.option
    known = f"{option.choices} {option.placeholder}" if option else ""
    return argument.value in _OF_GPUS & set(re.findall(r"\w+", known))


def is_elsewhere(path: str) -> bool:
    """Whether a path is absolute and leads to nothing here: it belongs to another host."""
    absolute = path.startswith(("/", "~", "\\")) or PureWindowsPath(path).is_absolute()
    return absolute and not exists(Path(path))


def fit(
    plan: LaunchPlan,
    capabilities: Capabilities,
    model: TinyModel,
    port: int,
    devices: Sequence[str] = (),
) -> Fitted:
    """A plan with what this host has in place of what another had.

    Args:
        plan: As it was written.
        capabilities: Of the build that it is for.
        model: Stands for every model that it names.
        port: Stands for its port.
        devices: What the build's server lists on this host.
    """
    has_card = any(is_cuda(device.partition(":")[0]) for device in devices)
    fitting = _Fitting(model=model, port=port, texts=plan.files, has_card=has_card)
    env: dict[str, str] = {**plan.env}
    for argument in read_variables(plan.env, capabilities):
        values = fitting.values_for(argument)
        if values is None:
            del env[argument.flag]
        else:
            env[argument.flag] = values[0]
    remote = [name for name in families.REMOTE_MODEL.variables if env.pop(name, None) is not None]
    if remote:
        env[families.MODEL.variables[0]] = str(model.path)
    words: list[str] = []
    given = tuple(map(fitting.filled, plan.argv))
    for argument in read_arguments(given, capabilities):
        values = fitting.values_for(argument)
        if values is not None:
            words += (_flag(argument), *values)
    # The harness's own words stand in front: a last flag without its value would take them.
    if not fitting.names_port:
        words = [families.PORT.flags[0], str(port), *words]
    if not (fitting.names_model or fitting.routes) and plan.provenance is Provenance.FRAGMENT:
        words = ["-m", str(model.path), *words]
    config = user_config()
    if config is not None:
        text = config.read_text(encoding="utf-8", errors="replace")
        fitting.files[CONFIG_PLACE] = fitted_preset(text, model)
        fitting.replaced += _addresses(text)
    return Fitted(
        plan=replace(plan, argv=tuple(words), env=env, files=fitting.files),
        replaced=tuple(fitting.replaced),
        left_out=tuple(fitting.left_out),
        silent=(*fitting.silent, *_outdone(fitting.preset, plan, capabilities)),
    )


def _addresses(text: str) -> Iterator[Replacement]:
    """What stands in place of the addresses of a configuration file."""
    for key in preset_keys(text):
        own = own_address(key.value)
        if key.key in HOST_KEYS and own != key.value:
            where = f"in [{key.section}] of {CONFIG_FILE}"
            given = f"{key.key} = {key.value} {where}"
            yield Replacement(given=given, used=f"{key.key} = {own}", why=WHY)


def _outdone(preset: str, plan: LaunchPlan, capabilities: Capabilities) -> Iterator[Remark]:
    """Keys of a preset that the router's own arguments win over."""
    own = {
        argument.option.spellings: argument
        for argument in read_arguments(plan.argv, capabilities)
        if argument.option
    }
    for key in preset_keys(preset):
        option = capabilities.option(f"--{key.key}") or capabilities.option(f"-{key.key}")
        argument = own.get(option.spellings) if option else None
        if argument is not None and argument.value != key.value:
            why = f"{key.key} = {key.value} in [{key.section}]: {' '.join(argument.words)} wins"
            yield Remark(word=key.key, why=why)


def _flag(argument: Argument) -> str:
    """The flag under which a file of this host is handed over."""
    if argument.option is None or argument.option.removed or not argument.values:
        return argument.flag
    if families.REMOTE_MODEL.is_set_by(argument) and not _is_no_repository(argument):
        return "-m"
    return "-md" if families.REMOTE_DRAFT_MODEL.is_set_by(argument) else argument.flag
