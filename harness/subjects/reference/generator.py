"""The generator: load request and launch target to launch plan."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from harness.environments import detect_host
from harness.errors import ModelError, ProbeError, SubjectError
from harness.flags.capabilities import Capabilities, probe
from harness.model import HostProfile, LaunchPlan, LaunchTarget, LoadRequest, Mode
from harness.subjects.reference.draft_length import draft_length
from harness.subjects.reference.flags import Group, SpeculativeFlags
from harness.subjects.reference.guards import Guards
from harness.subjects.reference.model_facts import ModelFacts, model_facts
from harness.subjects.reference.modes import ALIASES, requested_mode
from harness.subjects.reference.resolver import Resolution, Resolver

if TYPE_CHECKING:
    from pathlib import Path

MANAGED: Final = ("--model", "--host", "--port")
"""Options that extra arguments may not set: the application could not reach the server."""

ALL_LAYERS: Final = "99"
UNQUANTIZED: Final = frozenset({"f32", "f16", "bf16"})


class ReferenceSubject:
    """The generator as it should be; a historical variant has another one of its parts.

    Attributes:
        name: The spec, ``reference`` or ``reference@VARIANT``.
        guards: The reload guards that go with it.
    """

    def __init__(
        self,
        name: str = "reference",
        *,
        aliases: Mapping[str, Mode] = ALIASES,
        flags: type[SpeculativeFlags] = SpeculativeFlags,
        resolver: type[Resolver] = Resolver,
        guards: Guards | None = None,
    ) -> None:
        self.name = name
        self.guards = guards or Guards()
        self._aliases = aliases
        self._flags = flags
        self._resolver = resolver
        self._probed: dict[Path, Capabilities] = {}

    def plan(self, request: LoadRequest, target: LaunchTarget) -> LaunchPlan:
        """Probe the build, ask for the host's GPUs, read the model, and write the command line.

        Raises:
            SubjectError: The draft length is out of range, an extra argument is the application's
                own, the program is no llama-server or the model file cannot be read.
        """
        try:
            if target.binary not in self._probed:
                self._probed[target.binary] = probe(target.binary, target.env)
            model = model_facts(request.model, target.model.path)
        except (ProbeError, ModelError) as error:
            raise SubjectError(f"{self.name}: {error}") from error
        return self.plan_for(
            request,
            target,
            capabilities=self._probed[target.binary],
            host=detect_host(target.env),
            model=model,
        )

    def plan_for(
        self,
        request: LoadRequest,
        target: LaunchTarget,
        *,
        capabilities: Capabilities,
        host: HostProfile,
        model: ModelFacts,
    ) -> LaunchPlan:
        """The same with everything known; starts no program and reads no file."""
        length = draft_length(request.draft_n_max, host)
        own = self._own_options(request.extra_args, capabilities)
        groups, reasons = _base(request, target, capabilities, host)
        mode = requested_mode(request, self._aliases)
        resolved: Mode | None = None
        if mode is not None:
            resolution = self._resolver(
                capabilities=capabilities,
                host=host,
                model=model,
                draft_path=target.model.draft_path,
            ).resolve(mode)
            resolved = resolution.mode
            groups += self._speculation(resolution, length, target, capabilities)
            reasons += [resolution.reason] if resolution.reason else []
        return LaunchPlan(
            argv=(
                *(word for group in groups if group[0] not in own for word in group),
                *request.extra_args,
            ),
            resolved_mode=resolved,
            reason="; ".join(reasons) or None,
        )

    def _speculation(
        self,
        resolution: Resolution,
        length: int,
        target: LaunchTarget,
        capabilities: Capabilities,
    ) -> tuple[Group, ...]:
        flags = self._flags(capabilities)
        groups: tuple[Group, ...] = ()
        match resolution.mode:
            case _ if resolution.by_default:
                groups = flags.spec_default()
            case Mode.MTP:
                groups = flags.mtp(length)
            case Mode.NGRAM:
                groups = flags.ngram()
            case Mode.MTP_NGRAM:
                groups = flags.mtp_with_ngram(length)
            case Mode.NGRAM_SIMPLE:
                groups = flags.ngram_simple()
            case Mode.DRAFT if target.model.draft_path is not None:
                groups = flags.draft_model(target.model.draft_path, length)
        return groups

    def _own_options(self, extra_args: tuple[str, ...], capabilities: Capabilities) -> set[str]:
        """Every spelling of the options that the user sets by hand; theirs replace ours."""
        options = [capabilities.option(argument) for argument in extra_args]
        own = {spelling for option in options if option for spelling in option.spellings}
        managed = next((flag for flag in MANAGED if flag in own), None)
        if managed is not None:
            raise SubjectError(
                f"{self.name}: extra arguments set {managed}, which the application sets itself; "
                "leave it out"
            )
        return own


def _base(
    request: LoadRequest, target: LaunchTarget, capabilities: Capabilities, host: HostProfile
) -> tuple[list[Group], list[str]]:
    """What is not speculative: the groups, and what of the request this build cannot do."""
    groups: list[Group] = [
        ("-m", str(target.model.path)),
        ("--host", "127.0.0.1"),
        ("--port", str(target.port)),
        ("-c", str(request.context_length)),
    ]
    reasons: list[str] = []
    if host.has_gpu and capabilities.offers("-ngl"):
        groups.append(("-ngl", ALL_LAYERS))
    if request.cache_type is not None:
        option = capabilities.option("--cache-type-k")
        if option is None or (option.choices and request.cache_type not in option.choices):
            reasons.append(
                f"started with the default KV cache: this build has no {request.cache_type}"
            )
        else:
            groups += _cache_type(request.cache_type, capabilities)
    if request.chat_template is not None:
        if capabilities.offers("--chat-template"):
            groups.append(("--chat-template", request.chat_template))
        else:
            reasons.append("started with the model's own chat template: no --chat-template here")
    return groups, reasons


def _cache_type(cache_type: str, capabilities: Capabilities) -> list[Group]:
    groups: list[Group] = [("--cache-type-k", cache_type), ("--cache-type-v", cache_type)]
    attention = capabilities.option("--flash-attn")
    if cache_type not in UNQUANTIZED and attention is not None:
        # A quantized V cache needs flash attention, off or undecided by default.
        groups.append(("--flash-attn", "on") if attention.takes_value else ("--flash-attn",))
    return groups
