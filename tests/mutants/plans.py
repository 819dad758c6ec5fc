"""Plans that are broken on purpose, each in one way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from harness.model import LaunchPlan, LaunchTarget, LoadRequest
from harness.subjects import Subject

Change = Callable[[LaunchPlan, LaunchTarget], LaunchPlan]


class ChangedPlan:
    """A subject whose every plan is changed."""

    def __init__(self, subject: Subject, change: Change) -> None:
        self._subject = subject
        self._change = change

    @property
    def name(self) -> str:
        """The spec of the subject that is changed."""
        return self._subject.name

    def plan(self, request: LoadRequest, target: LaunchTarget) -> LaunchPlan:
        """The changed plan; errors as the subject's own."""
        return self._change(self._subject.plan(request, target), target)


_MTP: Final = LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=5)


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A bad cell.

    Attributes:
        change: What is done to the reference's plan.
        check: The check that must catch it.
    """

    change: Change
    check: str
    builds: tuple[str, ...] = ("b9246",)
    request: LoadRequest = _MTP


def added(*words: str) -> Change:
    """Words at the end."""
    return lambda plan, _: replace(plan, argv=(*plan.argv, *words))


def swapped(old: str, new: str) -> Change:
    """One word for another."""
    return lambda plan, _: replace(
        plan, argv=tuple(new if word == old else word for word in plan.argv)
    )


def valued(flag: str, value: str) -> Change:
    """Another value for a flag."""

    def change(plan: LaunchPlan, _: LaunchTarget) -> LaunchPlan:
        argv = list(plan.argv)
        if flag in argv:
            argv[argv.index(flag) + 1] = value
        return replace(plan, argv=tuple(argv))

    return change


def dropped(flag: str, *, with_value: bool = True) -> Change:
    """A flag less, its value too."""

    def change(plan: LaunchPlan, _: LaunchTarget) -> LaunchPlan:
        argv = list(plan.argv)
        if flag in argv:
            place = argv.index(flag)
            del argv[place : place + 1 + with_value]
        return replace(plan, argv=tuple(argv))

    return change


def with_variable(name: str, value: str) -> Change:
    """A variable more."""
    return lambda plan, _: replace(plan, env={**plan.env, name: value})


def silenced(plan: LaunchPlan, _: LaunchTarget) -> LaunchPlan:
    """No reason given."""
    return replace(plan, reason=None)


def shortened(plan: LaunchPlan, _: LaunchTarget) -> LaunchPlan:
    """The last word lost."""
    return replace(plan, argv=plan.argv[:-1])


_NGRAM: Final = LoadRequest(model="tiny-mtp", mode="ngram")
_OWN: Final = LoadRequest(
    model="tiny-mtp", mode="mtp", draft_n_max=5, extra_args=("--spec-type", "ngram-simple")
)

PROBES: Final[Mapping[str, Probe]] = MappingProxyType(
    {
        "unknown flag": Probe(change=added("--bogus"), check="flags-offered"),
        "does not start": Probe(change=valued("--spec-type", "bogus"), check="starts"),
        "removed flag": Probe(change=added("--draft-max", "5"), check="flags-offered"),
        "given twice": Probe(
            change=added("--spec-draft-n-max", "5"),
            check="no-flag-twice",
            builds=("b9246", "b11434"),
        ),
        "warned of": Probe(change=added("-c", "512"), check="no-warning", builds=("b8929",)),
        "minimum above": Probe(
            change=added("--draft-min", "48"),
            check="min-not-above-max",
            builds=("emulated-legacy-mtp",),
        ),
        "minimum of ngram above": Probe(
            change=valued("--spec-ngram-mod-n-min", "65"), check="draft-n-min", request=_NGRAM
        ),
        "wrong length": Probe(
            change=valued("--spec-draft-n-max", "6"),
            check="draft-n-max",
            builds=("b9246", "b11434"),
        ),
        "minimum above the default": Probe(
            change=added("--draft-min", "48"),
            check="min-not-above-max",
            builds=("b8929",),
            request=LoadRequest(model="tiny-mtp", mode="ngram-simple"),
        ),
        "set up but idle": Probe(
            change=added("--spec-draft-n-min", "48"), check="implementations"
        ),
        "nothing on": Probe(change=dropped("--spec-type"), check="implementations"),
        "cut short": Probe(change=added("--temp", "0,7"), check="effect"),
        "unsaid": Probe(change=silenced, check="says-why", builds=("b8929",)),
        "beside the user's own": Probe(
            change=added("--spec-draft-n-max", "5"),
            check="only-users-speculation",
            request=_OWN,
        ),
        "silent log": Probe(
            change=added("--log-disable"), check="two-witnesses", builds=("b9246", "b9093"),
            request=_NGRAM,
        ),
    }
)  # fmt: skip
