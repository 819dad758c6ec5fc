"""A bad cell told in full."""

from dataclasses import replace

from harness.model import Basis, Check, Evidence, Failure, FailureKind, Verdict
from harness.report.failures import describe
from tests.unit.results import lengths, result

WITNESS = Evidence(witness="startup-log", basis=Basis.SETTINGS, detail="first line\nsecond line")


def test_a_wrong_length() -> None:
    check = Check(
        name="draft-n-max",
        expected="draft-mtp n_max 5",
        observed="draft-mtp n_max 4",
        ok=False,
        argument="--spec-draft-n-max",
    )
    bad = replace(
        result(status=Verdict.FAIL, effective={"draft-mtp": lengths(4)}),
        argv=("-m", "a model.gguf", "--spec-draft-n-max", "4"),
        checks=(check, replace(check, name="fine", ok=True, argument="-m")),
        witnesses=(WITNESS, replace(WITNESS, witness="silent", speaks=False)),
    )
    told = describe(bad).splitlines()
    assert told[0] == f"fail: {bad.id}"
    assert "  argv: llama-server -m 'a model.gguf' >>> --spec-draft-n-max <<< 4" in told
    assert "  offending: --spec-draft-n-max" in told
    assert "  draft-n-max: expected draft-mtp n_max 5" in told
    assert "               observed draft-mtp n_max 4" in told
    assert [line.strip() for line in told if "line" in line] == [
        "startup-log  first line",
        "second line",
    ]
    assert not any("fine" in line or "silent" in line for line in told)
    assert told[-1] == "  run it alone: llama-harness matrix"


def test_a_server_that_did_not_start() -> None:
    failure = Failure(
        kind=FailureKind.UNKNOWN_ARGUMENT,
        message="the build does not know --x",
        argument="--x",
        log_tail=("build: 1", "error: invalid argument: --x"),
    )
    bad = replace(
        result(status=Verdict.FAIL, failure=failure, emulated=True), argv=("--x",), checks=()
    )
    told = describe(bad)
    assert "(emulated build)" in told
    assert "  unknown-argument: the build does not know --x" in told
    assert "llama-server >>> --x <<<" in told
    assert "  log:\n    build: 1\n    error: invalid argument: --x\n" in told


def test_a_build_that_could_not_be_had_has_no_command_line() -> None:
    failure = Failure(kind=FailureKind.BUILD, message="b1: no source works here")
    told = describe(replace(result(status=Verdict.ERROR, failure=failure), argv=()))
    assert "argv" not in told
    assert "  build: b1: no source works here" in told
