"""The mutants: each is one plausible mistake in the subject, a plan, the parser, or a judge."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from harness.cells import running as cells
from harness.flags.capabilities import Capabilities, Option, probe
from harness.model import (
    Check,
    DraftRange,
    Evidence,
    HostProfile,
    LaunchPlan,
    LaunchTarget,
    Mode,
    Span,
    Speculation,
)
from harness.settings.observation import Observation
from harness.settings.speculation import agreement, setting, testimony
from harness.settings.speculation.setting import SpeculationSetting
from harness.settings.value import ValueSetting
from harness.subjects import Subject
from harness.subjects.reference import draft_length, generator, modes
from harness.subjects.reference.flags import Group, SpeculativeFlags
from harness.subjects.reference.generator import ReferenceSubject
from harness.subjects.reference.model_facts import ModelFacts
from harness.subjects.reference.modes import ALIASES
from harness.subjects.reference.resolver import Resolution, Resolver
from harness.subjects.reference.variants import VARIANTS
from harness.verdicts import checks, demands
from tests.mutants.panel import patched
from tests.mutants.plans import (
    Change,
    ChangedPlan,
    added,
    shortened,
    silenced,
    swapped,
    valued,
    with_variable,
)

Context = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One mistake.

    Attributes:
        area: What of the harness is wrong.
        context: Puts the mistake in place.
        subject: What plans.
        first: Parts of the ids of the cells that are the likeliest to show it.
        probes_again: The mistake is in what is asked of builds once.
    """

    name: str
    area: str
    context: Context = nullcontext
    subject: Callable[[], Subject] = ReferenceSubject
    first: tuple[str, ...] = ()
    probes_again: bool = False


def all_mutants() -> tuple[Mutant, ...]:
    """Every mutant."""
    return (
        *_variants(),
        *_flags(),
        *_lengths(),
        *_resolutions(),
        *_names(),
        *_requests(),
        *_plans(),
        *_parsers(),
        *_witnesses(),
        *_agreements(),
        *_checks(),
    )


# The subject: historical bugs, flags, lengths, resolution, names.


def _variants() -> Iterator[Mutant]:
    first = {"@C": "mtp+ngram", "@inverted": "mtp+ngram", "@D": "py0.3.16", "@E": "none"}
    for rest, likely in first.items():
        yield Mutant(
            name=f"bug {rest[1:]}",
            area="subject",
            subject=partial(VARIANTS[rest], "reference"),
            first=(likely,),
        )


def _with_flags(kind: type[SpeculativeFlags]) -> Callable[[], Subject]:
    return partial(ReferenceSubject, flags=kind)


def _flags_mutant(name: str, first: str, **methods: Any) -> Mutant:
    kind = type("MutatedFlags", (SpeculativeFlags,), methods)
    return Mutant(name=name, area="subject", subject=_with_flags(kind), first=(first,))


def _groups(change: Callable[[Group], tuple[Group, ...]]) -> Callable[..., tuple[Group, ...]]:
    """A change to every group that is written."""

    def offered(self: SpeculativeFlags, groups: Any) -> tuple[Group, ...]:
        written = SpeculativeFlags._offered(self, groups)
        return tuple(new for group in written for new in change(group))

    return offered


def _per_flag(
    names: tuple[str, ...], change: Callable[[Group], tuple[Group, ...]]
) -> Callable[..., tuple[Group, ...]]:
    return _groups(lambda group: change(group) if group[0] in names else (group,))


_LONGEST = ("--draft-max", "--spec-draft-n-max")
_RENAMED: Final = {
    "--draft-max": "--spec-draft-n-max",
    "--spec-draft-n-max": "--draft-max",
}


def _flags() -> Iterator[Mutant]:
    def plus(step: int) -> Callable[[Group], tuple[Group, ...]]:
        return lambda group: ((group[0], str(int(group[1]) + step)),)

    yield _flags_mutant("length one more", "mtp", _offered=_per_flag(_LONGEST, plus(1)))
    yield _flags_mutant("length one less", "mtp", _offered=_per_flag(_LONGEST, plus(-1)))
    yield _flags_mutant("length left out", "mtp", _offered=_per_flag(_LONGEST, lambda _: ()))
    yield _flags_mutant(
        "length twice", "mtp", _offered=_per_flag(_LONGEST, lambda group: (group, group))
    )
    yield _flags_mutant(
        "length in the other flavour",
        "mtp",
        _offered=_per_flag(_LONGEST, lambda group: ((_RENAMED[group[0]], group[1]),)),
    )
    yield _flags_mutant(
        "length under two spellings",
        "emulated",
        _offered=_per_flag(("--draft-max",), lambda group: (group, ("--draft", group[1]))),
    )
    yield _flags_mutant(
        "length before its value",
        "mtp",
        _offered=_per_flag(_LONGEST, lambda group: ((f"{group[0]}={group[1]}",),)),
    )
    for bound in ("--spec-ngram-mod-n-min", "--spec-ngram-mod-n-max", "--draft-min"):
        for step in (1, -1):
            yield _flags_mutant(
                f"{bound} {step:+}", "ngram", _offered=_per_flag((bound,), plus(step))
            )
    yield _flags_mutant(
        "legacy minimum left out", "b8929", _offered=_per_flag(("--draft-min",), lambda _: ())
    )
    yield _flags_mutant(
        "a minimum above the maximum",
        "mtp",
        _offered=_per_flag(
            ("--spec-draft-n-max",),
            lambda group: (group, ("--spec-draft-n-min", str(int(group[1]) + 1))),
        ),
    )
    yield _flags_mutant("type left out", "mtp", _offered=_per_flag(("--spec-type",), lambda _: ()))
    yield _flags_mutant(
        "chain as two flags",
        "mtp+ngram",
        _offered=_per_flag(
            ("--spec-type",),
            lambda group: tuple((group[0], word) for word in group[1].split(",")),
        ),
    )
    yield _flags_mutant(
        "chain without ngram-mod",
        "mtp+ngram",
        _offered=_per_flag(
            ("--spec-type",), lambda group: ((group[0], group[1].removeprefix("ngram-mod,")),)
        ),
    )
    yield _flags_mutant(
        "chain without MTP",
        "mtp+ngram",
        _offered=_per_flag(
            ("--spec-type",), lambda group: ((group[0], group[1].partition(",")[0]),)
        ),
    )
    yield _flags_mutant(
        "chain in another order",
        "mtp+ngram",
        _offered=_per_flag(
            ("--spec-type",),
            lambda group: ((group[0], ",".join(reversed(group[1].split(",")))),),
        ),
    )
    yield _flags_mutant(
        "chain separated by plus",
        "mtp+ngram",
        _offered=_per_flag(
            ("--spec-type",), lambda group: ((group[0], group[1].replace(",", "+")),)
        ),
    )
    yield _flags_mutant("the fork's token everywhere", "mtp", _mtp_token=property(lambda _: "mtp"))
    yield _flags_mutant(
        "upstream's token everywhere", "emulated", _mtp_token=property(lambda _: "draft-mtp")
    )
    yield _flags_mutant(
        "a draft model without its type",
        "b11434",
        _offered=_per_flag(
            ("--spec-type",), lambda group: () if group[1] == "draft-simple" else (group,)
        ),
    )
    yield _flags_mutant(
        "no draft model", "draft", _offered=_per_flag(("--model-draft",), lambda _: ())
    )
    yield _flags_mutant(
        "a draft model under a new name",
        "draft",
        _offered=_per_flag(("--model-draft",), lambda group: (("--spec-draft-model", group[1]),)),
    )
    yield _flags_mutant("no --spec-default", "auto", spec_default=lambda _: ())
    yield _flags_mutant(
        "ngram-mod for ngram-simple", "ngram_simple", ngram_simple=SpeculativeFlags.ngram
    )
    yield _flags_mutant("ngram-simple for ngram-mod", "ngram", ngram=SpeculativeFlags.ngram_simple)
    yield _flags_mutant(
        "flags that are not offered",
        "b8929",
        _offered=lambda _, groups: (*groups, ("--spec-draft-n-min", "0")),
    )


def _lengths() -> Iterator[Mutant]:
    def defaults(with_gpu: int, without: int) -> Context:
        @contextmanager
        def context() -> Iterator[None]:
            with (
                patched(draft_length, "DEFAULT_WITH_GPU", with_gpu),
                patched(draft_length, "DEFAULT_WITHOUT_GPU", without),
            ):
                yield

        return context

    def length(change: Callable[[int | None, HostProfile], int]) -> Context:
        return lambda: patched(generator, "draft_length", change)

    right = draft_length.draft_length
    for name, context in {
        "defaults swapped": defaults(3, 2),
        "GPU default everywhere": defaults(2, 2),
        "CPU default everywhere": defaults(3, 3),
        "default 16": defaults(16, 16),
        "length capped at 8": length(lambda given, host: min(right(given, host), 8)),
        "given length ignored": length(lambda _, host: right(None, host)),
        "length 16 refused": length(lambda given, host: right(17 if given == 16 else given, host)),
    }.items():
        yield Mutant(name=name, area="subject", context=context, first=("mtp",))


def _with_resolver(**methods: Any) -> Callable[[], Subject]:
    kind = type("MutatedResolver", (Resolver,), methods)
    return partial(ReferenceSubject, resolver=kind)


def _alone(mode: Mode) -> Callable[[Resolver], Resolution]:
    def chain(self: Resolver) -> Resolution:
        right = Resolver._mtp_with_ngram(self)
        if right.mode is Mode.MTP and right.reason:
            return replace(right, mode=mode)
        return right

    return chain


def _auto(chained: bool | None, small: bool) -> Callable[[Resolver], Resolution]:
    def pick(self: Resolver) -> Resolution:
        if self.model.has_mtp and self.model.is_small and small:
            return Resolver._auto(self)
        right = Resolver._auto(replace(self, model=replace(self.model, parameters=None)))
        if right.mode in {Mode.MTP, Mode.MTP_NGRAM} and chained is not None:
            can = self._mtp_with_ngram().reason is None
            return Resolution(mode=Mode.MTP_NGRAM if chained and can else Mode.MTP)
        return right

    return pick


def _resolutions() -> Iterator[Mutant]:
    def resolve(change: Callable[[Resolver, Mode], Resolution]) -> Callable[[], Subject]:
        return _with_resolver(resolve=change)

    def always(mode: Mode, asked: Mode) -> Callable[[], Subject]:
        return resolve(
            lambda self, requested: (
                Resolution(mode=mode) if requested is asked else Resolver.resolve(self, requested)
            )
        )

    def silent(self: Resolver, requested: Mode) -> Resolution:
        return replace(Resolver.resolve(self, requested), reason=None)

    for name, subject, first in (
        ("reasons kept quiet", resolve(silent), "b8929"),
        ("off means auto", _with_resolver(resolve=_off_is_auto), "off"),
        ("MTP without asking the build", _with_resolver(why_no_mtp=lambda _: None), "mtp"),
        ("ngram without asking the build", _with_resolver(why_no_ngram=lambda _: None), "py0.3.16"),
        ("never MTP", _with_resolver(why_no_mtp=lambda _: "none"), "mtp"),
        ("never ngram", _with_resolver(why_no_ngram=lambda _: "none"), "ngram"),
        ("never a draft model", _with_resolver(why_no_draft_model=lambda _: "none"), "draft"),
        ("MTP for ngram", always(Mode.MTP, Mode.NGRAM), "ngram"),
        ("ngram for MTP", always(Mode.NGRAM, Mode.MTP), "mtp"),
        ("both for MTP", always(Mode.MTP_NGRAM, Mode.MTP), "mtp"),
        (
            "ngram where MTP stands alone",
            _with_resolver(_mtp_with_ngram=_alone(Mode.NGRAM)),
            "one_type",
        ),
        ("nothing where no list is taken", _with_resolver(_mtp_with_ngram=_all_or_nothing), "m"),
        ("auto never chains", _with_resolver(_auto=_auto(chained=False, small=True)), "auto"),
        ("auto always chains", _with_resolver(_auto=_auto(chained=True, small=True)), "auto"),
        ("auto overlooks the size", _with_resolver(_auto=_auto(chained=None, small=False)), "auto"),
        ("auto is off", always(Mode.OFF, Mode.AUTO), "auto"),
    ):
        yield Mutant(name=name, area="subject", subject=subject, first=(first,))
    yield Mutant(
        name="every model has a head",
        area="subject",
        context=lambda: patched(
            generator, "model_facts", lambda *_: ModelFacts(has_mtp=True, parameters=None)
        ),
        first=("tiny_llama",),
    )
    yield Mutant(
        name="no model has a head",
        area="subject",
        context=lambda: patched(
            generator, "model_facts", lambda *_: ModelFacts(has_mtp=False, parameters=None)
        ),
        first=("mtp",),
    )


def _off_is_auto(self: Resolver, requested: Mode) -> Resolution:
    return Resolver.resolve(self, Mode.AUTO if requested is Mode.OFF else requested)


def _all_or_nothing(self: Resolver) -> Resolution:
    right = Resolver._mtp_with_ngram(self)
    return replace(right, mode=Mode.OFF) if right.reason else right


def _names() -> Iterator[Mutant]:
    for alias in ("none", "disable", "disabled", "draft-mtp", "ngram-mod"):
        lost = {name: mode for name, mode in ALIASES.items() if name != alias}
        kind = partial(ReferenceSubject, aliases=lost)
        yield Mutant(
            name=f"alias {alias} lost", area="subject", subject=kind,
            first=(alias.replace("-", "_"),),
        )  # fmt: skip
    right = modes.canonical_mode

    def reading(change: Callable[[str], object]) -> Context:
        def canonical(text: object, aliases: Mapping[str, Mode] = ALIASES) -> Mode | None:
            return right(change(text) if isinstance(text, str) else text, aliases)

        return lambda: patched(modes, "canonical_mode", canonical)

    for name, context, first in (
        ("names not trimmed", reading(lambda t: t if t == t.strip() else "?"), "mtp"),
        ("capital letters not known", reading(lambda t: t if t == t.lower() else "?"), "MTP"),
        ("chains not known", reading(lambda t: t if "," not in t else "?"), "ngram_mod,"),
        ("only the first of a chain", reading(lambda t: t.partition(",")[0]), "ngram_mod,"),
    ):
        yield Mutant(name=name, area="subject", context=context, first=(first,))


def _requests() -> Iterator[Mutant]:
    yield Mutant(
        name="flags beside the user's own",
        area="subject",
        context=lambda: patched(modes, "owns_speculation", lambda _: False),
        first=("spec_type",),
    )
    yield Mutant(
        name="the user's own flags dropped",
        area="subject",
        subject=lambda: ChangedPlan(ReferenceSubject(), _without_own_flags),
        first=("spec_type",),
    )


def _without_own_flags(plan: LaunchPlan, target: LaunchTarget) -> LaunchPlan:
    return valued("--spec-type", "none")(plan, target)


# Plans that come out wrong, whatever made them.


def _plans() -> Iterator[Mutant]:
    changes: dict[str, Change] = {
        "an unknown flag": added("--bogus"),
        "a flag with an equals sign": swapped("-c", "-c=512"),
        "a removed flag": added("--draft-max", "7"),
        "a value lost": shortened,
        "the model lost": valued("-m", "nowhere.gguf"),
        "a port that is no number": valued("--port", "http"),
        "a context that is no number": valued("-c", "many"),
        "a type nobody knows": valued("--spec-type", "mtp-draft"),
        "a type in capitals": valued("--spec-type", "NGRAM-MOD"),
        "speculation through a variable": with_variable("LLAMA_ARG_SPEC_TYPE", "ngram-mod"),
        "a length through a removed variable": with_variable("LLAMA_ARG_DRAFT_MAX", "5"),
        "a layer flag of its own": added("-ngl", "99", "-ngl", "99"),
        "a reason lost": silenced,
    }
    for name, change in changes.items():
        yield Mutant(
            name=name,
            area="plan",
            subject=lambda change=change: ChangedPlan(ReferenceSubject(), change),  # type: ignore[misc]
            first=("mtp",),
        )


# The capabilities parser.


def _parsers() -> Iterator[Mutant]:
    def options(
        change: Callable[[Option], Option | None],
    ) -> Callable[[Capabilities], Capabilities]:
        return lambda right: Capabilities(
            tuple(new for one in right.options if (new := change(one)) is not None)
        )

    def spec_type(**changes: Any) -> Callable[[Option], Option]:
        return lambda one: replace(one, **changes) if "--spec-type" in one.spellings else one

    for name, change in {
        "stubs taken for live": options(lambda one: replace(one, removed=False)),
        "everything taken for removed": options(lambda one: replace(one, removed=True)),
        "only first spellings": options(lambda one: replace(one, spellings=one.spellings[:1])),
        "only last spellings": options(lambda one: replace(one, spellings=one.spellings[-1:])),
        "values lost": options(lambda one: replace(one, placeholder=None)),
        "types lost": options(spec_type(choices=())),
        "the last type lost": options(
            lambda one: (
                replace(one, choices=one.choices[:-1]) if "--spec-type" in one.spellings else one
            )
        ),
        "a type invented": options(
            lambda one: (
                replace(one, choices=(*one.choices, "draft-mtp"))
                if "--spec-type" in one.spellings
                else one
            )
        ),
        "lists never seen": options(spec_type(description="", placeholder="TYPE")),
        "lists always seen": options(spec_type(description="comma-separated list")),
        "--spec-default overlooked": options(
            lambda one: None if "--spec-default" in one.spellings else one
        ),
        "renamed flags overlooked": options(
            lambda one: None if one.spellings[0].startswith("--spec-draft-n") else one
        ),
        "defaults lost": options(lambda one: replace(one, default=None)),
        "every second option lost": lambda right: Capabilities(right.options[::2]),
    }.items():
        yield Mutant(
            name=name, area="parser", context=_parsing(change), probes_again=True, first=("mtp",)
        )


def _parsing(change: Callable[[Capabilities], Capabilities]) -> Context:
    def asked(binary: Any, env: Mapping[str, str], timeout_s: float = 30) -> Capabilities:
        return change(probe(binary, env, timeout_s))

    @contextmanager
    def context() -> Iterator[None]:
        from harness.cells import workbench

        with patched(workbench, "probe", asked), patched(generator, "probe", asked):
            yield

    return context


# The witnesses, and how they agree.


def _witnesses() -> Iterator[Mutant]:
    for witness in testimony.WITNESSES:
        kind = type(witness)

        def lying(change: Callable[[Evidence], Evidence | None], kind: Any = kind) -> Context:
            right = kind.testify

            def testify(self: Any, observation: Observation) -> Evidence | None:
                evidence = right(self, observation)
                return None if evidence is None else change(evidence)

            return lambda: patched(kind, "testify", testify)

        for what, change in {
            "is silent": lambda _: None,
            "counts one more": _one_more,
            "sees nothing on": _nothing_on,
        }.items():
            yield Mutant(
                name=f"{witness.name} {what}",
                area="witness",
                context=lying(change),
                first=("mtp", "ngram"),
            )


def _one_more(evidence: Evidence) -> Evidence:
    def span(one: Span) -> Span:
        return Span(at_least=one.at_least + 1, at_most=one.at_most + 1)

    return replace(
        evidence,
        configured={
            name: DraftRange(n_min=one.n_min, n_max=None if one.n_max is None else one.n_max + 1)
            for name, one in evidence.configured.items()
        }
        | ({} if any(one.n_max for one in evidence.configured.values()) else {"eagle3": _ANY})
        if evidence.configured is not None
        else None,
        drafted=None
        if evidence.drafted is None
        else {name: span(one) for name, one in evidence.drafted.items()},
        longest=None if evidence.longest is None else span(evidence.longest),
    )


_ANY: Final = DraftRange(n_min=None, n_max=None)


def _nothing_on(evidence: Evidence) -> Evidence:
    return replace(
        evidence,
        configured=None if evidence.configured is None else {},
        drafted=None if evidence.drafted is None else {},
        longest=None if evidence.longest is None else Span(at_least=0, at_most=0),
    )


def _agreements() -> Iterator[Mutant]:
    right = agreement.agree

    def agreeing(change: Callable[[Speculation], Speculation]) -> Context:
        def agree(evidence: Sequence[Evidence]) -> Speculation:
            state = change(right(evidence))
            on = state.implementations
            supported = {name: who for name, who in state.witnessed_by.items() if name in on}
            return replace(state, witnessed_by=supported)

        return lambda: patched(setting, "agree", agree)

    for name, change in {
        "idle counts as on": lambda state: replace(
            state,
            implementations={**state.implementations, **dict.fromkeys(state.idle, _ANY)},
        ),
        "one witness is enough": lambda state: replace(
            state, witnessed_by=dict.fromkeys(state.witnessed_by, ("one",))
        ),
        "lengths one more": lambda state: replace(
            state,
            implementations={
                name: replace(one, n_max=(one.n_max or 0) + 1)
                for name, one in state.implementations.items()
            },
        ),
        "only the first implementation": lambda state: replace(
            state, implementations=dict([*state.implementations.items()][:1])
        ),
        "nothing is ever on": lambda state: replace(state, implementations={}),
    }.items():
        likely = "probe" if name == "idle counts as on" else "mtp+ngram"
        yield Mutant(name=name, area="witness", context=agreeing(change), first=(likely,))


# The checks.


def _checks() -> Iterator[Mutant]:
    for name in checks.CHECK_NAMES:
        yield Mutant(
            name=f"{name} always holds",
            area="check",
            context=lambda name=name: blind_to(name),  # type: ignore[misc]
            first=("probe",),
        )
        yield Mutant(
            name=f"{name} never holds",
            area="check",
            context=lambda name=name: _seeing(name, ok=False),  # type: ignore[misc]
            first=("b8929", "mtp", "spec_type"),
        )


def blind_to(check: str) -> AbstractContextManager[None]:
    """A check always holds."""
    return _seeing(check, ok=True)


@contextmanager
def _seeing(check: str, *, ok: bool) -> Iterator[None]:
    def judged(one: Check) -> Check:
        return replace(one, ok=ok) if one.name == check else one

    with ExitStack() as stack:
        for owner, name in (
            (demands, "check_plan"), (ValueSetting, "compare"), (SpeculationSetting, "compare"),
        ):  # fmt: skip
            right = getattr(owner, name)

            def many(*given: Any, right: Any = right) -> list[Check]:
                return [judged(one) for one in right(*given)]

            stack.enter_context(patched(owner, name, many))
        for name in ("check_start", "check_log"):
            right = getattr(cells, name)

            def single(*given: Any, right: Any = right) -> Check:
                return judged(right(*given))

            stack.enter_context(patched(cells, name, single))
        yield
