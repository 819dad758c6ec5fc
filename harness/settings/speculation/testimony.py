"""The witnesses: each reads one independent thing of an observation and says what it means.

A witness that meets something it does not recognise has nothing to say; it never guesses.
Which builds each speaks for was read off real builds; see ``docs/verdicts.md``.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Protocol

from harness.model import Basis, DraftRange, Evidence, Span
from harness.settings.observation import Observation
from harness.settings.said import LinePattern, Said

DRAFT_SIMPLE: Final = "draft-simple"
DRAFT_MODEL_ALONE_ENDS: Final = 9464
"""From this build on a draft model drafts only where its type is asked for (PR 23988)."""
LENGTH_LEFT_DRAFT_LIMIT: Final = 9109
"""From this build on ``max possible draft`` no longer contains n_max."""

_NAMES: Final[Mapping[str, str]] = {
    "draft": "draft-simple",
    "mtp": "draft-mtp",
    "eagle3": "draft-eagle3",
}


class Witness(Protocol):
    """One independent source of evidence."""

    name: str
    basis: Basis

    def testify(self, observation: Observation) -> Evidence | None:
        """What it saw; None where it has nothing to say."""


def testify(observation: Observation) -> tuple[Evidence, ...]:
    """The evidence of every witness, the silent ones included."""
    return tuple(
        witness.testify(observation)
        or Evidence(witness=witness.name, basis=witness.basis, speaks=False)
        for witness in WITNESSES
    )


def implementation_name(name: str) -> str:
    """The upstream name that any era's or fork's spelling stands for."""
    dashed = re.sub(r"\s*[-_]\s*", "-", name.strip())
    return _NAMES.get(dashed, dashed)


class HttpSettings:
    """``generation_settings`` of a completion and ``/slots``.

    Up to b8929 they tell n_max and n_min (not for ngram-mod's own lengths, which it shares with
    the draft there); later builds tell only which types are on.
    """

    name = "http-settings"
    basis = Basis.SETTINGS

    def testify(self, observation: Observation) -> Evidence | None:
        """See ``Witness``."""
        settings = _mapping(observation.completion.get("generation_settings"))
        types = settings.get("speculative.types", settings.get("speculative.type"))
        n_max, n_min = settings.get("speculative.n_max"), settings.get("speculative.n_min")
        slot = observation.slot or {}
        speculates = slot.get("speculative")
        if not isinstance(types, str) and not isinstance(n_max, int):
            return None
        names = _type_names(types) if isinstance(types, str) else ()
        if not names and speculates is True:
            # A draft model shows as no type at all up to b8929.
            names = (DRAFT_SIMPLE,)
        if speculates is False:
            names = ()
        if names and DRAFT_SIMPLE not in names and _drafts_unasked(observation):
            return None  # which it does not name beside the types that were asked for
        length = DraftRange(
            n_min=n_min if isinstance(n_min, int) else None,
            n_max=n_max if isinstance(n_max, int) else None,
        )
        return Evidence(
            witness=self.name,
            basis=self.basis,
            configured=dict.fromkeys(names, length),
            detail=f"types {types!r}, n_max {n_max}, n_min {n_min}, slot speculative {speculates}",
        )


class StartupLog:
    """``adding speculative implementation 'x'`` and the ``- n_max=`` line after it.

    Builds from b9235 on; from b9830 on only at trace verbosity.
    """

    name = "startup-log"
    basis = Basis.SETTINGS

    _ADDING: Final = LinePattern(r"adding speculative implementation '(?P<name>[^']+)'")
    _RANGE: Final = re.compile(r": - .*?\bn_max=(?P<n_max>\d+), n_min=(?P<n_min>\d+)")

    def testify(self, observation: Observation) -> Evidence | None:
        """See ``Witness``."""
        lines = observation.startup_lines if observation.startup.last(self._ADDING) else ()
        configured: dict[str, DraftRange] = {}
        read: list[str] = []
        for number, line in enumerate(lines):
            if not (adding := self._ADDING.expression.search(line)):
                continue
            following = lines[number + 1] if number + 1 < len(lines) else ""
            length = self._RANGE.search(following)
            configured[implementation_name(adding["name"])] = DraftRange(
                n_min=int(length["n_min"]) if length else None,
                n_max=int(length["n_max"]) if length else None,
            )
            read += [line.strip(), following.strip()] if length else [line.strip()]
        if not configured:
            return None
        return Evidence(
            witness=self.name, basis=self.basis, configured=configured, detail="\n".join(read)
        )


class DraftLimit:
    """``max possible draft: N`` of the debug log, up to b9101: the longest draft allowed."""

    name = "draft-limit"
    basis = Basis.SETTINGS

    _LIMIT: Final = LinePattern(r"max possible draft: (?P<n>-?\d+)")

    def testify(self, observation: Observation) -> Evidence | None:
        """See ``Witness``."""
        number = observation.build_number
        if number is None or number >= LENGTH_LEFT_DRAFT_LIMIT:
            return None
        limits = [int(found["n"]) for found in observation.run.all(self._LIMIT)]
        longest = max(limits, default=0)
        if longest <= 0:
            return None
        return Evidence(
            witness=self.name,
            basis=self.basis,
            longest=Span(at_least=longest, at_most=longest),
            detail=f"max possible draft: {longest} at most, over {len(limits)} steps",
        )


class StepTrace:
    """``accepted a/n draft tokens`` of each step: the exact length of every draft.

    In the debug log up to b9101, with ``LLAMA_TRACE=1`` from b9093 on. ik_llama.cpp says
    ``accepted a tokens from n drafted tokens``, of ngram-mod alone. b7376 writes ``3/0`` where it
    drafted 3 and accepted them, and so tells nothing.
    """

    name = "step-trace"
    basis = Basis.BEHAVIOUR
    _STEP: Final = LinePattern(
        r"accepted\s+(?P<a>\d+)(?:/\s*| tokens from )(?P<n>\d+) draft(?:ed)? tokens"
    )

    def testify(self, observation: Observation) -> Evidence | None:
        """See ``Witness``."""
        steps = observation.run.all(self._STEP)
        lengths = [int(found["n"]) for found in steps]
        if not lengths or any(int(found["a"]) > int(found["n"]) for found in steps):
            return None
        longest = max(lengths)
        return Evidence(
            witness=self.name,
            basis=self.basis,
            longest=Span(at_least=longest, at_most=longest),
            detail=f"drafts of {_runs(lengths)}",
        )


class RunStatistics:
    """``statistics NAME: … #gen drafts = d, … #gen tokens = t`` after a generation.

    One line for each implementation; Feb 2026 on, and ik_llama.cpp.
    """

    name = "run-statistics"
    basis = Basis.BEHAVIOUR

    _LINE: Final = LinePattern(
        r"statistics\s+(?P<name>[^:]+?):.*?#gen drafts =\s*(?P<drafts>\d+),"
        r".*?#gen tokens =\s*(?P<tokens>\d+)"
    )

    def testify(self, observation: Observation) -> Evidence | None:
        """See ``Witness``."""
        counts = {
            implementation_name(found["name"]): (int(found["drafts"]), int(found["tokens"]))
            for found in observation.run.all(self._LINE)
        }
        if not counts:
            return None
        return Evidence(
            witness=self.name,
            basis=self.basis,
            configured=dict.fromkeys(counts, DraftRange(n_min=None, n_max=None)),
            drafted={
                name: draft_span(drafts, tokens)
                for name, (drafts, tokens) in counts.items()
                if drafts
            },
            detail="; ".join(
                f"{name}: {drafts} drafts, {tokens} tokens"
                for name, (drafts, tokens) in counts.items()
            ),
        )


class Metrics:
    """``/metrics``: one acceptance counter for each position of a draft, b10282 on."""

    name = "metrics"
    basis = Basis.BEHAVIOUR

    _TOTAL: Final = LinePattern(r"^llamacpp:spec_decode_num_drafts_total (?P<n>\d+)")
    _POSITION: Final = LinePattern(
        r"^llamacpp:spec_decode_num_accepted_tokens_per_pos_total"
        r"\{position=\"(?P<position>\d+)\"\} (?P<n>\d+)"
    )

    def testify(self, observation: Observation) -> Evidence | None:
        """See ``Witness``."""
        said = Said(observation.metrics or "")
        total = said.last(self._TOTAL)
        if total is None:
            return None
        positions = [
            int(found["position"]) + 1 for found in said.all(self._POSITION) if int(found["n"]) > 0
        ]
        longest = max(positions, default=0)
        return Evidence(
            witness=self.name,
            basis=self.basis,
            longest=Span(at_least=longest, at_most=longest),
            detail=f"{total['n']} drafts, tokens accepted up to position {longest}",
        )


class CountedDrafts:
    """Tokens drafted against steps taken, from the counts of a real generation; every build.

    The models always continue with the same token, so every draft is accepted and a step yields
    one token more than its draft had. The counts of tokens drafted stand in the completion's
    timings, in ik_llama.cpp only in the log.
    """

    name = "counted-drafts"
    basis = Basis.BEHAVIOUR

    _ACCEPTANCE: Final = LinePattern(
        r"draft acceptance rate = [\d.]+ "
        r"\(\s*(?P<accepted>\d+) accepted /\s*(?P<drafted>\d+) generated\)"
    )

    def testify(self, observation: Observation) -> Evidence | None:
        """See ``Witness``."""
        nothing = Span(at_least=0, at_most=0)
        if not observation.completion:
            return Evidence(
                witness=self.name, basis=self.basis, longest=nothing, detail="completes nothing"
            )
        timings = _mapping(observation.completion.get("timings"))
        predicted = timings.get("predicted_n")
        if not isinstance(predicted, int) or predicted < 1:
            return None
        if observation.fork:
            drafted, accepted = self._logged(observation.run)
        else:
            drafted, accepted = timings.get("draft_n", 0), timings.get("draft_n_accepted", 0)
        if not isinstance(drafted, int) or not isinstance(accepted, int):
            return None
        if drafted == 0:
            return Evidence(
                witness=self.name,
                basis=self.basis,
                longest=nothing,
                detail=f"{predicted} tokens, none drafted",
            )
        # The first token comes from the prompt and has no draft before it.
        steps = max(predicted - accepted - 1, 1)
        mean = -(-drafted // steps)
        return Evidence(
            witness=self.name,
            basis=self.basis,
            longest=Span(at_least=mean, at_most=drafted),
            detail=f"{predicted} tokens in {steps} steps, {drafted} drafted, {accepted} accepted",
        )

    def _logged(self, said: Said) -> tuple[int, int]:
        counts = [
            (int(found["drafted"]), int(found["accepted"])) for found in said.all(self._ACCEPTANCE)
        ]
        return counts[-1] if counts else (0, 0)


def _drafts_unasked(observation: Observation) -> bool:
    """Whether a draft model drafts, whatever types are asked for."""
    number = observation.build_number
    loads = "loading draft model" in observation.startup
    return loads and number is not None and number < DRAFT_MODEL_ALONE_ENDS


def draft_span(drafts: int, tokens: int) -> Span:
    """Bounds on the longest of ``drafts`` drafts with ``tokens`` tokens in all.

    At least the mean; at most what is left when all but the longest had one token. Where all but
    the last, which the end of the generation cuts short, are equally long, the upper bound is
    the mean of all but the last.
    """
    at_least = -(-tokens // drafts)
    at_most = (tokens - 1) // (drafts - 1) if drafts > 1 else tokens
    return Span(at_least=at_least, at_most=max(at_most, at_least))


def _type_names(types: str) -> tuple[str, ...]:
    names = (implementation_name(word) for word in types.split(","))
    return tuple(name for name in names if name not in {"", "none"})


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _runs(lengths: list[int]) -> str:
    """``[5, 5, 64]`` as ``2x5, 64``."""
    runs: list[tuple[int, int]] = []
    for length in lengths:
        if runs and runs[-1][0] == length:
            runs[-1] = (length, runs[-1][1] + 1)
        else:
            runs.append((length, 1))
    return ", ".join(f"{count}x{length}" if count > 1 else str(length) for length, count in runs)


WITNESSES: Final[tuple[Witness, ...]] = (
    HttpSettings(),
    StartupLog(),
    DraftLimit(),
    StepTrace(),
    RunStatistics(),
    Metrics(),
    CountedDrafts(),
)
