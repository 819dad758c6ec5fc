"""The requested mode, the build, the host and the model to the mode that can be had."""

from dataclasses import dataclass
from pathlib import Path

from harness.flags.capabilities import Capabilities
from harness.model import HostProfile, Mode
from harness.subjects.reference.model_facts import ModelFacts


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """What was settled on.

    Attributes:
        mode: One of mtp, ngram, mtp+ngram, ngram-simple, draft, off.
        reason: Why it is less than was asked; None where it is all of it.
        by_default: ``mode`` is had by ``--spec-default``.
    """

    mode: Mode
    reason: str | None = None
    by_default: bool = False


@dataclass(frozen=True, kw_only=True)
class Resolver:
    """Resolves requested modes on one build, host and model.

    Attributes:
        capabilities: Of the build.
        host: As applications see it.
        model: The model's facts.
        draft_path: A draft model that fits the model.
    """

    capabilities: Capabilities
    host: HostProfile
    model: ModelFacts
    draft_path: Path | None

    def resolve(self, requested: Mode) -> Resolution:
        """The mode that can be had, and why it is less than was requested."""
        match requested:
            case Mode.AUTO:
                return self._auto()
            case Mode.MTP_NGRAM:
                return self._mtp_with_ngram()
            case Mode.OFF:
                return Resolution(mode=Mode.OFF)
            case Mode.MTP:
                obstacle = self.why_no_mtp()
            case Mode.NGRAM:
                obstacle = self.why_no_ngram()
            case Mode.NGRAM_SIMPLE:
                obstacle = self.why_no_type("ngram-simple")
            case Mode.DRAFT:
                obstacle = self.why_no_draft_model()
        if obstacle is None:
            return Resolution(mode=requested)
        return Resolution(mode=Mode.OFF, reason=f"started without {requested.value}: {obstacle}")

    def why_no_mtp(self) -> str | None:
        """Why MTP cannot be had; None where it can."""
        if not self.model.has_mtp:
            return "the model has no MTP head"
        if self.capabilities.mtp_token is None:
            return "this build has no MTP in --spec-type (draft-mtp, from b9180 on)"
        return self._why_no_length()

    def why_no_ngram(self) -> str | None:
        """Why ngram-mod cannot be had; None where it can."""
        return self.why_no_type("ngram-mod")

    def why_no_type(self, token: str) -> str | None:
        """Why a speculative type cannot be had; None where it can."""
        types = self.capabilities.speculative_types
        if not types:
            return f"this build has no {token}: --spec-type is missing"
        return None if token in types else f"this build has no {token} in --spec-type"

    def why_no_draft_model(self) -> str | None:
        """Why a draft model cannot be had; None where it can."""
        if self.draft_path is None:
            return "there is no draft model for this model"
        if not self.capabilities.offers("--model-draft"):
            return "this build takes no draft model"
        return self._why_no_length()

    def _why_no_length(self) -> str | None:
        if self.capabilities.draft_length_flag is None:
            return "this build has no flag for the draft length"
        return None

    def _mtp_with_ngram(self) -> Resolution:
        no_mtp, no_ngram = self.why_no_mtp(), self.why_no_ngram()
        if no_mtp and no_ngram:
            return Resolution(
                mode=Mode.OFF, reason=f"started without mtp+ngram: {no_mtp}; {no_ngram}"
            )
        if no_mtp:
            return Resolution(mode=Mode.NGRAM, reason=f"started with ngram alone: {no_mtp}")
        if no_ngram:
            return Resolution(mode=Mode.MTP, reason=f"started with MTP alone: {no_ngram}")
        if not self.capabilities.takes_type_list:
            return Resolution(
                mode=Mode.MTP,
                reason="started with MTP alone: --spec-type takes one type on this build",
            )
        return Resolution(mode=Mode.MTP_NGRAM)

    def _auto(self) -> Resolution:
        """Never degraded: auto promises only what pays on this build, host and model."""
        if self.model.has_mtp and self.model.is_small:
            return Resolution(mode=Mode.OFF if self.why_no_ngram() else Mode.NGRAM)
        if self.why_no_mtp() is None:
            chained = not self.host.has_gpu and self._mtp_with_ngram().reason is None
            return Resolution(mode=Mode.MTP_NGRAM if chained else Mode.MTP)
        if self.capabilities.spec_default:
            return Resolution(mode=Mode.NGRAM, by_default=True)
        return Resolution(mode=Mode.OFF)
