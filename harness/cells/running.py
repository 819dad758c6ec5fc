"""``run_cell``: the one place where builds, subjects, environments and witnesses meet."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from harness.cells.fitting import Fitted
from harness.cells.launching import hosted, launch_key, launched, switches
from harness.cells.names import cell_id, repro_command
from harness.cells.presets import CONFIG_FILE, CONFIG_PLACE
from harness.cells.remembering import (
    asked_once,
    digest_of_model,
    planned,
    verdict_key,
)
from harness.cells.workbench import Launched, Workbench
from harness.environments import parse_environment
from harness.errors import EnvironmentUnavailableError, HarnessError
from harness.flags.arguments import Argument, read_arguments, read_variables
from harness.flags.capabilities import Capabilities
from harness.flags.families import PORT
from harness.gguf_models import file_for
from harness.model import (
    Cell,
    CellResult,
    Check,
    DemandedBy,
    Evidence,
    Failure,
    FailureKind,
    Flavour,
    HostProfile,
    LaunchPlan,
    LaunchTarget,
    Provenance,
    Remark,
    TinyModel,
    Verdict,
)
from harness.server import LaunchFailedError
from harness.server.failure import ATTEMPTS, HOST_FAULTS, UNEXPLAINED, WORTH_ANOTHER_TRY
from harness.server.http import ProtocolError
from harness.server.ports import reserved_port
from harness.settings.base import DisagreementError, EffectiveState, Situation
from harness.settings.observation import observe, startup_lines
from harness.settings.speculation.comparison import TWO_WITNESSES
from harness.settings.state import (
    OF_ONE_LAUNCH,
    SETTINGS,
    SPECULATION,
    Seen,
    agree,
    not_seen,
    testify,
)
from harness.subjects import Subject
from harness.verdicts.checks import check_log, check_start
from harness.verdicts.demands import Demands, demands_of
from harness.verdicts.silent import silent_effects, silent_warnings, warnings_in


@dataclass(kw_only=True)
class _Progress:
    """What is known of a cell so far; a result can be made of it at any point."""

    cell: Cell
    started: float = field(default_factory=time.perf_counter)
    flavour: Flavour | None = None
    emulated: bool = False
    host: HostProfile | None = None
    devices: tuple[str, ...] | None = None
    no_card: str = ""
    demands: Demands | None = None
    plan: LaunchPlan = field(default_factory=lambda: LaunchPlan(argv=()))
    arguments: Sequence[Argument] = ()
    checks: list[Check] = field(default_factory=list)
    effective: EffectiveState | None = None
    witnessed_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    witnesses: tuple[Evidence, ...] = ()
    startup_ms: float | None = None
    failure: Failure | None = None
    fitted: Fitted | None = None
    not_seen: tuple[str, ...] = ()
    silent: tuple[Remark, ...] = ()

    def result(self, status: Verdict) -> CellResult:
        return CellResult(
            id=cell_id(self.cell),
            build=self.cell.build,
            flavour=self.flavour,
            emulated=self.emulated,
            subject=self.cell.subject,
            environment=self.cell.environment,
            request=self.cell.request,
            demanded_by=self.cell.demanded_by,
            argv=self.plan.argv,
            env=self.plan.env,
            resolved_mode=self.plan.resolved_mode,
            reason=self.plan.reason,
            status=status,
            checks=tuple(self.checks),
            effective=self.effective,
            witnessed_by=self.witnessed_by,
            witnesses=self.witnesses,
            host=self.host,
            devices=self.devices,
            no_card=self.no_card,
            replaced=self.fitted.replaced if self.fitted else (),
            left_out=self.fitted.left_out if self.fitted else (),
            not_seen=self.not_seen,
            silent=(*(self.fitted.silent if self.fitted else ()), *self.silent),
            startup_ms=self.startup_ms,
            wall_ms=(time.perf_counter() - self.started) * 1000,
            failure=self.failure,
            repro=repro_command(self.cell),
        )

    def saw(self, state: EffectiveState, seen: Seen, demanded: Collection[str]) -> None:
        """Keep an effective state, and the evidence for what was demanded."""
        # Cells that share a launch would show the port of the first.
        effective = {
            name: value
            for name, value in state.items()
            if name not in OF_ONE_LAUNCH or name in demanded
        }
        self.witnessed_by = {
            what: tuple(names)
            for name, value in state.items()
            for what, names in SETTINGS[name].supporters(value, seen[name]).items()
        }
        state = dict(effective)
        speculation = state.get(SPECULATION)
        if speculation is not None:
            effective[SPECULATION] = speculation.implementations
        self.effective = effective
        kept = [name for name in SETTINGS if name in {SPECULATION, *demanded}]
        self.witnesses = tuple(evidence for name in kept for evidence in seen[name])
        self.not_seen = not_seen(self.arguments, demanded, state)

    def error(self, kind: FailureKind, message: str) -> CellResult:
        self.failure = Failure(kind=kind, message=message)
        return self.result(Verdict.ERROR)

    def not_started(self, failure: Failure) -> CellResult:
        """A failure of the command line or the build, or an error where the host is at fault."""
        if failure.kind in HOST_FAULTS and not self._is_pretended(failure):
            return self.cannot_tell(failure)
        self.failure = failure
        self.checks.append(check_start(failure))
        return self.result(Verdict.FAIL)

    def _is_pretended(self, failure: Failure) -> bool:
        """Whether what is lacking is the memory of a card that the user chose to pretend."""
        if failure.kind is not FailureKind.DEVICE_MEMORY:
            return False
        return parse_environment(self.cell.environment).kind == "cuda-spoof"

    def cannot_tell(self, failure: Failure) -> CellResult:
        """An error, unless a check has already told that the cell fails."""
        self.failure = failure
        return self.result(Verdict.FAIL if self.failed else Verdict.ERROR)

    @property
    def failed(self) -> bool:
        """Whether a check that decides is bad."""
        decides = self.demands.decides if self.demands else bool
        return any(not check.ok and decides(check.name) for check in self.checks)


@dataclass(frozen=True, kw_only=True)
class _Situation:
    """What a cell is judged in, once build, environment and model are at hand."""

    program: Path
    subject: Subject
    capabilities: Capabilities
    host: HostProfile
    variables: Mapping[str, str]
    model: TinyModel


def run_cell(cell: Cell, workbench: Workbench) -> CellResult:
    """Plan, launch, observe and judge one cell.

    Never raises for what a build, a subject or a host may do; that is in the result. Interrupts
    pass through, with the server ended.
    """
    progress = _Progress(cell=cell)
    try:
        situation = _prepare(cell, workbench, progress)
    except _CannotPrepareError as error:
        return progress.error(error.kind, str(error))
    return _launch_and_judge(cell, situation, workbench, progress)


def _launch_and_judge(
    cell: Cell, situation: _Situation, workbench: Workbench, progress: _Progress
) -> CellResult:
    demands = progress.demands = demands_of(
        cell.demanded_by,
        Situation(
            request=cell.request,
            capabilities=situation.capabilities,
            host=situation.host,
            model=situation.model,
        ),
    )
    attempt = 0
    while True:
        attempt += 1
        try:
            return _plan_and_launch(cell, situation, demands, workbench, progress)
        except HarnessError as error:
            return progress.error(FailureKind.SUBJECT, str(error))
        except OSError as error:
            return progress.error(FailureKind.HARNESS, f"the host refuses a launch: {error}")
        except ProtocolError as error:
            progress.checks.append(check_start(None))
            return progress.cannot_tell(Failure(kind=FailureKind.PROTOCOL, message=str(error)))
        except LaunchFailedError as error:
            again = error.failure.kind in WORTH_ANOTHER_TRY or not error.failure.explained
            if again and attempt < ATTEMPTS:
                continue
            return progress.not_started(_or_of_the_host(error.failure, cell, workbench))


def _told(
    shown: Launched,
    situation: _Situation,
    demands: Demands,
    workbench: Workbench,
    progress: _Progress,
) -> CellResult:
    """What a launch comes to, with what its log and its warnings tell besides."""
    cell = progress.cell
    progress.startup_ms = shown.startup_ms
    result = _judge(shown, demands, progress)
    if progress.fitted and CONFIG_PLACE in progress.fitted.plan.files and not shown.reads_config:
        why = f"{CONFIG_FILE} is not read by this build (b10398 on)"
        result = replace(result, silent=(*result.silent, Remark(word="", why=why)))
    if cell.demanded_by is not DemandedBy.CONTRACT and shown.warnings:
        told = _warned_of(cell, shown.warnings, situation, workbench, progress)
        result = replace(result, silent=tuple(dict.fromkeys((*result.silent, *told))))
    return result


def _warned_of(
    cell: Cell,
    warnings: Sequence[str],
    situation: _Situation,
    workbench: Workbench,
    progress: _Progress,
) -> tuple[Remark, ...]:
    """The warnings that a plain command line on the same build does not have."""
    key = (cell.build, cell.environment, situation.model.name)
    if key not in workbench.plain_warnings:

        def ask() -> tuple[str, ...] | None:
            return _warned_of_nothing(cell, situation.model, workbench)

        memory = workbench.memory
        files = memory and digest_of_model(situation.model, memory)
        place = cell.build, cell.environment
        form = tuple[str, ...]
        found = asked_once("warnings", place, workbench, ask, form, files)
        workbench.plain_warnings[key] = found or ()
    return silent_warnings(warnings, workbench.plain_warnings[key], progress.arguments)


def _warned_of_nothing(
    cell: Cell, model: TinyModel, workbench: Workbench
) -> tuple[str, ...] | None:
    """What the start of a plain command line is warned of; None where it does not start."""
    with suppress(LaunchFailedError, ProtocolError), reserved_port() as port:
        plain = LaunchPlan(argv=("-m", str(model.path), "--port", str(port)))
        with launched(
            plain,
            build=cell.build,
            environment=cell.environment,
            port=port,
            workbench=workbench,
            thorough=True,
        ) as server:
            return warnings_in(startup_lines(server))
    return None


def error_result(cell: Cell, kind: FailureKind, message: str) -> CellResult:
    """The result of a cell that could not be run at all."""
    return _Progress(cell=cell).error(kind, message)


def _or_of_the_host(failure: Failure, cell: Cell, workbench: Workbench) -> Failure:
    """The failure, or that of a plain command line where not even that starts on this host now."""
    if failure.kind not in UNEXPLAINED or workbench.build(cell.build).build.emulated:
        return failure
    plain = workbench.start_plainly(cell.build, cell.environment)
    if plain is None:
        return failure
    return replace(
        failure,
        kind=FailureKind.UNQUALIFIED,
        message=f"{failure.message}; on this host {cell.build} does not start with a plain command "
        f"line either: {plain.message}",
    )


class _CannotPrepareError(Exception):
    """Build, environment or model cannot be had."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def _prepare(cell: Cell, workbench: Workbench, progress: _Progress) -> _Situation:
    model = workbench.models.get(cell.request.model)
    if model is None:
        known = ", ".join(workbench.models)
        raise _CannotPrepareError(
            FailureKind.HARNESS, f"no model is named {cell.request.model}; there are {known}"
        )
    try:
        environment = workbench.environment(cell.environment)
    except HarnessError as error:
        raise _CannotPrepareError(FailureKind.ENVIRONMENT, str(error)) from error
    progress.host = environment.host
    try:
        build = workbench.build(cell.build)
        capabilities = workbench.capabilities(cell.build, cell.environment)
        progress.devices = workbench.devices(cell.build, cell.environment)
        layer = workbench.layer(cell.build, cell.environment)
        progress.no_card = "; ".join(filter(None, (layer.absent, layer.remedy)))
    except EnvironmentUnavailableError as error:
        raise _CannotPrepareError(FailureKind.MISSING_LIBRARY, str(error)) from error
    except HarnessError as error:
        raise _CannotPrepareError(FailureKind.BUILD, str(error)) from error
    progress.flavour = capabilities.flavour
    progress.emulated = build.build.emulated
    try:
        subject = workbench.subject(cell.subject)
    except HarnessError as error:
        raise _CannotPrepareError(FailureKind.SUBJECT, str(error)) from error
    return _Situation(
        program=layer.program,
        subject=subject,
        capabilities=capabilities,
        host=environment.host,
        variables=workbench.variables(cell.build, cell.environment),
        model=file_for(model, mtp_token=capabilities.mtp_token),
    )


def _plan_and_launch(
    cell: Cell,
    situation: _Situation,
    demands: Demands,
    workbench: Workbench,
    progress: _Progress,
) -> CellResult:
    """What a cell comes to: by a launch, or by an earlier one of the same."""
    with reserved_port() as port:
        target = LaunchTarget(
            binary=situation.program,
            model=situation.model,
            port=port,
            env=situation.variables,
            build=cell.build,
            environment=cell.environment,
        )
        plan = made = planned(situation.subject, cell, target, workbench)
        fitted = hosted(plan, situation.capabilities, situation.model, port, progress.devices or ())
        if plan.provenance is not Provenance.HERE:
            plan = fitted.plan
        progress.plan = plan
        demands = progress.demands = demands.of_subject(plan, cell.subject)
        progress.checks = demands.of_plan(plan, read_arguments(plan.argv, situation.capabilities))
        plan, progress.fitted = fitted.plan, fitted
        # What was replaced is not asked for, nor the port that the plan was given; variables come
        # first, for argv wins over them.
        progress.arguments = tuple(
            argument
            for argument in (
                *read_variables(plan.env, situation.capabilities),
                *read_arguments(plan.argv, situation.capabilities),
            )
            if not (PORT.is_set_by(argument) and argument.value == str(port))
        )
        if workbench.verdicts is not None:
            depends = verdict_key(cell, (made, plan), situation.model, port, workbench)
            remembered = workbench.verdicts.recall(cell, depends)
            if remembered is not None:
                return remembered
        thorough = cell.demanded_by is not DemandedBy.CONTRACT
        key = (launch_key(cell.build, cell.environment, plan, port), thorough)
        tell = partial(
            _told, situation=situation, demands=demands, workbench=workbench, progress=progress
        )
        if key in workbench.launches:
            return tell(workbench.launches[key])
        with _observed(cell, plan, port, workbench) as shown:
            if workbench.share_launches:
                workbench.launches[key] = shown
            return tell(shown)


@contextmanager
def _observed(cell: Cell, plan: LaunchPlan, port: int, workbench: Workbench) -> Iterator[Launched]:
    """What a launch shows, while its server is on its way out."""
    build = workbench.build(cell.build).build
    arguments = read_arguments(plan.argv, workbench.capabilities(cell.build, cell.environment))
    thorough = cell.demanded_by is not DemandedBy.CONTRACT
    with launched(
        plan,
        build=cell.build,
        environment=cell.environment,
        port=port,
        workbench=workbench,
        thorough=thorough,
    ) as server:
        try:
            observation = observe(
                server,
                build.number,
                switched_on=switches(port, arguments).keys() - plan.env.keys(),
                thorough=thorough,
            )
        except ProtocolError as error:
            death = server.death()
            if death is None:
                raise
            raise LaunchFailedError(death) from error
        server.dismiss()  # and think while it goes
        workbench.watcher(cell, observation)
        yield Launched(
            seen=testify(observation),
            log=check_log(observation.startup_lines),
            # Only who writes a command line of his own is told of them.
            warnings=warnings_in(observation.startup_lines) if thorough else (),
            reads_config="using config file" in observation.startup,
            startup_ms=server.startup_ms,
        )


def _judge(launched: Launched, demands: Demands, progress: _Progress) -> CellResult:
    progress.checks.append(check_start(None))
    progress.checks.append(launched.log)
    try:
        state = agree(launched.seen)
    except DisagreementError as error:
        progress.witnesses = launched.seen[SPECULATION]
        message = f"the witnesses disagree: {error}"
        return progress.cannot_tell(Failure(kind=FailureKind.HARNESS, message=message))
    demanded = demands.by_setting(progress.arguments)
    progress.saw(state, launched.seen, demanded)
    progress.not_seen += demands.not_seen(state)
    progress.silent = silent_effects(
        progress.plan, progress.arguments, demands.situation.capabilities, state, demanded
    )
    checks = demands.of_state(state, progress.arguments, demanded)
    doubts = [check for check in checks if check.name == TWO_WITNESSES]
    progress.checks += [check for check in checks if check.name != TWO_WITNESSES]
    if progress.failed:
        return progress.result(Verdict.FAIL)
    progress.checks += doubts
    doubt = next((check for check in doubts if not check.ok), None)
    if doubt is not None:
        return progress.error(
            FailureKind.HARNESS, f"{TWO_WITNESSES}: {doubt.expected}, got {doubt.observed}"
        )
    return progress.result(Verdict.DEGRADED if demands.shortfall else Verdict.PASS)
