"""How many of the most used flags of llama-server ``check`` can judge, build by build.

Each flag of ``fixtures/flags/most_used.toml`` is given alone, or with what it needs, and with its
example value. It is judged where a witness tells what it sets; not so where it needs a device that
is not here.

    nox -s bench -- settings_coverage
"""

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks._figures import add_json_option, keep
from harness.errors import EXIT_CANNOT_TELL, EXIT_FAIL, EXIT_OK
from harness.flags.capabilities import parse_help
from harness.gguf_models.writer import write_projector
from harness.settings.state import SETTINGS

FIXTURES: Final = Path(__file__).parents[1] / "fixtures"
BUILDS: Final = ("py0.3.16", "b8929", "b9246", "b9464", "b11434")
WANTED: Final = 0.9
TEMPLATE: Final = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
CHECKED: Final = {EXIT_OK, EXIT_FAIL, EXIT_CANNOT_TELL}


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one build says of one flag.

    Attributes:
        witnesses: How many tell what it sets; 0 where it is not seen.
        remark: Why it is not seen, or that its value was the harness's own.
    """

    flag: str
    build: str
    witnesses: int
    remark: str = ""


def main() -> int:
    """Print a row for each build and every flag that is not seen, and keep both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", action="append", default=[], help="default: " + " ".join(BUILDS))
    add_json_option(parser, "settings_coverage")
    options = parser.parse_args()
    builds = tuple(options.build) or BUILDS
    told = [*_all_told(builds)]
    figures = [_figure(build, [one for one in told if one.build == build]) for build in builds]
    figures.append(_figure("all", told))
    keep("most used flags that a witness tells", figures, options.json)
    return 0 if all(float(str(row["judged"])) >= WANTED for row in figures) else 1


def _figure(build: str, told: Sequence[Told]) -> Mapping[str, object]:
    judged = [one for one in told if one.witnesses]
    return {
        "build": build,
        "offered": len(told),
        "judged": round(len(judged) / len(told), 3),
        "by_two_witnesses": round(sum(one.witnesses > 1 for one in told) / len(told), 3),
        "not_seen": ", ".join(
            dict.fromkeys(f"{one.flag} ({one.remark})" for one in told if not one.witnesses)
        ),
        "of_the_harness": ", ".join(dict.fromkeys(one.flag for one in judged if one.remark)),
    }


def _all_told(builds: Sequence[str]) -> Iterator[Told]:
    flags = tomllib.loads((FIXTURES / "flags/most_used.toml").read_text("utf-8"))["flag"]
    helps = {
        build: parse_help((FIXTURES / f"help/{build}.txt").read_text("utf-8")) for build in builds
    }
    with tempfile.TemporaryDirectory() as folder:
        files = {"projector": Path(folder, "projector.gguf"), "template": Path(folder, "own.jinja")}
        write_projector(files["projector"])
        files["template"].write_text(TEMPLATE, encoding="utf-8")
        for flag in flags:
            by_line: dict[str, list[str]] = {}
            for build in builds:
                line = flag.get("examples", {}).get(build, flag["example"])
                if all(helps[build].offers(word) for word in line.split() if word.startswith("-")):
                    by_line.setdefault(line, []).append(build)
            for line, those in by_line.items():
                words = line.format_map(files).split()
                for build, finding in _check(words, those).items():
                    yield _told(flag, words, build, finding)


def _check(words: Sequence[str], builds: Sequence[str]) -> Mapping[str, Any]:
    """The findings of ``check --json``, by build."""
    chosen = [word for build in builds for word in ("--build", build)]
    done = subprocess.run(
        [sys.executable, "-m", "harness", "check", "--json", *chosen, "--", *words],
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode not in CHECKED:
        sys.exit(f"check {' '.join(words)}: status {done.returncode}")
    found: Mapping[str, Any] = json.loads(done.stdout)["command_lines"][0]["builds"]
    return found


def _told(
    flag: Mapping[str, Any], words: Sequence[str], build: str, finding: Mapping[str, Any]
) -> Told:
    name, spellings = flag["flag"], {*flag["spellings"], *words}
    if not finding["starts"]:
        return Told(flag=name, build=build, witnesses=0, remark=finding["message"])
    untold = dict.fromkeys(finding["not_seen"], "nothing tells it")
    untold |= {one["word"]: one["why"] for one in finding["cannot_tell"]}
    remark = next((why for word, why in untold.items() if word in spellings), None)
    if remark is not None:
        return Told(flag=name, build=build, witnesses=0, remark=remark)
    names = {
        setting.name
        for setting in SETTINGS.values()
        if any(word in family for family in setting.families for word in flag["spellings"])
    }
    counts: Mapping[str, int] = finding["witnesses"]
    if "speculation" in names:  # whose witnesses are counted for each implementation
        names |= counts.keys() - SETTINGS.keys()
    replaced = any(word in " ".join(finding["replaced"]) for word in flag["spellings"])
    return Told(
        flag=name,
        build=build,
        witnesses=max((counts[one] for one in names if one in counts), default=0),
        remark="with the harness's own value" if replaced else "",
    )


if __name__ == "__main__":
    sys.exit(main())
