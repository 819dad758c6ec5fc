"""Historical variants: each is one bug that an application shipped, and nothing else.

``A`` and ``B`` are in the reload guards, ``C``, ``D``, ``E`` and ``inverted`` in the flags.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

from harness.errors import UsageError
from harness.model import Flavour, LoadRequest, Mode
from harness.subjects.reference.flags import NGRAM_MIN, Group, SpeculativeFlags
from harness.subjects.reference.generator import ReferenceSubject
from harness.subjects.reference.guards import LENGTH_MODES, Guards, LoadedState
from harness.subjects.reference.modes import ALIASES, requested_mode
from harness.subjects.reference.resolver import Resolution, Resolver


@dataclass(frozen=True, kw_only=True)
class RouteLooksAtTheRequestedMode(Guards):
    """Bug A: the route compares the length only where MTP was *requested*.

    A session that auto resolved to MTP keeps the stale length.
    """

    def route_matches(self, request: LoadRequest, loaded: LoadedState) -> bool:
        """The route's guard."""
        if not self._same_settings(request, loaded):
            return False
        if requested_mode(request, self.aliases) not in LENGTH_MODES:
            return True
        return self._same_length(request, loaded)


@dataclass(frozen=True, kw_only=True)
class NotGivenIsAWildcard(Guards):
    """Bug B: both guards take "not given" for "any".

    An explicit length can never be cleared to the default, nor set where the default runs.
    """

    def _same_length(self, request: LoadRequest, loaded: LoadedState) -> bool:
        given = (request.draft_n_max, loaded.request.draft_n_max)
        return None in given or super()._same_length(request, loaded)


class ChainRepeatsTheLength(SpeculativeFlags):
    """Bug C: chained on a legacy build, ngram-mod's lengths follow MTP's; the last, 64, wins."""

    def _ngram_settings(self, *, chained: bool) -> list[Group]:  # noqa: ARG002
        return super()._ngram_settings(chained=False)


class ChainKeepsTheMinimum(SpeculativeFlags):
    """The inverted fix of C: it drops ``--draft-max 64`` and leaves ``--draft-min 48``."""

    def _ngram_settings(self, *, chained: bool) -> list[Group]:
        legacy_chain = chained and self._capabilities.flavour is Flavour.LEGACY
        settings = super()._ngram_settings(chained=chained)
        return [*settings, ("--draft-min", str(NGRAM_MIN))] if legacy_chain else settings


class ForcedNgramUnasked(Resolver):
    """Bug D: a request for ngram does not ask whether the build has it ..."""

    def resolve(self, requested: Mode) -> Resolution:
        """Ask nothing of a build where ngram is requested."""
        if requested is Mode.NGRAM:
            return Resolution(mode=Mode.NGRAM)
        return super().resolve(requested)


class NgramInAnyCase(SpeculativeFlags):
    """... and the flags are written in any case, so the server refuses to start."""

    def ngram(self) -> tuple[Group, ...]:
        """ngram-mod, offered or not."""
        return (self._type("ngram-mod"), *self._ngram_settings(chained=False))


NONE_IS_UNKNOWN: Final[Mapping[str, Mode]] = MappingProxyType(
    {name: mode for name, mode in ALIASES.items() if name not in ("none", "disable")}
)
"""Bug E: ``none`` and ``disable`` are not known as modes, fall through to auto, and turn MTP on."""


VARIANTS: Final[Mapping[str, Callable[[str], ReferenceSubject]]] = MappingProxyType(
    {
        "": ReferenceSubject,
        "@A": partial(ReferenceSubject, guards=RouteLooksAtTheRequestedMode()),
        "@B": partial(ReferenceSubject, guards=NotGivenIsAWildcard()),
        "@C": partial(ReferenceSubject, flags=ChainRepeatsTheLength),
        "@D": partial(ReferenceSubject, resolver=ForcedNgramUnasked, flags=NgramInAnyCase),
        "@E": partial(
            ReferenceSubject, aliases=NONE_IS_UNKNOWN, guards=Guards(aliases=NONE_IS_UNKNOWN)
        ),
        "@inverted": partial(ReferenceSubject, flags=ChainKeepsTheMinimum),
    }
)
"""What a spec names after ``reference``; each is called with the whole spec."""


def variant(spec_rest: str) -> ReferenceSubject:
    """The subject that a spec names after ``reference``.

    Raises:
        UsageError: No such variant.
    """
    if spec_rest not in VARIANTS:
        known = ", ".join(f"reference{rest}" for rest in VARIANTS)
        raise UsageError(f"subject reference{spec_rest}: no such variant; there are {known}")
    return VARIANTS[spec_rest](f"reference{spec_rest}")
