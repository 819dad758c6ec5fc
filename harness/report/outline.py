"""The shape that every rendering shares: blocks by subject and environment, requests by builds."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from harness.errors import EXIT_CANNOT_TELL, EXIT_FAIL, EXIT_OK
from harness.model import BAD, SPOOFED, CellResult, DraftRange, LoadRequest, Verdict

SHORT_NAMES: Final[Mapping[str, str]] = {
    "draft-mtp": "mtp",
    "draft-simple": "draft",
    "ngram-mod": "ngram",
}
"""What tables call the implementations that the contract names."""

_Key = TypeVar("_Key", bound=Hashable)

_USUAL: Final = LoadRequest(model="", mode=None)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a verdict looks like.

    Attributes:
        mark: In Markdown.
        style: In a table on a terminal.
        letter: In pytest's progress; empty for pytest's own.
    """

    mark: str
    style: str
    letter: str = ""


LOOKS: Final[Mapping[Verdict, Look]] = {
    Verdict.FAIL: Look(mark="❌", style="bold red"),
    Verdict.FLAKY: Look(mark="🎲", style="bold magenta", letter="~"),
    Verdict.ERROR: Look(mark="⚠️", style="bold magenta", letter="E"),
    Verdict.KNOWN: Look(mark="🟣", style="yellow", letter="k"),
    Verdict.DEGRADED: Look(mark="🟡", style="yellow", letter="d"),
    Verdict.PASS: Look(mark="✅", style="green"),
}
"""Every verdict, the worst first."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """One subject in one environment.

    Attributes:
        rows: Its results by request and build.
    """

    subject: str
    environment: str
    host: str
    builds: tuple[str, ...]
    rows: Mapping[str, Mapping[str, CellResult]]


def grouped(
    results: Iterable[CellResult], key: Callable[[CellResult], _Key]
) -> Mapping[_Key, list[CellResult]]:
    """The results by what they have in common, in the order of the first of each."""
    groups: dict[_Key, list[CellResult]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return groups


def blocks(results: Sequence[CellResult]) -> Iterator[Block]:
    """The blocks, in the order of the results."""
    groups = grouped(results, lambda result: (result.subject, result.environment))
    for (subject, environment), group in groups.items():
        requests = grouped(group, lambda result: request_text(result.request))
        yield Block(
            subject=subject,
            environment=environment,
            host=host_text(group),
            builds=tuple(dict.fromkeys(result.build for result in group)),
            rows={
                request: {result.build: result for result in row}
                for request, row in requests.items()
            },
        )


def request_text(request: LoadRequest) -> str:
    """A load request in one line."""
    return _request_text(request, request.spelling, length_text(request), request.model)


def request_texts(requests: Iterable[LoadRequest]) -> Iterator[str]:
    """The same of many: those that differ only in draft length, model or mode share a text."""
    lengths: dict[LoadRequest, list[str]] = {}
    for request in requests:
        lengths.setdefault(replace(request, draft_n_max=None), []).append(length_text(request))
    models: dict[tuple[LoadRequest, str], list[str]] = {}
    for plain, of_plain in lengths.items():
        key = (replace(plain, model=""), ",".join(of_plain))
        models.setdefault(key, []).append(plain.model)
    modes: dict[tuple[LoadRequest, str, str], list[str]] = {}
    for (plain, asked), of_models in models.items():
        shared = (replace(plain, mode=None), asked, ",".join(of_models))
        modes.setdefault(shared, []).append(plain.spelling)
    for (plain, asked, named), spelled in modes.items():
        yield _request_text(plain, "|".join(spelled), asked, named)


def length_text(request: LoadRequest) -> str:
    """The draft length that was asked for."""
    return "default" if request.draft_n_max is None else str(request.draft_n_max)


def _request_text(request: LoadRequest, mode: str, length: str, model: str) -> str:
    words = [mode, f"n={length}", model, *request.extra_args]
    if request.context_length != _USUAL.context_length:
        words.append(f"context={request.context_length}")
    if request.cache_type is not None:
        words.append(f"cache={request.cache_type}")
    if request.chat_template is not None:
        words.append(f"template={request.chat_template}")
    return " ".join(words)


def host_text(results: Sequence[CellResult]) -> str:
    """The GPUs that applications saw in the cells, and where the servers really computed."""
    host = next((result.host for result in results if result.host is not None), None)
    gpus = ", ".join(gpu.name for gpu in host.gpus) if host else ""
    listed = {result.devices for result in results if result.devices is not None}
    if not gpus and listed <= {()}:
        return "no GPU"
    return "; ".join([gpus or "no GPU", *([_devices_text(listed)] if listed else [])])


def _devices_text(listed: Iterable[tuple[str, ...]]) -> str:
    """The CPU of servers that list no device, and the devices of the others."""
    names = sorted({_names(devices) or "the CPU" for devices in listed})
    return f"servers on {' or on '.join(names)}"


def _names(devices: tuple[str, ...]) -> str:
    """Devices in one line; spoofed ones by their number alone, for the host tells what they are."""
    if not devices or not all(device.endswith(SPOOFED) for device in devices):
        return ", ".join(devices)
    return ", ".join(device.partition(":")[0] for device in devices) + SPOOFED


def label(result: CellResult) -> str:
    """What a cell came to, in a few characters."""
    if result.status not in BAD:
        return short_state(result.drafts)
    check = next(iter(result.failed), None)
    argument = (check.argument if check else None) or (
        result.failure.argument if result.failure else None
    )
    what = check.name if check else (result.failure.kind if result.failure else result.status).value
    return f"{what} {argument or ''}".strip()


def why(result: CellResult) -> str:
    """What went wrong in a bad cell, in one line or a few."""
    if result.attempts:
        return "came out as " + ", then ".join(one.status.value for one in result.attempts)
    lines = [result.failure.message] if result.failure else []
    lines += [
        f"{check.name}: expected {check.expected}, observed {check.observed}"
        for check in result.failed
    ]
    return "\n".join(lines) or result.status.value


def short_state(effective: Mapping[str, DraftRange] | None) -> str:
    """An effective state in a few characters, e.g. ``mtp 5 + ngram 64``."""
    if effective is None:
        return "?"
    if not effective:
        return "off"
    return " + ".join(
        f"{SHORT_NAMES.get(name, name)} {'' if length.n_max is None else length.n_max}".strip()
        for name, length in effective.items()
    )


def counts(results: Sequence[CellResult]) -> str:
    """``360 cells: 216 pass, 128 degraded, 16 fail``, and how many an earlier run found."""
    if not results:
        return "no cells"
    remembered = remembered_text(results)
    told = f"{len(results)} cells: {of_each(results, Verdict)}"
    return f"{told}; {remembered}" if remembered else told


def remembered_text(results: Sequence[CellResult]) -> str:
    """How many results an earlier run found, and when; empty where none."""
    when = sorted(result.remembered for result in results if result.remembered)
    if not when:
        return ""
    span = when[0] if when[0] == when[-1] else f"{when[0]} … {when[-1]}"
    return f"{len(when)} remembered, found {span}"


def of_each(results: Sequence[CellResult], verdicts: Iterable[Verdict]) -> str:
    """How many cells came to each verdict that there is, in an order."""
    numbers = Counter(result.status for result in results)
    return ", ".join(f"{numbers[one]} {one.value}" for one in verdicts if numbers[one])


def offending(result: CellResult) -> list[str]:
    """The flags and variables to blame, in order."""
    blamed = {check.argument for check in result.failed}
    blamed.add(result.failure.argument if result.failure else None)
    return sorted(argument for argument in blamed if argument)


def verdict_status(verdicts: Iterable[Verdict]) -> int:
    """The exit status that the verdicts alone call for; a failure goes before what is unknown."""
    bad = BAD.intersection(verdicts)
    if Verdict.FAIL in bad:
        return EXIT_FAIL
    return EXIT_CANNOT_TELL if bad else EXIT_OK
