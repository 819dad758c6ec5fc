"""What all settings make of recorded servers, and the mutants of settings that must change it.

A recording is read, agreed on, judged against its command line and against others, and told as
``check`` tells it. A mutant is killed by the first recording of which anything else is told.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from harness.flags import families
from harness.flags.arguments import Argument, read_arguments, read_variables
from harness.flags.families import Family
from harness.model import Basis, CellResult, Check, Evidence, LaunchPlan, Verdict
from harness.report import command_line
from harness.report.command_line import CheckedLine
from harness.settings import state as states
from harness.settings import value as values
from harness.settings.base import DisagreementError
from harness.settings.observation import Observation
from harness.settings.said import Said
from harness.settings.speculation import setting as speculation
from harness.settings.state import SETTINGS, SPECULATION
from harness.settings.value import ValueSetting, Wish
from harness.verdicts import drift, findings, silent
from tests.mutants.panel import Kill, patched
from tests.unit.era import capabilities
from tests.unit.results import result
from tests.unit.settings.recorded import Recording, recordings

OTHERS: Final[Mapping[str, Sequence[str]]] = {
    "asked": (
        "-c 8k", "-c 512 -c 1000", "-b 64 --batch-size 256", "--temp 0,7", "-np 4 -c 0",
        "-ctk f16 -fa off", "--no-kv-unified --mmap", "--samplers top_p;temp", "-s -1 -n 18",
        "--chat-template chatml --nonsense --jinja", "--spec-type ngram-mod", "-ub 512 -t 4",
        "--reasoning-format deepseek -ctk", "-c 1000 -b 4096 -ub 4096", "--chat-template {{x}}",
    ),
    "managed": ("-l 71+2 -l 72+1", "--tools read_file", "-r other", "--log-file x", "--tags a",
                "-sps 0.9 --lora x.gguf --mmproj x.gguf"),
    "chat": ("--chat-template-kwargs {\"clear_thinking\":true} --reasoning off", "--cpu-moe"),
    "experts": ("-ot norm=GPU --n-cpu-moe 2", "--n-cpu-moe 40"),
    "served": ("--alias other", "--alias one", "--api-prefix /w", "-t -1 -tb -1"),
    "drafting": ("-ctkd f16 --spec-draft-n-max 7",),
    "ngram": ("--spec-type ngram-mod --spec-ngram-mod-n-max 9 --draft-max 9",),
    "plain": ("-fa auto -np -1 -c 0 --reasoning-format auto --no-mmap",
              "-m x.gguf --host 1.2.3.4 --port 9"),
}  # fmt: skip
"""Command lines that a recorded server was not started with, by the recording."""

VARIABLES: Final = {
    "LLAMA_ARG_CTX_SIZE": "999",
    "LLAMA_ARG_NO_SUCH": "1",
    "LLAMA_ARG_NO_MMAP": "0",
    "LLAMA_ARG_TOP_K": "3",
}
WARNINGS: Final = (
    "0.01.000.000 W usual: 17 is unsupported of /models/a.gguf",
    "0.01.000.000 W new: --batch-size is ignored",
    "0.01.000.000 I idle: n_ctx_train is unknown",
)
PLAIN_WARNINGS: Final = ("0.02.000.000 W usual: 18 is unsupported of /models/b.gguf",)


@dataclass(frozen=True, kw_only=True)
class Readings:
    """All recordings, and what is told of each without any mutant."""

    found: tuple[Recording, ...]

    @cached_property
    def baseline(self) -> Mapping[str, Mapping[str, object]]:
        return {str(one): told_of(one) for one in self.found}

    @cached_property
    def lines(self) -> Mapping[str, object]:
        return dict(self.checked())

    def checked(self) -> Iterator[tuple[str, object]]:
        """What is told of one command line on all builds."""
        for name in dict.fromkeys(one.name for one in self.found):
            line = _checked_line([one for one in self.found if one.name == name])
            yield (
                f"{name} as text",
                [[*command_line.finding_lines(one, line.demanded)] for one in line.findings],
            )
            yield f"{name} drift", [*command_line.drift_lines(line)]
            yield f"{name} table", [*command_line.settings_table(line)]
            yield f"{name} markdown", [*command_line.markdown_lines(line)]
            yield f"{name} JSON", command_line.as_json([line])
            for strict in (True, False):
                verdicts = [findings.exit_code([one], strict=strict) for one in line.findings]
                yield f"{name} exit {strict}", (
                    verdicts, findings.exit_code(line.findings, strict=strict)
                )  # fmt: skip

    def kill(self, first: Sequence[str] = ()) -> Kill | None:
        """The first recording of which anything else is told.

        Args:
            first: Names of the recordings to begin with.
        """
        ordered = sorted(self.found, key=lambda one: one.name not in first)
        for one in ordered:
            now = told_of(one)
            for part, told in self.baseline[str(one)].items():
                if now[part] != told:
                    return Kill(check=part, cell=str(one))
        for part, told in self.checked():
            if self.lines[part] != told:
                return Kill(check="report", cell=part)
        return None


def open_readings() -> Readings:
    """Every recording, with all that is told of it."""
    found = Readings(found=recordings())
    assert found.baseline
    assert found.lines
    return found


def told_of(one: Recording) -> dict[str, object]:
    """All that is told of a recorded server."""
    seen = states.testify(one.observation)
    told: dict[str, object] = {"disputes": _disputes(seen)}
    try:
        state = states.agree(seen)
    except DisagreementError as error:
        return {**told, "state": str(error), "supporters": (), "lines": (), "finding": ()}
    told["state"] = states.effective_state(one.observation)
    told["supporters"] = {
        name: SETTINGS[name].supporters(value, seen[name]) for name, value in state.items()
    }
    lines = [one.arguments, *_other_lines(one)]
    told["lines"] = [_judged(one, arguments, state) for arguments in lines]
    told["finding"] = finding(one, "--nonsense", "1", "-c", "8k")
    return told


def _other_lines(one: Recording) -> Iterator[tuple[Argument, ...]]:
    known = capabilities(one.build)
    for line in OTHERS.get(one.name, ()):
        yield read_arguments(line.split(), known)
        if line == OTHERS[one.name][0]:
            yield (*read_variables(VARIABLES, known), *read_arguments(line.split(), known))


def _judged(one: Recording, arguments: Sequence[Argument], state: Mapping[str, Any]) -> object:
    wishes = states.asked(arguments)
    checks = [
        check
        for name in wishes
        if name in state
        for check in SETTINGS[name].compare(wishes[name], state, arguments)
    ]
    plan = LaunchPlan(argv=(), env=VARIABLES)
    return (
        {name: wish.value if isinstance(wish, Wish) else wish for name, wish in wishes.items()},
        [(check.expected, check.observed, check.ok, check.argument) for check in checks],
        states.not_seen(arguments, wishes, state),
        silent.silent_effects(plan, arguments, capabilities(one.build), state, wishes),
        silent.silent_warnings(
            silent.warnings_in(WARNINGS), silent.warnings_in(PLAIN_WARNINGS), arguments
        ),
    )


def _disputes(seen: states.Seen) -> Sequence[str]:
    """The settings whose witnesses are not agreed with when the last of them lies."""
    found = []
    for name, evidence in seen.items():
        speaking = [each for each in evidence if each.speaks]
        if name == SPECULATION or len(speaking) < 2:
            continue
        last = speaking[-1]
        lied = [replace(each, value=other(each.value)) if each is last else each
                for each in evidence]  # fmt: skip
        try:
            SETTINGS[name].agree(lied)
        except DisagreementError:
            found.append(name)
    return found


def finding(one: Recording, *more: str) -> findings.Finding:
    """What ``check`` finds of it, for a line that asks for more than it was started with."""
    state = states.agree(states.testify(one.observation))
    arguments = (*one.arguments, *read_arguments(more, capabilities(one.build)))
    wishes = states.asked(arguments)
    checks = tuple(
        check
        for name in wishes
        if name in state
        for check in SETTINGS[name].compare(wishes[name], state, arguments)
        if not check.ok
    )
    drafts = state[SPECULATION].implementations
    made: CellResult = replace(
        result(build=one.build, status=Verdict.FAIL if checks else Verdict.PASS),
        effective={**state, SPECULATION: drafts},
        checks=checks,
        not_seen=states.not_seen(arguments, wishes, state),
        silent=silent.silent_effects(
            LaunchPlan(argv=one.argv), arguments, capabilities(one.build), state, wishes
        ),
        witnessed_by=dict.fromkeys(state, ("a", "b")),
    )
    return findings.finding_of(made, capabilities(one.build), one.argv, {}, {})


def _checked_line(found: Sequence[Recording]) -> CheckedLine:
    asked = {name for one in found for name in states.asked(one.arguments)}
    return CheckedLine(
        name="line",
        argv=found[-1].argv,
        env={},
        findings=tuple(finding(one, "--nonsense", "1") for one in found),
        demanded=frozenset(asked),
    )


def other(value: Any) -> Any:
    """Another value of the same kind."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case list():
            return [*value, "xtc"]
        case str():
            return f"{value}x"
    return value


# The mutants.


@dataclass(frozen=True, kw_only=True)
class ReadingMutant:
    """One mistake in a setting, or in what is made of settings.

    Attributes:
        first: Names of the recordings that are the likeliest to show it.
    """

    name: str
    context: Callable[[], AbstractContextManager[Any]]
    first: tuple[str, ...] = ()


UNHEARD: Final = frozenset({"model_ids", "models"})
"""Settings that only a router has, of which no server is recorded."""


def reading_mutants() -> tuple[ReadingMutant, ...]:
    """Every mutant of the settings."""
    return (*_witnesses(), *_wishes(), *_judges(), *_tellers())


def _value_settings() -> Iterator[ValueSetting]:
    for setting in SETTINGS.values():
        if isinstance(setting, ValueSetting) and setting.name not in UNHEARD:
            yield setting


@contextmanager
def _instead(setting: ValueSetting, **changes: Any) -> Iterator[None]:
    """Another setting in its place."""
    table: Any = SETTINGS
    table[setting.name] = replace(setting, **changes)
    try:
        yield
    finally:
        table[setting.name] = setting


def _witnesses() -> Iterator[ReadingMutant]:
    """Each witness of each setting is silent, or lies."""
    for setting in _value_settings():
        for place, reading in enumerate(setting.readings):
            for what, change in {"is silent": lambda _: None, "lies": other}.items():

                def read(seen: Observation, right: Any = reading.read, change: Any = change) -> Any:
                    told = right(seen)
                    return None if told is None else change(told)

                readings = list(setting.readings)
                readings[place] = replace(reading, read=read)
                yield ReadingMutant(
                    name=f"{setting.name}: {reading.witness} {place} {what}",
                    context=lambda setting=setting, readings=tuple(readings): _instead(  # type: ignore[misc]
                        setting, readings=readings
                    ),
                    first=("asked", "managed", "served", "chat"),
                )


def _wishes() -> Iterator[ReadingMutant]:
    """Each setting that is asked for reads no flag, or grants whatever is seen."""
    for setting in _value_settings():
        if setting.families:
            yield ReadingMutant(
                name=f"{setting.name}: no flag is read",
                context=lambda setting=setting: _instead(setting, families=()),  # type: ignore[misc]
                first=("asked", "managed", "served", "chat", "drafting"),
            )
        if setting.name in {
            "context", "batch", "ubatch", "threads", "model_id", "template", "slot_similarity",
            "tensor_overrides", "experts_on_cpu", "tools", "template_variables",
        }:  # fmt: skip
            for what, ok in {"all": True, "nothing": False}.items():
                yield ReadingMutant(
                    name=f"{setting.name}: {what} is granted",
                    context=lambda setting=setting, ok=ok: _instead(  # type: ignore[misc]
                        setting, grants=lambda *_: ok
                    ),
                    first=("asked", "managed", "served", "chat", "experts"),
                )


def _method(name: str, change: Callable[..., Any]) -> Callable[[], AbstractContextManager[Any]]:
    """A method of every setting with one value, changed."""
    right = getattr(ValueSetting, name)

    def changed(self: ValueSetting, *given: Any) -> Any:
        return change(lambda *new: right(self, *new), self, *given)

    return lambda: patched(ValueSetting, name, changed)


def _checked(**changes: Any) -> Callable[..., list[Check]]:
    return lambda right, _, *given: [replace(check, **changes) for check in right(*given)]


def _first_wish(right: Any, setting: ValueSetting, arguments: Sequence[Argument]) -> Any:
    of_it = [one for one in arguments if any(f.is_set_by(one) for f in setting.families)]
    return right(of_it if setting.adds_up else of_it[:1])


def _first_of_two(_right: Any, _: ValueSetting, evidence: Sequence[Evidence]) -> Any:
    return next((one.value for one in evidence if one.speaks), None)


def _only(basis: Basis) -> Callable[..., Any]:
    def agree(right: Any, _: ValueSetting, evidence: Sequence[Evidence]) -> Any:
        of_it = [one for one in evidence if one.basis is basis]
        return right(of_it if any(one.speaks for one in of_it) else evidence)

    return agree


def _judges() -> Iterator[ReadingMutant]:
    for name, context in {
        "agree takes the first of two": _method("agree", _first_of_two),
        "what was read outranks behaviour": _method("agree", _only(Basis.SETTINGS)),
        "nobody tells anything": _method("agree", lambda *_: None),
        "the first of several arguments counts": _method("asked", _first_wish),
        "nothing is asked for": _method("asked", lambda *_: None),
        "compare is always true": _method("compare", _checked(ok=True)),
        "compare is never true": _method("compare", _checked(ok=False)),
        "nobody is blamed": _method("compare", _checked(argument=None)),
        "every value is supported": _method("supporters", lambda _right, one, _, evidence: {
            one.name: tuple(each.witness for each in evidence)}),
        "nothing is supported": _method("supporters", lambda _, one, *__: {one.name: ()}),
        "anything is a value": lambda: patched(values, "ANYTHING", "nothing at all"),
        "cut-short numbers are whole": lambda: patched(Wish, "is_cut_short", False),
        "whole numbers are cut short": lambda: patched(
            Wish, "is_cut_short", property(lambda one: isinstance(one.value, int | float))),
        "all values are the same": lambda: patched(values, "same", lambda *_: True),
        "single precision is another number": lambda: patched(
            values, "same", lambda one, more: one == more),
        "numbers as single precision writes them": lambda: patched(
            values, "_shortest", lambda one: one),
        "a draft model's log is the model's": lambda: patched(
            Observation, "main", property(lambda seen: seen.startup)),
        "the model logs nothing": lambda: patched(
            Observation, "main", property(lambda _: Said(""))),
        "no flag negates": lambda: patched(Family, "is_negated_by", lambda *_: False),
        "every flag negates": lambda: patched(Family, "is_negated_by", lambda *_: True),
        "only flags are of a family": lambda: patched(
            Family, "is_set_by", lambda family, one: one.spelling in family.flags),
        "a port belongs to the state": lambda: patched(states, "OF_ONE_LAUNCH", frozenset()),
        "speculation is never asked for": lambda: patched(
            speculation, "asked_for", lambda _: {}),
        "speculation is always as asked for": lambda: patched(
            speculation, "compare", lambda *_: []),
        "speculation has no length": lambda: patched(families, "DRAFT_MAX", Family(flags=())),
    }.items():  # fmt: skip
        yield ReadingMutant(name=name, context=context, first=("asked", "served", "drafting"))


def _told(
    module: Any, name: str, change: Callable[[Any], Any]
) -> Callable[[], AbstractContextManager[Any]]:
    right = getattr(module, name)
    return lambda: patched(module, name, lambda *given, **more: change(right(*given, **more)))


def _finding(**changes: Any) -> Callable[[], AbstractContextManager[Any]]:
    right = findings.finding_of
    return lambda: patched(
        findings, "finding_of", lambda *given, **more: replace(right(*given, **more), **changes)
    )


def _tellers() -> Iterator[ReadingMutant]:
    for name, context in {
        "silent effects are off": _told(silent, "silent_effects", lambda _: ()),
        "unread variables are not told": _told(silent, "_unread", lambda _: ()),
        "what is set aside is not told": _told(silent, "_outdone", lambda _: ()),
        "what is changed is not told": _told(silent, "_changed", lambda _: ()),
        "options that add up are set aside": lambda: patched(silent, "_ADDS_UP", frozenset()),
        "every option adds up": lambda: patched(
            silent, "_ADDS_UP", frozenset({"--batch-size", "-b", "--ctx-size", "-c"})),
        "nothing is a warning": _told(silent, "warnings_in", lambda _: ()),
        "everything is a warning": lambda: patched(silent, "warnings_in", tuple),
        "warnings are not told": _told(silent, "silent_warnings", lambda _: ()),
        "warnings name nothing": _told(silent, "_meant", lambda _: ""),
        "a plain start warns of nothing": lambda: patched(
            silent, "_VARYING", re.compile("never")),
        "everything is seen": _told(states, "not_seen", lambda _: ()),
        "nothing is seen": _told(states, "not_seen", lambda told: (*told, "--unseen")),
        "nothing drifts": lambda: patched(command_line, "drift", lambda *_: ()),
        "what was asked for drifts": lambda: patched(
            command_line, "drift", lambda seen, _: drift.drift(seen)),
        "what the harness chose drifts": lambda: patched(drift, "OF_THE_HARNESS", frozenset()),
        "what lacks is not told": _finding(lacks=()),
        "what is silent is not told": _finding(silent=()),
        "what is not seen is not told": _finding(not_seen=()),
        "settings are not told": _finding(settings={}),
        "witnesses are not counted": _finding(witnesses={}),
        "everything is fine": _finding(status=Verdict.PASS),
        "nothing starts": _finding(starts=False),
        "remarks are not told": lambda: patched(command_line, "remarks", lambda _: ()),
        "an error is no failure of the run": lambda: patched(
            findings, "exit_code", lambda *_, **__: Verdict.PASS),
        "strict is not": lambda: patched(
            findings, "exit_code", _lenient(findings.exit_code)),
        "drafts are not plain settings": lambda: patched(findings, "flat", dict),
    }.items():  # fmt: skip
        yield ReadingMutant(name=name, context=context, first=("asked", "managed"))


def _lenient(right: Any) -> Callable[..., Verdict]:
    def lenient(found: Any, *, strict: bool) -> Verdict:
        del strict
        verdict: Verdict = right(found, strict=False)
        return verdict

    return lenient


def kill_reading(mutant: ReadingMutant, readings: Readings) -> Kill | None:
    """What kills a mutant; None for a survivor."""
    with mutant.context():
        return readings.kill(mutant.first)
