"""One command line, read by a real build and by the emulation of its era."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from harness.cells.workbench import Workbench
from harness.emulation.command_line import ArgumentError, CommandLine
from harness.emulation.description import Description, EraName, compiled
from harness.emulation.eras import Era
from harness.emulation.generation import (
    ModelRefusedError,
    draft_lengths,
    generate,
    implementations,
    in_use,
)
from harness.emulation.output import (
    completion,
    generation_lines,
    metrics,
    slots,
    startup_lines,
)
from harness.emulation.program import command_line
from harness.environments.hermetic import home_variables
from harness.gguf_models import file_for
from harness.model import Evidence, FailureKind
from harness.server import LaunchFailedError, launch
from harness.server.failure import classify_exit
from harness.server.ports import reserved_port
from harness.settings.observation import TOKENS, Observation, observe, observing_environment
from harness.settings.speculation.testimony import testify
from harness.verdicts.checks import check_log
from tests.emulated.argvs import DRAFT

_HEALTH_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a command line.

    Attributes:
        failure: Kind and offending argument of a refusal.
        evidence: What every witness saw, without the wording.
        warned: Whether the log warns of a deprecated argument.
    """

    failure: tuple[FailureKind, str | None] | None = None
    evidence: tuple[Evidence, ...] = ()
    warned: bool = False


def command_line_of(era: str) -> tuple[CommandLine, Era]:
    """What an emulated build of an era reads its command line with, and the era's facts."""
    return command_line(json.loads(compiled(Description(era=cast("EraName", era)))))


def base_argv(model: Path, port: int) -> list[str]:
    return [
        "-m", str(model), "--host", "127.0.0.1", "--port", str(port), "-c", "512", "-np", "1",
    ]  # fmt: skip


def by_real_build(
    build_id: str, model_name: str, argv: Sequence[str], workbench: Workbench
) -> Outcome:
    build = workbench.build(build_id)
    model = file_for(
        workbench.models[model_name], mtp_token=workbench.capabilities(build_id).mtp_token
    )
    with reserved_port() as port, workbench.launch_directory() as directory:
        env = {
            **workbench.environment("cpu").variables,
            **build.env,
            **home_variables(Path(directory)),
            **observing_environment(),
        }
        words = [*base_argv(model.path, port), *_filled(argv, model.draft_path)]
        try:
            with launch(
                build.binary,
                words,
                port=port,
                env=env,
                cwd=Path(directory),
                health_timeout_s=_HEALTH_S,
            ) as server:
                observation = observe(server, build.build.number)
        except LaunchFailedError as error:
            return Outcome(failure=(_told(error.failure.kind), error.failure.argument))
    return _outcome(observation)


def by_emulation(
    line: CommandLine,
    era: Era,
    model_name: str,
    argv: Sequence[str],
    *,
    number: int,
    workbench: Workbench,
) -> Outcome:
    model = workbench.models[model_name]
    words = [*base_argv(model.path, 1), *_filled(argv, model.draft_path)]
    try:
        settings = line.read(words, observing_environment())
        announced = implementations(settings, era, has_mtp=model.has_mtp)
    except ArgumentError as error:
        failure = classify_exit(1, str(error).splitlines(), ())
        return Outcome(failure=(failure.kind, failure.argument))
    except ModelRefusedError:
        return Outcome(failure=(FailureKind.MODEL_LOAD, None))
    active = in_use(announced, settings, era)
    generation = generate(active, era, tokens=TOKENS, context=settings.context)
    return _outcome(
        Observation(
            build_number=number,
            completion=completion(settings, era, generation, TOKENS),
            slots=tuple(slots(settings, active)) if settings.slots else (),
            metrics=metrics(era, generation) if settings.metrics else None,
            startup_lines=tuple(startup_lines(settings, era, announced)),
            run_lines=tuple(generation_lines(era, generation)),
        )
    )


def is_emulated(line: CommandLine, era: Era, argv: Sequence[str]) -> bool:
    """Whether the emulation claims to know what follows.

    It does not simulate ngram-map-k and -k4v, nor what upstream does with types for which the
    models have nothing to offer, nor builds that crash on a negative length.
    """
    try:
        settings = line.read(_filled(argv, Path("draft.gguf")), {})
    except ArgumentError:
        return True
    types = set(settings.types)
    if types & {"ngram-map-k", "ngram-map-k4v"}:
        return False
    needs_other_model = {"draft-mtp", "draft-eagle3", "draft-dflash", "draft-dspark"}
    beside_draft_model = settings.draft_model or "draft-simple" in types
    if beside_draft_model and types & needs_other_model:
        return False
    return draft_lengths(settings, era)[0] >= 0


def _told(kind: FailureKind) -> FailureKind:
    """From b9246 on a build that exits may lose the last lines of its log, the reason with them."""
    return FailureKind.MODEL_LOAD if kind is FailureKind.EARLY_EXIT else kind


def _filled(argv: Sequence[str], draft: Path | None) -> list[str]:
    return [str(draft) if word == DRAFT else word for word in argv]


def _outcome(observation: Observation) -> Outcome:
    return Outcome(
        evidence=tuple(replace(one, detail="") for one in testify(observation)),
        warned=not check_log(observation.startup_lines).ok,
    )
