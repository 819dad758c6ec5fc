"""Cell results for tests of what is said about results."""

from collections.abc import Mapping

from harness.model import (
    CellResult,
    Check,
    DraftRange,
    Failure,
    Flavour,
    Gpu,
    HostProfile,
    LoadRequest,
    Verdict,
)

GPU = HostProfile(gpus=(Gpu(index=0, name="G", memory_total_mib=1, memory_free_mib=1),))


def lengths(n_max: int | None, n_min: int | None = 0) -> DraftRange:
    return DraftRange(n_min=n_min, n_max=n_max)


def result(
    *,
    build: str = "b9246",
    subject: str = "reference",
    environment: str = "cpu",
    mode: str | None = "mtp",
    draft_n_max: int | None = 5,
    model: str = "tiny-mtp",
    status: Verdict = Verdict.PASS,
    failed: tuple[str, ...] = (),
    effective: Mapping[str, DraftRange] | None = None,
    failure: Failure | None = None,
    emulated: bool = False,
    flavour: Flavour | None = Flavour.RENAMED,
) -> CellResult:
    return CellResult(
        id=f"{build}-{environment}-{subject}-{mode}-n{draft_n_max}",
        build=build,
        flavour=flavour,
        emulated=emulated,
        subject=subject,
        environment=environment,
        request=LoadRequest(model=model, mode=mode, draft_n_max=draft_n_max),
        argv=("--port", "1"),
        resolved_mode=None,
        status=Verdict.FAIL if failed else status,
        checks=tuple(Check(name=name, expected="e", observed="o", ok=False) for name in failed),
        effective=None if effective is None else {"speculation": effective},
        witnessed_by={},
        witnesses=(),
        startup_ms=1.0,
        wall_ms=1.0,
        failure=failure,
        repro="llama-harness matrix",
        host=GPU if environment != "cpu" else HostProfile(),
    )
