"""Speculative flags in the flavour of a build."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from harness.flags.capabilities import Capabilities
from harness.model import Flavour

Group = tuple[str, ...]
"""A flag with its values."""

NGRAM_MATCH: Final = 24
NGRAM_MIN: Final = 48
NGRAM_MAX: Final = 64


class SpeculativeFlags:
    """Writes flags for what a build can do; whether it can is ``Resolver``'s business.

    Every method answers only flags that the build's ``--help`` offers as live options.
    """

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities

    def mtp(self, length: int) -> tuple[Group, ...]:
        """MTP alone."""
        return self._offered([self._type(self._mtp_token), *self._length(length)])

    def ngram(self) -> tuple[Group, ...]:
        """ngram-mod alone, 24/48/64."""
        return self._offered([self._type("ngram-mod"), *self._ngram_settings(chained=False)])

    def mtp_with_ngram(self, length: int) -> tuple[Group, ...]:
        """MTP and ngram-mod, in the one list that ``--spec-type`` takes."""
        return self._offered(
            [
                self._type(f"ngram-mod,{self._mtp_token}"),
                *self._length(length),
                *self._ngram_settings(chained=True),
            ]
        )

    def ngram_simple(self) -> tuple[Group, ...]:
        """ngram-simple with the build's own settings."""
        return self._offered([self._type("ngram-simple")])

    def draft_model(self, path: Path, length: int) -> tuple[Group, ...]:
        """A draft model; named as ``draft-simple``, without which b9464 and later never draft."""
        groups = [("--model-draft", str(path)), *self._length(length)]
        if "draft-simple" in self._capabilities.speculative_types:
            groups.append(self._type("draft-simple"))
        return self._offered(groups)

    def spec_default(self) -> tuple[Group, ...]:
        """Whatever the build thinks best."""
        return self._offered([("--spec-default",)])

    @property
    def _mtp_token(self) -> str:
        return self._capabilities.mtp_token or "draft-mtp"

    def _type(self, types: str) -> Group:
        return "--spec-type", types

    def _length(self, length: int) -> list[Group]:
        """The draft length, and a lower minimum where the build's own would exceed it."""
        if self._capabilities.flavour is Flavour.RENAMED:
            longest, shortest = "--spec-draft-n-max", "--spec-draft-n-min"
        else:
            longest, shortest = "--draft-max", "--draft-min"
        groups: list[Group] = [(longest, str(length))]
        option = self._capabilities.option(shortest)
        if option and (option.default or "").isdecimal() and int(option.default or 0) > length:
            groups.append((shortest, str(length)))
        return groups

    def _ngram_settings(self, *, chained: bool) -> list[Group]:
        if self._capabilities.flavour is Flavour.RENAMED:
            return [
                ("--spec-ngram-mod-n-match", str(NGRAM_MATCH)),
                ("--spec-ngram-mod-n-min", str(NGRAM_MIN)),
                ("--spec-ngram-mod-n-max", str(NGRAM_MAX)),
            ]
        match: list[Group] = [("--spec-ngram-size-n", str(NGRAM_MATCH))]
        if chained:
            # Legacy builds share one pair of lengths: it is MTP's, and no minimum may exceed it.
            return match
        return [*match, ("--draft-min", str(NGRAM_MIN)), ("--draft-max", str(NGRAM_MAX))]

    def _offered(self, groups: Iterable[Group]) -> tuple[Group, ...]:
        return tuple(group for group in groups if self._capabilities.offers(group[0]))
