"""The ledger: known divergences, each with a reason, a link and the builds it covers.

It is strict. A cell that an entry covers must fail as the entry says: one that passes makes the
entry stale, and so does an entry that covers no build, mode or check there is.
"""

import fnmatch
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import msgspec

from harness.builds import Catalogue
from harness.checks import CHECK_NAMES
from harness.contract import canonical_mode
from harness.errors import LedgerError
from harness.model import CellResult, Mode, Verdict
from harness.toml_lines import line_of_field

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
    draft_n_max: tuple[int, ...] = ()
    emulated: bool = False

    def covers(self, result: CellResult, number: int) -> bool:
        """Whether a cell on a build of that number is one that this entry speaks of."""
        request = result.request
        length = -1 if request.draft_n_max is None else request.draft_n_max
        return (
            self.since <= number <= (number if self.until is None else self.until)
            and (self.emulated or not result.emulated)
            and fnmatch.fnmatchcase(result.subject, self.subject)
            and fnmatch.fnmatchcase(result.environment, self.environment)
            and fnmatch.fnmatchcase(request.model, self.model)
            and (not self.modes or canonical_mode(request.mode) in self.modes)
            and (not self.draft_n_max or length in self.draft_n_max)
        )


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    divergence: tuple[Entry, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """All entries of one file.

    Attributes:
        numbers: Each build's number, by id.
    """

    entries: tuple[Entry, ...]
    numbers: Mapping[str, int]

    def judge(self, result: CellResult) -> CellResult:
        """The result; ``known`` where it fails as an entry says, and in no other way."""
        if result.status is not Verdict.FAIL:
            return result
        failed = {check.name for check in result.checks if not check.ok}
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
                if result.status in {Verdict.PASS, Verdict.DEGRADED}
                and entry in self._covering(result)
            ]
            if passing:
                more = f" and {len(passing) - _SHOWN} more" if len(passing) > _SHOWN else ""
                lines.append(
                    f"ledger entry {entry.name} is stale: {', '.join(passing[:_SHOWN])}{more} no "
                    f"longer fails at {', '.join(entry.checks)}; narrow its bounds or remove it"
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
    return Ledger(entries=entries, numbers={build.id: build.number for build in catalogue.builds})


def pinned_file() -> Path:
    """The harness's own ledger, in a checkout or installed."""
    package = Path(__file__).resolve().parent
    installed = package / "_fixtures" / _FILE
    return installed if installed.is_file() else package.parent / "fixtures" / _FILE


def proposed_entries(results: Iterable[CellResult], catalogue: Catalogue) -> str:
    """TOML of entries that would cover the failing cells; for a human to judge and complete."""
    numbers = {build.id: build.number for build in catalogue.builds}
    groups: dict[tuple[str, tuple[str, ...], Mode], list[CellResult]] = {}
    for result in results:
        if result.status is Verdict.FAIL:
            failed = tuple(sorted({check.name for check in result.checks if not check.ok}))
            key = (result.subject, failed, canonical_mode(result.request.mode))
            groups.setdefault(key, []).append(result)
    return "\n".join(_proposed(*key, group, numbers) for key, group in groups.items())


def _proposed(
    subject: str,
    checks: Sequence[str],
    mode: Mode,
    group: Sequence[CellResult],
    numbers: Mapping[str, int],
) -> str:
    covered = sorted(numbers[result.build] for result in group)
    models = {result.request.model for result in group}
    environments = {result.environment for result in group}
    lines = [
        "[[divergence]]",
        f"name = {_quoted('-'.join((subject, mode, *checks)))}",
        f"subject = {_quoted(subject)}",
        f"checks = [{', '.join(map(_quoted, checks))}]",
        f"modes = [{_quoted(mode)}]",
        f"since = {covered[0]}",
        f"until = {covered[-1]}",
    ]
    if len(models) == 1:
        lines.append(f"model = {_quoted(models.pop())}")
    if len(environments) == 1:
        lines.append(f"environment = {_quoted(environments.pop())}")
    if all(result.emulated for result in group):
        lines.append("emulated = true")
    lines += ['reason = ""  # why it diverges, and who is right', 'link = ""', ""]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


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
    return None
