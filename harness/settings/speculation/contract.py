"""What a load request must mean on a build with given capabilities: the contract.

Independent of every subject: the reference subject is judged by it like any other. The rules are
the table in ``docs/verdicts.md``, one function per row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, assert_never

from harness.flags.capabilities import Capabilities
from harness.model import HostProfile, LoadRequest, Mode, TinyModel
from harness.settings.base import Situation

DRAFT_SIMPLE: Final = "draft-simple"
DRAFT_MTP: Final = "draft-mtp"
NGRAM_MOD: Final = "ngram-mod"
NGRAM_SIMPLE: Final = "ngram-simple"

DEFAULT_LENGTH_WITH_GPU: Final = 2
DEFAULT_LENGTH_WITHOUT_GPU: Final = 3
NGRAM_MOD_N_MIN: Final = 48
NGRAM_MOD_N_MAX: Final = 64
SMALL_MODEL_PARAMETERS: Final = 3_000_000_000
"""Under this an MTP head costs more than it gives."""

_ALIASES: Final[Mapping[str, Mode]] = {
    "auto": Mode.AUTO,
    "default": Mode.AUTO,
    "mtp": Mode.MTP,
    "draft-mtp": Mode.MTP,
    "ngram": Mode.NGRAM,
    "ngram-mod": Mode.NGRAM,
    "mtp+ngram": Mode.MTP_NGRAM,
    "ngram-simple": Mode.NGRAM_SIMPLE,
    "draft": Mode.DRAFT,
    "draft-simple": Mode.DRAFT,
    "off": Mode.OFF,
    "none": Mode.OFF,
    "disable": Mode.OFF,
    "disabled": Mode.OFF,
}
SPECULATIVE_TYPE_FLAG: Final = "--spec-type"


@dataclass(frozen=True, kw_only=True)
class ExpectedDraft:
    """What must hold of one implementation; None where the contract leaves it open."""

    n_max: int | None = None
    n_min: int | None = None


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What must be effective.

    Attributes:
        implementations: These must be on.
        exactly: Nothing else may be on, and two witnesses must support each.
        shortfall: What of the request cannot be had here, None when all of it can. The plan
            must then say why, and the cell is ``degraded`` at best.
        user_owns_speculation: The extra arguments set ``--spec-type``; the subject must add no
            speculative flag to them.
    """

    implementations: Mapping[str, ExpectedDraft] = field(default_factory=dict)
    exactly: bool = True
    shortfall: str | None = None
    user_owns_speculation: bool = False


@dataclass(frozen=True, kw_only=True)
class _Situation(Situation):
    @property
    def length(self) -> int:
        if self.request.draft_n_max is not None:
            return self.request.draft_n_max
        return DEFAULT_LENGTH_WITH_GPU if self.host.has_gpu else DEFAULT_LENGTH_WITHOUT_GPU

    def mtp_shortfall(self) -> str | None:
        if self.capabilities.mtp_token is None:
            return "the build has no MTP"
        if not self.model.has_mtp:
            return "the model has no MTP head"
        return None

    def offers(self, speculative_type: str) -> bool:
        return speculative_type in self.capabilities.speculative_types

    @property
    def mtp(self) -> ExpectedDraft:
        return ExpectedDraft(n_max=self.length)


_NGRAM_MOD_ALONE: Final = ExpectedDraft(n_min=NGRAM_MOD_N_MIN, n_max=NGRAM_MOD_N_MAX)


def expect(
    request: LoadRequest, capabilities: Capabilities, host: HostProfile, model: TinyModel
) -> Expectation:
    """What ``request`` must mean on this build, host and model."""
    if SPECULATIVE_TYPE_FLAG in request.extra_args:
        return Expectation(implementations=_users_own(request), user_owns_speculation=True)
    situation = _Situation(request=request, capabilities=capabilities, host=host, model=model)
    return _rule(canonical_mode(request.mode))(situation)


def _rule(mode: Mode) -> Callable[[_Situation], Expectation]:
    rule: Callable[[_Situation], Expectation]
    match mode:
        case Mode.OFF:
            rule = _off
        case Mode.MTP:
            rule = _mtp
        case Mode.NGRAM:
            rule = _ngram
        case Mode.MTP_NGRAM:
            rule = _mtp_and_ngram
        case Mode.NGRAM_SIMPLE:
            rule = _ngram_simple
        case Mode.DRAFT:
            rule = _draft
        case Mode.AUTO:
            rule = _auto
        case _:
            assert_never(mode)
    return rule


def canonical_mode(mode: str | None) -> Mode:
    """The mode that a user's spelling means; whatever means nothing is ``auto``."""
    if mode is None:
        return Mode.AUTO
    words = {word.strip() for word in mode.lower().split(",") if word.strip()}
    if len(words) == 1:
        return _ALIASES.get(words.pop(), Mode.AUTO)
    meant = {_ALIASES.get(word) for word in words}
    return Mode.MTP_NGRAM if meant == {Mode.MTP, Mode.NGRAM} else Mode.AUTO


def _off(_: _Situation) -> Expectation:
    return Expectation()


def _mtp(situation: _Situation) -> Expectation:
    shortfall = situation.mtp_shortfall()
    if shortfall:
        return Expectation(shortfall=shortfall)
    return Expectation(implementations={DRAFT_MTP: situation.mtp})


def _ngram(situation: _Situation) -> Expectation:
    if not situation.offers(NGRAM_MOD):
        return Expectation(shortfall="the build has no ngram-mod")
    return Expectation(implementations={NGRAM_MOD: _NGRAM_MOD_ALONE})


def _mtp_and_ngram(situation: _Situation) -> Expectation:
    no_mtp = situation.mtp_shortfall()
    no_ngram = None if situation.offers(NGRAM_MOD) else "the build has no ngram-mod"
    no_list = None if situation.capabilities.takes_type_list else "the build takes no type list"
    shortfall = "; ".join(why for why in (no_mtp, no_ngram, no_list) if why) or None
    if no_mtp is None and no_ngram is None and no_list is None:
        chain = {DRAFT_MTP: situation.mtp, NGRAM_MOD: ExpectedDraft()}
        return Expectation(implementations=chain)
    if no_mtp is None:
        return Expectation(implementations={DRAFT_MTP: situation.mtp}, shortfall=shortfall)
    if no_ngram is None:
        return Expectation(implementations={NGRAM_MOD: _NGRAM_MOD_ALONE}, shortfall=shortfall)
    return Expectation(shortfall=shortfall)


def _ngram_simple(situation: _Situation) -> Expectation:
    if not situation.offers(NGRAM_SIMPLE):
        return Expectation(shortfall="the build has no ngram-simple")
    return Expectation(implementations={NGRAM_SIMPLE: ExpectedDraft()})


def _draft(situation: _Situation) -> Expectation:
    if situation.model.draft_path is None:
        return Expectation(shortfall="there is no draft model for this model")
    if situation.capabilities.draft_length_flag is None:
        return Expectation(shortfall="the build has no speculation in the server")
    return Expectation(implementations={DRAFT_SIMPLE: ExpectedDraft(n_max=situation.length)})


def _auto(situation: _Situation) -> Expectation:
    if situation.model.has_mtp and situation.model.parameters < SMALL_MODEL_PARAMETERS:
        small: dict[str, ExpectedDraft] = (
            {NGRAM_MOD: _NGRAM_MOD_ALONE} if situation.offers(NGRAM_MOD) else {}
        )
        return Expectation(implementations=small)
    if situation.mtp_shortfall() is None:
        chained = (
            not situation.host.has_gpu
            and situation.capabilities.takes_type_list
            and situation.offers(NGRAM_MOD)
        )
        with_ngram = {NGRAM_MOD: ExpectedDraft()} if chained else {}
        return Expectation(implementations={DRAFT_MTP: situation.mtp, **with_ngram})
    if situation.capabilities.spec_default:
        return Expectation(implementations={NGRAM_MOD: _NGRAM_MOD_ALONE})
    return Expectation()


def _users_own(request: LoadRequest) -> Mapping[str, ExpectedDraft]:
    """What the user's own ``--spec-type`` asks for; lengths are whatever the user set."""
    return {
        name: ExpectedDraft()
        for flag, value in pairwise(request.extra_args)
        if flag == SPECULATIVE_TYPE_FLAG
        for word in value.split(",")
        if (name := word.strip()) != "none"
    }
