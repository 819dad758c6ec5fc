"""The ledger: known divergences, each with a reason, a link and the builds it covers.

It is strict. A cell that an entry covers must fail as the entry says: one that passes makes the
entry stale, and so does an entry that covers no build, mode or check there is.
"""

import fnmatch
import glob
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import msgspec

from harness.builds import Catalogue
from harness.config.toml_lines import line_of_field
from harness.environments import parse_environment
from harness.errors import LedgerError, UsageError
from harness.gguf_models.models import MODELS
from harness.model import GOOD, MODE_UNSET, CellResult, LoadRequest, Mode, Verdict
from harness.settings.speculation.contract import canonical_mode
from harness.subjects import check_subject
from harness.verdicts.checks import CHECK_NAMES

Glob = Annotated[str, msgspec.Meta(min_length=1)]
Reason = Annotated[str, msgspec.Meta(min_length=10)]
Link = Annotated[str, msgspec.Meta(pattern=r"^https?://\S+$")]

_FILE: Final = "ledger.toml"
_SHOWN: Final = 3


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One known divergence.

    Attributes:
        name: Unique, for reports.
        subject: Glob over the subject's spec.
        checks: The checks that fail, these and no others.
        reason: Why it diverges, and who is right.
        link: An issue, pull request or commit.
        since: The first build number it covers.
        until: The last one; no bound if None.
        environment: Glob over the environment.
        model: Glob over the model.
        modes: Canonical modes; every mode if empty.
        spellings: Modes as the user writes them, ``unset`` for none; every spelling if empty.
        draft_n_max: Draft lengths, -1 for "not given"; every length if empty.
        emulated: Whether it covers emulated builds too.
    """

    name: Glob
    subject: Glob
    checks: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    reason: Reason
    link: Link
    since: int
    until: int | None = None
    environment: Glob = "*"
    model: Glob = "*"
    modes: tuple[Mode, ...] = ()
    spellings: tuple[str, ...] = ()
    draft_n_max: tuple[int, ...] = ()
    emulated: bool = False

    def covers(self, result: CellResult, number: int) -> bool:
        """Whether a cell on a build of that number is one that this entry speaks of."""
        request = result.request
        return (
            self.since <= number <= (number if self.until is None else self.until)
            and (self.emulated or not result.emulated)
            and fnmatch.fnmatchcase(result.subject, self.subject)
            and fnmatch.fnmatchcase(result.environment, self.environment)
            and fnmatch.fnmatchcase(request.model, self.model)
            and (not self.modes or canonical_mode(request.mode) in self.modes)
            and (not self.spellings or request.spelling in self.spellings)
            and (not self.draft_n_max or length_of(request) in self.draft_n_max)
        )


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    divergence: tuple[Entry, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """All entries of one file.

    Attributes:
        file: Where they stand.
        numbers: Each build's number, by id.
    """

    file: Path
    entries: tuple[Entry, ...]
    numbers: Mapping[str, int]

    def judge(self, result: CellResult) -> CellResult:
        """The result; ``known`` where it fails as an entry says, and in no other way."""
        if result.status is not Verdict.FAIL:
            return result
        failed = {check.name for check in result.failed}
        for entry in self._covering(result):
            if failed == set(entry.checks):
                return replace(result, status=Verdict.KNOWN, ledger=entry.name)
        return result

    def stale(self, results: Sequence[CellResult]) -> tuple[str, ...]:
        """One line for each entry that some judged cell contradicts.

        Cells that nobody could judge contradict nothing.
        """
        lines = []
        for entry in self.entries:
            passing = [
                result.id
                for result in results
                if result.status in GOOD and entry in self._covering(result)
            ]
            if passing:
                more = f" and {len(passing) - _SHOWN} more" if len(passing) > _SHOWN else ""
                lines.append(
                    f"{entry.name}: should fail at {', '.join(entry.checks)}, but is good: "
                    f"{', '.join(passing[:_SHOWN])}{more}; narrow its bounds or remove it"
                )
        return tuple(lines)

    def _covering(self, result: CellResult) -> Iterator[Entry]:
        number = self.numbers.get(result.build)
        if number is not None:
            for entry in self.entries:
                if entry.covers(result, number):
                    yield entry


def load_ledger(catalogue: Catalogue, file: Path | None = None) -> Ledger:
    """Read a ledger, the harness's own if none is named.

    Raises:
        LedgerError: It cannot be read, an entry is wrong, or one matches nothing there is.
    """
    file = file or pinned_file()
    try:
        text = file.read_text(encoding="utf-8")
        entries = msgspec.convert(tomllib.loads(text), _File).divergence
    except (OSError, UnicodeDecodeError) as error:
        raise LedgerError(f"{file}: cannot be read as text: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise LedgerError(f"{file}: not valid TOML: {error}") from error
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        field = where.rstrip("`").lstrip(".")
        line = line_of_field(text, field)
        raise LedgerError(f"{file}:{line}: field {field}: {message}") from error
    for number, entry in enumerate(entries):
        wrong = _matches_nothing(entry, entries[:number], catalogue)
        if wrong:
            line = line_of_field(text, f"divergence[{number}].name")
            raise LedgerError(f"{file}:{line}: entry {entry.name}: {wrong}")
    return Ledger(
        file=file,
        entries=entries,
        numbers={build.id: build.number for build in catalogue.builds},
    )


def pinned_file() -> Path:
    """The harness's own ledger, in a checkout or installed."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_fixtures" / _FILE
    return installed if installed.is_file() else package.parent / "fixtures" / _FILE


def length_of(request: LoadRequest) -> int:
    """The draft length as an entry names it."""
    return -1 if request.draft_n_max is None else request.draft_n_max


def _matches_nothing(entry: Entry, before: Sequence[Entry], catalogue: Catalogue) -> str | None:
    if any(entry.name == other.name for other in before):
        return "another entry has the same name"
    unknown = next((name for name in entry.checks if name not in CHECK_NAMES), None)
    if unknown is not None:
        return f"no check is named {unknown}; there are {', '.join(CHECK_NAMES)}"
    until = entry.until
    covered = [
        build
        for build in catalogue.builds
        if entry.since <= build.number and (until is None or build.number <= until)
    ]
    if not any(entry.emulated or not build.emulated for build in covered):
        bound = "on" if until is None else f"to {until}"
        return f"no build of the catalogue is from {entry.since} {bound}"
    if not any(fnmatch.fnmatchcase(model, entry.model) for model in MODELS):
        return f"no model is {entry.model}; there are {', '.join(MODELS)}"
    meant = {canonical_mode(None if one == MODE_UNSET else one) for one in entry.spellings}
    if entry.modes and not meant <= set(entry.modes):
        return f"its spellings mean {', '.join(sorted(meant))}, its modes are others"
    return _names_nothing(entry)


def _names_nothing(entry: Entry) -> str | None:
    """What is wrong with a subject or an environment that is written out; a glob may mean any."""
    try:
        if not glob.has_magic(entry.subject):
            check_subject(entry.subject)
        if not glob.has_magic(entry.environment):
            parse_environment(entry.environment)
    except UsageError as error:
        return str(error)
    return None
