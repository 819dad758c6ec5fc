"""The atlas's word against a launch: where they disagree the harness is wrong."""

from dataclasses import dataclass

from harness.flags.atlas import dashed, load_atlas
from harness.flags.standing import Fault, Outlook, Status, standing
from harness.model import CellResult, FailureKind, Verdict

_REFUSALS = frozenset({FailureKind.UNKNOWN_ARGUMENT, FailureKind.REMOVED_ARGUMENT})


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """A build that does otherwise than the atlas says.

    Attributes:
        word: The flag or variable.
        message: What either says.
    """

    build: str
    word: str
    message: str

    def __str__(self) -> str:
        return f"an error of the harness: {self.message}; please report it"


def disagreement(result: CellResult, number: int | None) -> Disagreement | None:
    """What a launch shows to be wrong in the atlas; None where the two agree or one is silent.

    Args:
        result: Of a cell.
        number: Upstream's number of its build; None where it has none.
    """
    if number is None or number not in load_atlas():
        return None
    stands = standing(result.argv, result.env, number)
    faults = [fault for fault in stands.faults if _was_given(fault, result)]
    if result.effective is not None:
        if stands.status is not Status.REFUSED or not faults:
            return None
        words = f"{faults[0].word} {faults[0].value}".strip()
        return Disagreement(
            build=result.build,
            word=faults[0].word,
            message=f"the atlas says that {result.build} refuses {words}, and it starts with that",
        )
    failure = result.failure
    word = failure.argument if failure and failure.kind in _REFUSALS else None
    told = {dashed(fault.word) for fault in stands.faults}
    if word is None or word not in (*result.argv, *result.env) or dashed(word) in told:
        return None
    return Disagreement(
        build=result.build,
        word=word,
        message=f"{result.build} refuses {word}, and the atlas says that it takes it",
    )


def _was_given(fault: Fault, result: CellResult) -> bool:
    """Whether the server was started with the word, or with something in its place."""
    replaced = {one.given.replace("=", " ").split(" ")[0] for one in result.replaced}
    return fault.word not in {*(one.word for one in result.left_out), *replaced}


def verdict_of(outlook: Outlook, number: int | None) -> Verdict:
    """What the atlas says of a build, as a verdict."""
    found = None if number is None else outlook.at(number)
    if found is None or found.standing.status is Status.OPEN:
        return Verdict.ERROR
    return Verdict.FAIL if found.standing.status is Status.REFUSED else Verdict.PASS
