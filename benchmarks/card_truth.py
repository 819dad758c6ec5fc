"""Does a server that finds a spoofed card do what it did on a real one?

Every case of ``fixtures/card/cases.json`` is a command line. What a CUDA build of llama-server did
with it on an H100 (two for some) is in ``fixtures/card/truth-BUILD.json``; here the usual CPU build
of the same number runs it in the spoof of that machine. Compared are outcome and exit status,
contexts, devices, layers, every buffer, flash attention, graph and splits, pipeline, the steps of
fitting, errors and warnings. Cases that are known to differ are in ``fixtures/card/explained.json``
with the reason; any other difference fails, as does a reason for a case that agrees.

    python -m benchmarks.card_truth --build b9246
    python -m benchmarks.card_truth --build b11434 --only 'left *'
"""

import argparse
import concurrent.futures
import fnmatch
import json
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks._card_driver import BUFFERS, SAID_ANYWAY, Case, Record, applies, run_case
from benchmarks._card_models import random_twin, write_deep, write_head32
from benchmarks._figures import add_json_option, keep
from harness.builds import AcquiredBuild
from harness.builds.catalogue import load_catalogue
from harness.builds.headers import CARD_STARTER
from harness.builds.locations import cache_root
from harness.cells.qualification import open_store
from harness.environments.card import compile_card
from harness.environments.machine import Card, SpoofedMachine, load_profile
from harness.environments.native_libraries import native_libraries
from harness.environments.spoof import spoof_directory
from harness.errors import EXIT_FAIL, EXIT_OK, HarnessError, UsageError
from harness.gguf_models.files import ensure_models
from harness.server.failure import ATTEMPTS

FIXTURES: Final = Path(__file__).resolve().parents[1] / "fixtures" / "card"
PROFILE: Final = FIXTURES / "machine.toml"
CASES: Final = FIXTURES / "cases.json"
EXPLAINED: Final = FIXTURES / "explained.json"
GOAL: Final = 0.95

LISTS: Final = ("devices", "layers", *BUFFERS, "fa", "graph", "pipeline", "fit")
ASPECTS: Final[Mapping[str, Sequence[str]]] = {
    "outcome": ("outcome",),
    "contexts": ("n_ctx", "slots", "speculative"),
    **{name: (name,) for name in LISTS},
    "log": ("errors", "warnings"),
}
"""What is compared, and the fields of a record that it is in."""

BROKEN: Final = re.compile(r"up, (?:then )?\w+: .*?(?: exit (?P<status>-?\d+))?$")
SOURCE_LINE: Final = re.compile(r"(\.cu):\d+")

TOKENS: Final = 8
"""How many a case is asked for: what they are is not compared."""

TINY: Final = {"tiny": "tiny-llama", "draft": "tiny-draft", "mtp": "tiny-mtp"}
"""The tiny models by the name that cases use."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The server under test.

    Attributes:
        build: The build's id.
        server: The program.
        library: The card's library for it.
        starter: Whether it was linked with the starter.
    """

    build: str
    server: Path
    library: Path
    starter: bool

    def variables(self) -> Mapping[str, str]:
        """What makes it load the library."""
        name = "LLAMA_HARNESS_CARD" if self.starter else "GGML_BACKEND_PATH"
        return {name: str(self.library)}


def main() -> int:
    """Run the cases, and tell how many agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--build", action="append", help="default: all that were recorded")
    parser.add_argument("--server", type=Path, help="a program in place of the store's")
    parser.add_argument("--headers", type=Path, help="the headers it was compiled with")
    parser.add_argument("--starter", action="store_true", help="that program has the starter")
    parser.add_argument("--only", default="*", help="patterns of case names, with | between")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--truth", type=Path, help="a record other than the one in fixtures")
    parser.add_argument("--cases", type=Path, default=CASES, help="cases other than those")
    parser.add_argument("--records", type=Path, help="write what was seen")
    add_json_option(parser, "card_truth")
    options = parser.parse_args()
    recorded = (file.stem.removeprefix("truth-") for file in sorted(FIXTURES.glob("truth-*.json")))
    figures: list[Mapping[str, Any]] = []
    try:
        for build in options.build or recorded:
            options.build = build
            figures.append(compare(options))
    except HarnessError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    keep("A spoofed card against a real one; by aspect, how many differ", figures, options.json)
    good = all(
        one["cases"] and not one["not_explained"] and one["agree"] >= GOAL * one["cases"]
        for one in figures
    )
    return EXIT_OK if good else EXIT_FAIL


def compare(options: argparse.Namespace) -> Mapping[str, Any]:
    """Run and compare the cases of one build; its figures."""
    file = options.truth or FIXTURES / f"truth-{options.build}.json"
    if not file.is_file():
        raise UsageError(f"no card was recorded with {options.build}: there is no {file}")
    recorded = json.loads(file.read_text(encoding="utf-8"))
    truth: Mapping[str, Record] = recorded["cases"]
    machine = load_profile(str(FIXTURES / recorded.get("machine", PROFILE.name)))
    wanted = options.only.split("|")
    cases = [
        case
        for case in json.loads(options.cases.read_text(encoding="utf-8"))
        if case["id"] in truth
        and any(fnmatch.fnmatchcase(case["id"], pattern) for pattern in wanted)
        and applies(case, options.build, int(case.get("cards", 1)))
    ]
    server = chosen(options)
    with tempfile.TemporaryDirectory(prefix="card-truth-") as scratch:
        models = write_models(Path(scratch))
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            ran = pool.map(
                lambda case: in_spoof(
                    case, truth[case["id"]], server, models, machine=machine, scratch=Path(scratch)
                ),
                cases,
            )
            seen = dict(zip((str(case["id"]) for case in cases), ran, strict=True))
    if options.records:
        options.records.write_text(json.dumps(seen, indent=0), encoding="utf-8")
    return verdict(options, truth, seen)


def verdict(
    options: argparse.Namespace, truth: Mapping[str, Record], seen: Mapping[str, Record]
) -> Mapping[str, Any]:
    """Print what differs; the figures."""
    told = json.loads(EXPLAINED.read_text(encoding="utf-8")) if EXPLAINED.is_file() else {}
    explained: Mapping[str, str] = told.get(options.build, {})
    apart = {name: differences(truth[name], record) for name, record in seen.items()}
    unexplained = 0
    for name, differs in apart.items():
        reason = explained.get(name, "")
        if bool(differs) is bool(reason):
            if differs:
                print(f"{name}: {', '.join(differs)}: {reason}")
            continue
        unexplained += 1
        print(f"{name}: {', '.join(differs) or 'agrees, though it is said to differ'}")
        for aspect in differs:
            for field in ASPECTS[aspect]:
                real, spoofed = truth[name].get(field), seen[name].get(field)
                if real != spoofed:
                    print(f"    {field} on the card:  {left_over(real, spoofed)}")
                    print(f"    {field} in the spoof: {left_over(spoofed, real)}")
    same = sum(not differs for differs in apart.values())
    return {
        "build": options.build,
        "cases": len(apart),
        "agree": same,
        "share": f"{same / len(apart):.1%}" if apart else "",
        "not_explained": unexplained,
        **{aspect: sum(aspect in differs for differs in apart.values()) for aspect in ASPECTS},
    }


def differences(real: Record, spoofed: Record) -> list[str]:
    """The aspects in which two records of a case differ."""
    differs = []
    for aspect, fields in ASPECTS.items():
        if aspect == "log" and ended_by_signal(real):
            continue  # what was last said is lost at random
        if any(not same(field, real, spoofed) for field in fields):
            differs.append(aspect)
    return differs


def same(field: str, real: Record, spoofed: Record) -> bool:
    """Whether a field is the same in two records."""
    one, other = real.get(field), spoofed.get(field)
    if field == "outcome":
        return same_outcome(one, other)
    if field in {"errors", "warnings"}:
        one, other = about_devices(one), about_devices(other)
    if field == "pipeline":
        one, other = sorted(one or ()), sorted(other or ())
    if isinstance(one, list) and isinstance(other, list) and ended_by_signal(real):
        shorter = min(len(one), len(other))
        return one[:shorter] == other[:shorter]
    return (one or None) == (other or None)


def about_devices(lines: Any) -> list[str]:
    """Lines without those in which the server speaks of other things, or of its end.

    In no order: a server writes some itself and has others written by a thread. Which line of its
    source a build names cannot be told from its headers.
    """
    told = (line for line in lines or () if not SAID_ANYWAY.search(line))
    return sorted(SOURCE_LINE.sub(r"\1", line) for line in told)


def same_outcome(one: Any, other: Any) -> bool:
    """Whether two outcomes are the same, in whatever words a broken connection is told.

    A server that broke off may still be ending when it is asked for its status.
    """
    broken = [found for text in (one, other) if (found := BROKEN.match(str(text)))]
    if len(broken) < len((one, other)):
        return bool(one == other)
    return len({found["status"] for found in broken if found["status"]}) <= 1


def ended_by_signal(record: Record) -> bool:
    """Whether the server ended in a way that cuts its log short."""
    return "exit -" in str(record.get("outcome"))


def left_over(one: Any, other: Any) -> Any:
    """What is in one value and not in another."""
    if isinstance(one, list) and isinstance(other, list):
        return [each for each in one if each not in other]
    return one


def chosen(options: argparse.Namespace) -> Subject:
    """The server to run, with its library.

    Raises:
        UsageError: It cannot be given a card.
    """
    if options.server:
        return subject(options.build, options.server, options.headers, starter=options.starter)
    return stored(open_store().acquire(load_catalogue().get(options.build)))


def stored(build: AcquiredBuild) -> Subject:
    """The server of a stored build.

    Raises:
        UsageError: It cannot be given a card.
    """
    starter = CARD_STARTER in build.manifest.details
    return subject(build.build.id, build.binary, build.headers, starter=starter)


def subject(build: str, server: Path, headers: Path | str, *, starter: bool) -> Subject:
    """A server, with its library.

    Raises:
        UsageError: It cannot be given a card.
    """
    if not isinstance(headers, Path):
        raise UsageError(f"{build} has no headers: {headers}")
    library = compile_card(headers, cache_root() / "card")
    if isinstance(library, str):
        raise UsageError(library)
    return Subject(build=build, server=server, library=library, starter=starter)


def write_models(directory: Path) -> Mapping[str, Path]:
    """The models of the cases, by the name that cases use."""
    tiny = ensure_models(cache_root() / "models")
    made = {name: tiny[model].path for name, model in TINY.items()}
    mixture = tiny["tiny-mtp"].fallback_path
    assert mixture is not None, "the file of tiny-mtp for older builds is a mixture of experts"
    made["moe"] = mixture
    for name, model in (("rand", "tiny"), ("randmtp", "mtp")):
        made[name] = directory / f"{name}.gguf"
        random_twin(made[model], made[name], seed=7)
    for name, write in (("deep", write_deep), ("head32", write_head32)):
        made[name] = directory / f"{name}.gguf"
        write(made[name])
    linked = {}
    for name, path in made.items():
        linked[name] = directory / f"{name}.gguf"
        if path != linked[name]:
            linked[name].symlink_to(path)
    return linked


def in_spoof(
    case: Case,
    truth: Record,
    server: Subject,
    models: Mapping[str, Path],
    *,
    machine: SpoofedMachine,
    scratch: Path,
) -> Record:
    """Run a case in the spoof of the machine that the record was taken on."""
    with spoofed(case, truth, machine, scratch) as (libraries, cards):
        variables = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GGML_", "LLAMA_")) and name != "CUDA_VISIBLE_DEVICES"
        }
        variables |= {"LD_LIBRARY_PATH": str(libraries), **server.variables()}
        words = {"uuid": cards[0].uuid, "uuid8": cards[0].uuid[:12]}
        for _ in range(ATTEMPTS):
            seen = run_case(
                case, server.server, models, variables=variables, words=words, tokens=TOKENS
            )
            if not lost_words(truth, seen):
                break
        return seen


def lost_words(real: Record, spoofed: Record) -> bool:
    """Whether a server ended by itself before all its words were written, as some do at random."""
    said, wanted = (Counter(about_devices(one.get("errors"))) for one in (spoofed, real))
    alike = same("outcome", real, spoofed) and "exit" in str(spoofed.get("outcome"))
    return alike and said < wanted


@contextmanager
def spoofed(
    case: Case, truth: Record, machine: SpoofedMachine, scratch: Path
) -> Iterator[tuple[Path, Sequence[Card]]]:
    """The libraries of the recorded machine, as full as it was found; its cards."""
    cards = machine.cards[: int(case.get("cards", 1))]
    if case.get("leave") is not None:
        first = cards[0]
        room = first.memory_total_mib - first.memory_reserved_mib
        # A context that found no place was not told how much is free.
        seen = truth.get("free_seen") or 0
        used = room - first.context_mib - int(seen) if seen else room - int(case["leave"])
        cards = (msgspec.structs.replace(first, memory_used_mib=used), *cards[1:])
    found = msgspec.structs.replace(machine, cards=cards)
    with (
        tempfile.TemporaryDirectory(prefix="spoof-", dir=scratch) as folder,
        spoof_directory(Path(folder) / "spoof", found, native=native_libraries()) as spoof,
    ):
        yield spoof.libraries, cards


if __name__ == "__main__":
    sys.exit(main())
