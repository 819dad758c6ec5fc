"""Mutants of the reload guards: what a guarded session runs must be what a fresh load would."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Final

from harness.emulation.description import recorded_help
from harness.flags.capabilities import parse_help
from harness.model import HostProfile, LaunchPlan, LaunchTarget, LoadRequest, Mode, TinyModel
from harness.subjects.reference.generator import ReferenceSubject
from harness.subjects.reference.guards import Guards, LoadedState
from harness.subjects.reference.model_facts import ModelFacts
from harness.subjects.reference.modes import ALIASES, requested_mode
from harness.subjects.reference.variants import (
    NotGivenIsAWildcard,
    RouteLooksAtTheRequestedMode,
)
from tests.mutants.panel import Kill

GUARDED_RELOAD: Final = "guarded-reload"
NEEDLESS_RELOAD: Final = "needless-reload"

_BASE: Final = LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=5)
_REQUESTS: Final = (
    _BASE,
    *(
        replace(_BASE, mode=mode, draft_n_max=length)
        for mode in ("mtp", "auto", "ngram", "off", "draft", "mtp+ngram", "MTP", "none")
        for length in (None, 3, 8)
    ),
    replace(_BASE, model="tiny-llama"),
    replace(_BASE, context_length=1024),
    replace(_BASE, cache_type="f16"),
    replace(_BASE, chat_template="chatml"),
    replace(_BASE, extra_args=("--metrics",)),
)


def kill_guards(guards: Guards) -> Kill | None:
    """The first pair of requests that the guards get wrong."""
    plans = {request: _plan(request) for request in _REQUESTS}
    for before, after in product(_REQUESTS, repeat=2):
        loaded = LoadedState(request=before, resolved_mode=plans[before].resolved_mode)
        route = guards.route_matches(after, loaded)
        backend = guards.backend_matches(after, loaded)
        same = plans[before].argv == plans[after].argv and _resolves_alike(before, after)
        pair = f"{_told(before)} then {_told(after)}"
        if (route or backend) and plans[before].argv != plans[after].argv:
            return Kill(check=GUARDED_RELOAD, cell=pair)
        if same and not (route and backend) and _length_is_the_same(before, after):
            return Kill(check=NEEDLESS_RELOAD, cell=pair)
    return None


def _plan(request: LoadRequest) -> LaunchPlan:
    model = TinyModel(
        name=request.model,
        path=Path(request.model),
        has_mtp=True,
        parameters=8_000_000_000,
        draft_path=Path("draft"),
    )
    return ReferenceSubject().plan_for(
        request,
        LaunchTarget(binary=Path("llama-server"), model=model, port=1, env={}),
        capabilities=parse_help(recorded_help("b9246")),
        host=HostProfile(),
        model=ModelFacts(has_mtp=True, parameters=8_000_000_000),
    )


def _resolves_alike(one: LoadRequest, other: LoadRequest) -> bool:
    return requested_mode(one) == requested_mode(other)


def _length_is_the_same(one: LoadRequest, other: LoadRequest) -> bool:
    """A default that happens to equal a given length is still another request."""
    return (one.draft_n_max is None) == (other.draft_n_max is None)


def _told(request: LoadRequest) -> str:
    length = "default" if request.draft_n_max is None else request.draft_n_max
    return f"{request.model} {request.mode} {length}"


@dataclass(frozen=True, kw_only=True)
class _Forgetful(Guards):
    """Does not compare one setting."""

    setting: str

    def _same_settings(self, request: LoadRequest, loaded: LoadedState) -> bool:
        forgotten = {self.setting: getattr(loaded.request, self.setting)}
        return super()._same_settings(replace(request, **forgotten), loaded)


@dataclass(frozen=True, kw_only=True)
class _Length(Guards):
    """Compares the length in other modes than it should."""

    modes: frozenset[Mode]

    def _same_length(self, request: LoadRequest, loaded: LoadedState) -> bool:
        if loaded.resolved_mode not in self.modes:
            return True
        return request.draft_n_max == loaded.request.draft_n_max


class _Never(Guards):
    """Reloads every time."""

    def backend_matches(self, request: LoadRequest, loaded: LoadedState) -> bool:  # noqa: ARG002
        return False


class _Raw(Guards):
    """Compares modes as they were written."""

    def _same_settings(self, request: LoadRequest, loaded: LoadedState) -> bool:
        return request.mode == loaded.request.mode and super()._same_settings(request, loaded)


_LENGTHS: Final = frozenset({Mode.MTP, Mode.MTP_NGRAM, Mode.DRAFT})

GUARD_MUTANTS: Final[Mapping[str, Guards]] = MappingProxyType(
    {
        "bug A": RouteLooksAtTheRequestedMode(),
        "bug B": NotGivenIsAWildcard(),
        "bug E in the guards": Guards(
            aliases={name: mode for name, mode in ALIASES.items() if name != "none"}
        ),
        **{
            f"{setting} not compared": _Forgetful(setting=setting)
            for setting in (
                "model",
                "mode",
                "context_length",
                "cache_type",
                "chat_template",
                "extra_args",
            )
        },
        **{
            f"length not compared in {mode}": _Length(modes=_LENGTHS - {mode})
            for mode in sorted(_LENGTHS)
        },
        "length always compared": _Length(modes=frozenset(Mode)),
        "modes compared as written": _Raw(),
        "always reloads": _Never(),
    }
)
