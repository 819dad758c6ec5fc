"""The values that flow through the harness; see the vocabulary in ``docs/concepts.md``.

Everything here is frozen and free of behaviour beyond reading itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal

MODE_UNSET: Final = "unset"
"""How a mode that the user did not give is written on a command line."""


class Flavour(StrEnum):
    """How a build spells the draft-length and ngram-mod flags.

    ``renamed`` since b8955 (ggml-org/llama.cpp PR 22397).
    """

    LEGACY = "legacy"
    RENAMED = "renamed"


class Mode(StrEnum):
    """A canonical speculative mode of a load request."""

    AUTO = "auto"
    MTP = "mtp"
    NGRAM = "ngram"
    MTP_NGRAM = "mtp+ngram"
    NGRAM_SIMPLE = "ngram-simple"
    DRAFT = "draft"
    OFF = "off"


class Verdict(StrEnum):
    """What a cell came to."""

    PASS = "pass"
    FAIL = "fail"
    DEGRADED = "degraded"
    """The build or the model cannot do it, and the subject said so."""
    KNOWN = "known"
    """It fails as the ledger says."""
    ERROR = "error"
    """The harness could not tell."""
    FLAKY = "flaky"
    """Run again alone, it came out otherwise."""


GOOD: Final = frozenset({Verdict.PASS, Verdict.DEGRADED})
"""Verdicts of a cell that does what it must."""

BAD: Final = frozenset(Verdict) - GOOD - {Verdict.KNOWN}
"""Verdicts that end a command with another exit status than 0."""


@dataclass(frozen=True, kw_only=True)
class TinyModel:
    """A model file that the harness wrote.

    Attributes:
        name: The name a load request uses, e.g. ``tiny-mtp``.
        path: The GGUF file.
        has_mtp: Whether it carries an MTP (nextn) head.
        parameters: Parameter count as its metadata states it, not as its tensors add up.
        draft_path: A draft model that fits, for mode ``draft``.
        fallback_path: For a model with an MTP head: the same claims in a file that builds
            without the ``draft-mtp`` token load; they refuse ``path``
            (``harness.gguf_models.file_for`` chooses).
    """

    name: str
    path: Path
    has_mtp: bool
    parameters: int
    draft_path: Path | None = None
    fallback_path: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadRequest:
    """What the user asked the application for.

    Attributes:
        model: Name of a model of the harness.
        mode: The speculative mode as the user wrote it, aliases and odd case included.
        draft_n_max: Draft length in tokens; None where not given.
        extra_args: Arguments the user adds to the command line by hand.
        context_length: Context size in tokens.
        cache_type: KV cache type, None for the build's default.
        chat_template: Chat template name, None for the model's own.
    """

    model: str
    mode: str | None
    draft_n_max: int | None = None
    extra_args: tuple[str, ...] = ()
    context_length: int = 512
    cache_type: str | None = None
    chat_template: str | None = None

    @property
    def spelling(self) -> str:
        """The mode as it is written on a command line; ``unset`` where the user gave none."""
        return MODE_UNSET if self.mode is None else self.mode


@dataclass(frozen=True, kw_only=True)
class LaunchTarget:
    """What a subject may look at while it plans: the files, the port and the host's variables.

    Attributes:
        binary: The ``llama-server`` program; a subject probes its ``--help`` as an application
            does.
        model: The model to load.
        port: A free TCP port on 127.0.0.1.
        env: The cell's whole environment; a subject runs its own probes (``--help``,
            ``nvidia-smi``) in it and in nothing else.
        build: The build's id.
        environment: The environment's name.
    """

    binary: Path
    model: TinyModel
    port: int
    env: Mapping[str, str]
    build: str = ""
    environment: "EnvironmentName" = "cpu"


class Provenance(StrEnum):
    """Where a launch plan was written."""

    HERE = "here"
    """For this very host, by a subject that was told of it."""
    FRAGMENT = "fragment"
    """On another host, and perhaps without what every command line needs."""
    WHOLE = "whole"
    """On another host, with all that it is started with there."""


@dataclass(frozen=True, kw_only=True)
class LaunchPlan:
    """What a subject answered.

    Attributes:
        argv: Arguments after the program name, handed to the server unchanged.
        env: Variables the subject adds to the cell's environment.
        resolved_mode: The mode that the subject settled on; None where it does not say.
        reason: Why the plan gives less than was asked, for the user; None where it gives all.
        provenance: Where it was written; what it names of another host is replaced.
        files: What is to lie in the server's working directory, by path there: text, or a file to
            copy. Of a plan from another host: text of files that it names, by their names.
        expects: By setting, what the subject says that the server will be set to.
        hurried: Whether a time limit had a part in it, so that another time it may be another one.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    resolved_mode: Mode | None = None
    reason: str | None = None
    provenance: Provenance = Provenance.HERE
    files: Mapping[str, str | Path] = field(default_factory=dict)
    expects: Mapping[str, Any] = field(default_factory=dict)
    hurried: bool = False


@dataclass(frozen=True, kw_only=True)
class HostProfile:
    """The host as programs inside the cell's environment see it.

    Attributes:
        gpus: One entry per visible NVIDIA GPU.
        note: What detection concluded where it found no GPU, for the report.
    """

    gpus: tuple["Gpu", ...] = ()
    note: str | None = None

    @property
    def has_gpu(self) -> bool:
        """Whether an application would find a GPU."""
        return bool(self.gpus)


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU as ``nvidia-smi`` reports it; memory in MiB."""

    index: int
    name: str
    memory_total_mib: int
    memory_free_mib: int


@dataclass(frozen=True, kw_only=True)
class DraftRange:
    """How many tokens one draft of an implementation may have; None where nobody told."""

    n_min: int | None
    n_max: int | None


@dataclass(frozen=True, kw_only=True)
class Speculation:
    """The speculative implementations that are on, as the witnesses agree.

    Attributes:
        implementations: By upstream name (``draft-mtp``, ...); empty means that nothing is on.
        witnessed_by: For each implementation the witnesses that support its ``n_max``.
        idle: Implementations that are set up but were never seen drafting.
    """

    implementations: Mapping[str, DraftRange]
    witnessed_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    idle: tuple[str, ...] = ()


class Basis(StrEnum):
    """What kind of evidence a witness has."""

    SETTINGS = "settings"
    """What the server says it will do."""
    BEHAVIOUR = "behaviour"
    """What it was seen doing."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """Bounds on the length of the longest draft, in tokens; equal where it was counted exactly."""

    at_least: int
    at_most: int

    def __contains__(self, length: int) -> bool:
        return self.at_least <= length <= self.at_most


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What one witness saw of one setting on one running server.

    Attributes:
        witness: The witness's name.
        basis: Whether it read settings or counted behaviour.
        speaks: False where it has nothing to say on this build; the rest is then empty.
        setting: The setting.
        value: What it tells, of every setting but speculation, of which the next three tell.
        configured: Draft ranges of the implementations that are set up, None where it cannot
            tell which are.
        drafted: Bounds on the longest draft of each implementation that was seen drafting, None
            where it cannot tell them apart.
        longest: Bounds on the longest draft of all, None where it did not count.
        detail: The line, field or numbers it read, for the report.
    """

    witness: str
    basis: Basis
    speaks: bool = True
    setting: str = "speculation"
    value: Any = None
    configured: Mapping[str, DraftRange] | None = None
    drafted: Mapping[str, Span] | None = None
    longest: Span | None = None
    detail: str = ""


class FailureKind(StrEnum):
    """Why a start or a launch failed."""

    UNKNOWN_ARGUMENT = "unknown-argument"
    REMOVED_ARGUMENT = "removed-argument"
    BAD_VALUE = "bad-value"
    BAD_ENVIRONMENT = "bad-environment-variable"
    MODEL_LOAD = "model-load"
    MISSING_LIBRARY = "missing-library"
    NOT_EXECUTABLE = "not-executable"
    ILLEGAL_INSTRUCTION = "illegal-instruction"
    OUT_OF_MEMORY = "out-of-memory"
    DEVICE_MEMORY = "device-memory"
    HOST_LIMIT = "host-limit"
    ENDED_FROM_OUTSIDE = "ended-from-outside"
    UNQUALIFIED = "unqualified"
    TINY_MODEL = "tiny-model"
    ABORT = "abort"
    PORT_IN_USE = "port-in-use"
    TIMEOUT = "timeout"
    EARLY_EXIT = "early-exit"
    DIED = "died"
    PROTOCOL = "protocol"
    SUBJECT = "subject"
    BUILD = "build"
    ENVIRONMENT = "environment"
    HARNESS = "harness"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A classified failure.

    Attributes:
        kind: The class.
        argument: The offending flag or variable, where one is to blame.
        message: One line for the user.
        log_tail: The server's last lines.
        explained: Whether the server said why; its log may be lost when it crashes.
    """

    kind: FailureKind
    message: str
    explained: bool = True
    argument: str | None = None
    log_tail: tuple[str, ...] = ()


WHY_MODEL: Final = "the harness loads a tiny model of its own"
WHY_PORT: Final = "the harness listens on a free port"


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """Something of a command line that the harness put its own in place of.

    Attributes:
        given: As the command line has it, e.g. ``--host 0.0.0.0``.
        used: What the server was started with.
        why: Why, in a few words.
    """

    given: str
    used: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Remark:
    """What is to be said of one word of a command line.

    Attributes:
        word: The flag, variable or value, as it was written; empty where nothing tells it.
        why: What becomes of it.
    """

    word: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Check:
    """One expected against one observed."""

    name: str
    expected: str
    observed: str
    ok: bool
    argument: str | None = None


SPOOFED: Final = " (spoofed)"
"""Ends a device that a server lists and that is not there."""

EnvironmentName = str
"""``cpu``, ``cuda``, ``cuda-spoof`` or ``cuda-spoof:VARIANT``."""


class DemandedBy(StrEnum):
    """Who says what must hold of a cell."""

    CONTRACT = "contract"
    COMMAND_LINE = "command-line"
    SUBJECT = "subject"
    """Its command line, what it states of it, and that it starts in order, as all must."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """Build x subject x environment x load request, and who says what must hold of it."""

    build: str
    subject: str
    environment: EnvironmentName
    request: LoadRequest
    demanded_by: DemandedBy = DemandedBy.CONTRACT


RESULT_SCHEMA: Final = 2
"""The form of a result's JSON line; before it had a number, ``effective`` had other keys."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CellResult:
    """What came of a cell; one JSON line (``harness.report.jsonl`` writes and reads it).

    Attributes:
        schema: The form of its line.
        effective: By setting, what the witnesses agree on; None where the server was not seen.
            ``speculation`` holds the draft range of each implementation that is on.
        env: Variables that the plan sets.
        startup_ms: Process start to healthy; None where it never was.
        wall_ms: The whole cell.
        repro: A command that runs this cell alone.
        witnesses: The evidence for speculation and for every setting that was demanded.
        replaced: What of ``argv`` the server was started without, and with what instead.
        not_seen: What the command line asks for and no witness can tell.
        silent: What of it has no effect, or another one, without a refusal.
        left_out: What the server was started without, because nothing on this host stands for it.
        devices: What the server itself lists to compute on besides the CPU, e.g. ``CUDA0: NAME``;
            None where it does not tell. One that a spoof made it list ends with ``(spoofed)``.
        no_card: In a spoof why its server lists no card though applications find one; else empty.
        demanded_by: Who says what must hold of it.
        ledger: Name of the ledger's entry that a ``known`` cell falls under.
        attempts: Every try of a ``flaky`` cell, in order.
        remembered: When it was found, where an earlier run did; empty where this one did.
    """

    build: str
    flavour: Flavour | None
    emulated: bool
    subject: str
    environment: EnvironmentName
    request: LoadRequest
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    resolved_mode: Mode | None
    status: Verdict
    checks: tuple[Check, ...]
    effective: Mapping[str, Any] | None
    witnessed_by: Mapping[str, tuple[str, ...]]
    witnesses: tuple[Evidence, ...]
    startup_ms: float | None
    wall_ms: float
    failure: Failure | None
    repro: str
    reason: str | None = None
    host: HostProfile | None = None
    devices: tuple[str, ...] | None = None
    no_card: str = ""
    replaced: tuple[Replacement, ...] = ()
    not_seen: tuple[str, ...] = ()
    silent: tuple[Remark, ...] = ()
    left_out: tuple[Remark, ...] = ()
    id: str = ""
    demanded_by: DemandedBy = DemandedBy.CONTRACT
    ledger: str | None = None
    attempts: tuple["CellResult", ...] = ()
    remembered: str = ""
    schema: int = RESULT_SCHEMA

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that do not hold."""
        return tuple(check for check in self.checks if not check.ok)

    @property
    def drafts(self) -> Mapping[str, DraftRange] | None:
        """The speculative implementations that are on; None where nobody told."""
        return None if self.effective is None else self.effective.get("speculation")


SourceKind = Literal["package", "release", "git", "image", "local", "emulated"]
