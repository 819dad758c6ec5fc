"""``llama-harness session``: a script or a random sequence of loads against live servers."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.errors import UsageError, writing
from harness.terminal import note, open_progress, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.model import Verdict
    from harness.sessions.script import Step
    from harness.sessions.search import Stage

DEFAULT_PROFILE: Final = "smoke"

_EPILOG: Final = """\
A script holds one step on each line: load (with --mode M, --draft-max N|default, --model NAME,
--context N, --cache-type T, --chat-template NAME, --extra-arg=WORD), unload, or kill, which ends
the server from outside; # begins a comment.

Exit status: 0 every step is as it must be; 1 some fail; 2 wrong usage; 3 the harness could not
tell; 130 interrupted.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "session",
        help="load, reload and unload live servers; is what runs what a fresh load would run?",
        description="Take a subject and its reload guards through a sequence of load requests on "
        "real servers. After each, what runs is compared with a fresh load of the same request, "
        "and a reload where nothing that matters changed is a failure too.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("script", nargs="*", type=Path, metavar="SCRIPT", help="files of steps")
    parser.add_argument("--random", type=int, metavar="N", help="N random steps instead")
    parser.add_argument("--seed", type=int, metavar="S", help="of --random (default: 0)")
    parser.add_argument(
        "--subject",
        action="append",
        default=[],
        metavar="S",
        help="flag generator with its guards (default: reference)",
    )
    parser.add_argument(
        "--build",
        action="append",
        default=[],
        metavar="GLOB",
        help=f"builds whose id matches (default: the profile {DEFAULT_PROFILE})",
    )
    parser.add_argument(
        "--env", action="append", default=[], metavar="E", help="environment (default: cpu)"
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the shrunk sequence")
    parser.add_argument("-q", "--quiet", action="store_true", help="print failing steps only")
    parser.set_defaults(func=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status.

    Raises:
        HarnessError: The usage is wrong, or a build, environment or subject cannot be had.
    """
    from harness.builds import load_catalogue
    from harness.cells.workbench import open_workbench
    from harness.report.outline import verdict_status
    from harness.sessions.servers import Memory
    from harness.sessions.stages import set_stage

    scripts = _scripts(options)
    catalogue = load_catalogue()
    builds = (
        catalogue.select(options.build) if options.build else catalogue.profile(DEFAULT_PROFILE)
    )
    verdicts: set[Verdict] = set()
    with open_workbench(catalogue=catalogue) as workbench:
        memory = Memory()
        for subject in options.subject or ["reference"]:
            for build in builds:
                for environment in options.env or ["cpu"]:
                    stage = set_stage(
                        workbench,
                        subject=subject,
                        build=build.id,
                        environment=environment,
                        memory=memory,
                    )
                    where = f"{subject} on {build.id}, {environment}"
                    if options.random is None:
                        verdicts |= {
                            _run_script(name, steps, stage, where, quiet=options.quiet)
                            for name, steps in scripts
                        }
                    else:
                        verdicts.add(_run_random(options, stage, where))
    return verdict_status(verdicts)


def _scripts(options: argparse.Namespace) -> "list[tuple[str, tuple[Step, ...]]]":
    from harness.sessions.script import read_script

    if options.random is None:
        if not options.script:
            raise UsageError("session: name a SCRIPT, or ask for --random N steps")
        if options.seed is not None or options.save is not None:
            raise UsageError("session: --seed and --save belong to --random")
        return [(path.name, read_script(path)) for path in options.script]
    if options.script:
        raise UsageError("session: either a SCRIPT or --random N, not both")
    if options.random < 1:
        raise UsageError(f"session: --random {options.random}: give a number of steps, 1 or more")
    return []


def _run_script(
    name: str, steps: "Sequence[Step]", stage: "Stage", where: str, *, quiet: bool
) -> "Verdict":
    from harness.model import Verdict
    from harness.sessions.runner import Runner
    from harness.sessions.transcript import describe_step, summary, worst

    say(f"{name}: {where}")
    reports = []
    session = stage.real()
    try:
        for report in Runner(session, stage.oracle).run(steps):
            reports.append(report)
            if not quiet or report.verdict is not Verdict.PASS:
                say(describe_step(report))
    finally:
        session.close()
    say(summary(reports))
    return worst(reports)


def _run_random(options: argparse.Namespace, stage: "Stage", where: str) -> "Verdict":
    from harness.model import Verdict
    from harness.sessions.script import format_script
    from harness.sessions.search import search
    from harness.sessions.transcript import describe_step, summary, worst

    seed = options.seed or 0
    say(f"random steps, seed {seed}: {where}")
    with (
        open_progress(quiet=options.quiet) as progress,
        progress.task(where, "steps") as task,
    ):
        result = search(
            stage,
            steps=options.random,
            seed=seed,
            on_step=lambda done: task.reach(done, options.random),
        )
    counts = f"{result.steps} random steps, {result.reloads} reloads"
    if result.unconfirmed is not None:
        say(f"{counts}: a failure that did not come again, in at most these steps:")
        say(format_script(result.unconfirmed), end="")
        return Verdict.ERROR
    found = result.counterexample
    if found is None:
        say(f"{counts}: every step as it must be")
        return Verdict.PASS
    say(f"{counts}: the last one fails. The shortest sequence that was found:")
    script = format_script(found.steps, [f"{where}: random steps, seed {seed}, shrunk"])
    say(script, end="")
    if options.save is not None:
        with writing(options.save):
            options.save.write_text(script, encoding="utf-8", newline="\n")
        note(f"saved as {options.save}")
    say("On real servers:")
    for report in found.reports:
        say(describe_step(report))
    say(summary(found.reports))
    return worst(found.reports)
