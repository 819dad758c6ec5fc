"""Every way in which a real server fails to start, classified, with the offending word named."""

import os
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.cells.running import run_cell
from harness.cells.workbench import Workbench
from harness.environments.hermetic import hermetic_variables
from harness.flags.capabilities import Capabilities
from harness.gguf_models import file_for
from harness.model import Cell, CellResult, Failure, FailureKind, LoadRequest, Verdict
from harness.server import LaunchFailedError, launch
from harness.server.failure import HOST_FAULTS
from harness.server.ports import reserved_port
from harness.settings.observation import observing_environment
from tests.live.altered import Altered, adding, run, setting
from tests.live.shared_library import LIBRARY, with_library

pytestmark = pytest.mark.live

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="scripts as programs")


def unprivileged() -> bool:
    """Whether a file without any permission is closed to this user."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).chmod(0)
        return not os.access(file.name, os.R_OK)


LEGACY, RENAMED, NEWEST = "b8929", "b9246", "b11434"
ERAS = ("py0.3.16", LEGACY, "b9093", RENAMED, NEWEST)


@dataclass(frozen=True)
class Failing:
    """Starts builds that must not become healthy."""

    workbench: Workbench
    directory: Path

    def model(self, name: str, build: str) -> Path:
        token = self.workbench.capabilities(build).mtp_token
        return file_for(self.workbench.models[name], mtp_token=token).path

    def build(
        self,
        build: str,
        *words: str,
        env: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> Failure:
        """Start a build on the plain model with more arguments."""
        if "-m" not in words:
            words = ("-m", str(self.model("tiny-llama", build)), *words)
        acquired = self.workbench.build(build)
        return self.program(acquired.binary, *words, env={**acquired.env, **(env or {})}, port=port)

    def with_its_last_words(self, build: str, *words: str) -> Failure:
        """The same; b9093 and b9246 can end before their log is written, so asked again."""
        for _ in range(30):
            failure = self.build(build, *words)
            if failure.kind is not FailureKind.EARLY_EXIT:
                break
        return failure

    def program(
        self,
        program: Path,
        *words: str,
        env: Mapping[str, str] | None = None,
        port: int | None = None,
        health_timeout_s: float = 30,
    ) -> Failure:
        with reserved_port() as free:
            used = port or free
            variables = {
                **hermetic_variables(self.directory / "home"),
                **observing_environment(),
                **(env or {}),
            }
            with (
                pytest.raises(LaunchFailedError) as caught,
                launch(
                    program,
                    (*words, "--port", str(used)),
                    port=used,
                    env=variables,
                    cwd=self.directory,
                    health_timeout_s=health_timeout_s,
                ),
            ):
                pytest.fail("it became healthy")
        return caught.value.failure


@pytest.fixture
def failing(workbench: Workbench, tmp_path: Path) -> Failing:
    return Failing(workbench, tmp_path)


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{text}", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def stubs(capabilities: Capabilities) -> Iterator[str]:
    for option in capabilities.options:
        if option.removed:
            yield option.spellings[0]


@pytest.mark.parametrize("build", ERAS)
def test_unknown_argument(failing: Failing, build: str) -> None:
    failure = failing.build(build, "--no-such-flag", "1")
    assert failure.kind is FailureKind.UNKNOWN_ARGUMENT
    assert failure.argument == "--no-such-flag"
    assert "--no-such-flag" in failure.message
    assert any("--no-such-flag" in line for line in failure.log_tail)


@pytest.mark.parametrize("build", ["b9093", RENAMED, NEWEST])
def test_removed_argument_every_stub(failing: Failing, build: str) -> None:
    flags = list(stubs(failing.workbench.capabilities(build)))
    assert "--draft" in flags
    for flag in flags:
        failure = failing.build(build, flag, "1")
        assert failure.kind is FailureKind.REMOVED_ARGUMENT
        assert failure.argument == flag


@pytest.mark.parametrize("build", ERAS)
def test_bad_number(failing: Failing, build: str) -> None:
    failure = failing.build(build, "-c", "many")
    assert failure.kind is FailureKind.BAD_VALUE
    assert failure.argument == "-c"


@pytest.mark.parametrize("build", ERAS)
def test_missing_value(failing: Failing, build: str) -> None:
    # The port comes before, so that the flag is really the last word.
    binary = failing.workbench.build(build)
    with (
        pytest.raises(LaunchFailedError) as caught,
        launch(
            binary.binary,
            ("--port", "1", "-c"),
            port=1,
            env={**hermetic_variables(failing.directory), **binary.env},
            cwd=failing.directory,
        ),
    ):
        pass
    assert caught.value.failure.kind is FailureKind.BAD_VALUE
    assert caught.value.failure.argument == "-c"
    assert "expected value" in caught.value.failure.message


@pytest.mark.parametrize("build", [LEGACY, "b9093", RENAMED, NEWEST])
def test_unknown_speculative_type(failing: Failing, build: str) -> None:
    failure = failing.build(build, "--spec-type", "telepathy")
    assert failure.kind is FailureKind.BAD_VALUE
    assert failure.argument == "--spec-type"
    assert "unknown speculative" in failure.message


@pytest.mark.parametrize("build", ["b9093", RENAMED, NEWEST])
def test_bad_environment_variable(failing: Failing, build: str) -> None:
    failure = failing.build(build, env={"LLAMA_ARG_DRAFT_MAX": "5"})
    assert failure.kind is FailureKind.BAD_ENVIRONMENT
    assert failure.argument == "LLAMA_ARG_DRAFT_MAX"


@pytest.mark.parametrize("build", [RENAMED, "b10435", NEWEST])
def test_mtp_on_a_model_without_a_head(failing: Failing, build: str) -> None:
    failure = failing.with_its_last_words(build, "--spec-type", "draft-mtp")
    assert failure.kind is FailureKind.MODEL_LOAD
    assert "doesn't contain MTP layers" in failure.message


@pytest.mark.parametrize("build", ERAS)
def test_model_file_that_is_not_there(failing: Failing, build: str) -> None:
    failure = failing.with_its_last_words(build, "-m", str(failing.directory / "missing.gguf"))
    assert failure.kind is FailureKind.MODEL_LOAD


@pytest.mark.parametrize("build", ERAS)
def test_model_file_that_is_garbage(failing: Failing, build: str) -> None:
    garbage = failing.directory / "garbage.gguf"
    garbage.write_bytes(b"GGUF" + bytes(range(256)) * 8)
    failure = failing.with_its_last_words(build, "-m", str(garbage))
    assert failure.kind is FailureKind.MODEL_LOAD


@pytest.mark.parametrize("build", ["py0.3.16", LEGACY])
def test_model_of_an_unknown_architecture(failing: Failing, build: str) -> None:
    newer = failing.workbench.models["tiny-mtp"].path
    failure = failing.build(build, "-m", str(newer))
    assert failure.kind is FailureKind.MODEL_LOAD
    assert "error loading model" in failure.message


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A stranger's port; without SO_REUSEPORT on both sides a second listener is refused."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("build", ERAS)
def test_port_in_use(failing: Failing, build: str, taken_port: int) -> None:
    failure = failing.build(build, port=taken_port)
    assert failure.kind is FailureKind.PORT_IN_USE
    assert "another process" in failure.message


@posix_only
def test_port_in_use_of_a_build_that_does_not_say_so(failing: Failing, taken_port: int) -> None:
    program = script(failing.directory / "ends", "raise SystemExit(1)")
    failure = failing.program(program, port=taken_port)
    assert failure.kind is FailureKind.PORT_IN_USE
    assert str(taken_port) in failure.message


def test_another_failure_beside_a_taken_port_keeps_its_name(
    failing: Failing, taken_port: int
) -> None:
    failure = failing.build(NEWEST, "--no-such-flag", port=taken_port)
    assert failure.kind is FailureKind.UNKNOWN_ARGUMENT


def test_a_file_that_is_no_executable(failing: Failing) -> None:
    failure = failing.program(failing.model("tiny-llama", NEWEST))
    assert failure.kind is FailureKind.NOT_EXECUTABLE
    assert "tiny-llama.gguf" in failure.message


@posix_only
def test_a_file_with_the_right_to_execute_but_no_program(failing: Failing) -> None:
    path = failing.directory / "text"
    path.write_bytes(b"\x00 not a program")
    path.chmod(0o755)
    assert failing.program(path).kind is FailureKind.NOT_EXECUTABLE


@pytest.mark.skipif(sys.platform != "linux", reason="adds a library as Linux has them")
def test_missing_library(failing: Failing) -> None:
    # Nothing says where the library lies that is beside the program.
    program = with_library(failing.workbench.build(RENAMED).binary, failing.directory)
    failure = failing.program(program)
    assert failure.kind is FailureKind.MISSING_LIBRARY
    assert failure.argument == LIBRARY


@posix_only
def test_a_signal(failing: Failing) -> None:
    program = script(failing.directory / "dies", "import os; os.abort()")
    failure = failing.program(program)
    assert failure.kind is FailureKind.ABORT
    assert "SIGABRT" in failure.message


@posix_only
@pytest.mark.parametrize("build", [LEGACY, RENAMED, NEWEST])
def test_a_real_assertion(failing: Failing, build: str) -> None:
    failure = failing.build(build, "--override-kv", "llama.block_count=int:0")
    assert failure.kind is FailureKind.ABORT
    assert "SIGABRT" in failure.message


@posix_only
@pytest.mark.parametrize("build", [LEGACY, RENAMED])
def test_a_real_crash(failing: Failing, build: str) -> None:
    failure = failing.build(build, "-ub", "0", "-b", "0")
    assert failure.kind is FailureKind.ABORT
    assert "SIGSEGV" in failure.message


def test_a_server_that_dies_while_it_drafts(workbench: Workbench) -> None:
    # b9246 loads glm4moe's MTP block but cannot draft with it.
    unsuited = workbench.models["tiny-mtp"].fallback_path
    request = LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=5)
    result = run(
        workbench, RENAMED, request, Altered(name="glm", alter=setting("-m", str(unsuited)))
    )
    assert result.status is Verdict.FAIL
    assert result.failure is not None
    assert result.failure.kind is FailureKind.DIED
    assert "SIGABRT" in result.failure.message
    assert "glm4-moe.cpp" in result.failure.message


@posix_only
def test_exit_without_a_word(failing: Failing) -> None:
    failure = failing.program(script(failing.directory / "ends", "raise SystemExit(7)"))
    assert failure.kind is FailureKind.EARLY_EXIT
    assert "exit status 7" in failure.message
    assert "printed nothing" in failure.message


@posix_only
def test_never_healthy(failing: Failing) -> None:
    program = script(
        failing.directory / "sleeps", "print('awake', flush=True)\nimport time; time.sleep(60)"
    )
    failure = failing.program(program, health_timeout_s=0.7)
    assert failure.kind is FailureKind.TIMEOUT
    assert "0.7 s" in failure.message
    assert failure.log_tail == ("awake",)


def test_nul_byte_in_argv(failing: Failing) -> None:
    failure = failing.build(NEWEST, "--alias", "a\0b")
    assert failure.kind is FailureKind.BAD_VALUE
    assert failure.argument == "a\0b"


def test_a_cell_whose_plan_sets_a_renamed_variable(workbench: Workbench) -> None:
    request = LoadRequest(model="tiny-llama", mode="off")
    subject = Altered(name="old-variable", env={"LLAMA_ARG_DRAFT_MAX": "5"})
    result = run(workbench, RENAMED, request, subject)
    assert result.status is Verdict.FAIL
    assert result.failure is not None
    assert result.failure.kind is FailureKind.BAD_ENVIRONMENT
    assert result.failure.argument == "LLAMA_ARG_DRAFT_MAX"


@pytest.mark.parametrize("build", [LEGACY, NEWEST])
def test_a_cell_whose_plan_switches_the_log_off_is_not_told(
    workbench: Workbench, build: str
) -> None:
    # What is left over HTTP and what is counted agree; only where two tell the length it passes.
    request = LoadRequest(model="tiny-llama", mode="draft", draft_n_max=5)
    subject = Altered(name="silent", alter=adding("--log-disable"))
    result = run(workbench, build, request, subject)
    told = next(check for check in result.checks if check.name == "two-witnesses")
    assert result.status is (Verdict.PASS if told.ok else Verdict.ERROR)
    speaking = {one.witness for one in result.witnesses if one.speaks}
    assert not speaking & {"startup-log", "step-trace", "run-statistics", "draft-limit"}
    assert {"http-settings", "counted-drafts"} <= speaking


def test_a_cell_whose_plan_names_no_port_still_answers(workbench: Workbench) -> None:
    def portless(argv: tuple[str, ...]) -> tuple[str, ...]:
        place = argv.index("--port")
        return (*argv[:place], *argv[place + 2 :])

    request = LoadRequest(model="tiny-llama", mode="off")
    for build in (LEGACY, NEWEST):
        result = run(workbench, build, request, Altered(name="portless", alter=portless))
        assert result.status is Verdict.PASS
        assert "--port" not in result.argv


def test_a_flag_glued_to_its_value_is_unknown(workbench: Workbench) -> None:
    request = LoadRequest(model="tiny-llama", mode="off")
    result = run(workbench, NEWEST, request, Altered(name="glued", alter=adding("--ctx-size=64")))
    assert result.status is Verdict.FAIL
    assert result.failure is not None
    assert result.failure.kind is FailureKind.UNKNOWN_ARGUMENT
    assert result.failure.argument == "--ctx-size=64"


def limited(path: Path, binary: Path, limit: str) -> Path:
    """A build behind a limit of the shell."""
    path.write_text(f'#!/bin/sh\nulimit {limit}\nexec "{binary}" "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path


@posix_only
@pytest.mark.parametrize("build", [LEGACY, RENAMED, NEWEST])
@pytest.mark.parametrize("limit", ["-v 100000", "-v 40000"])
def test_a_host_that_gives_no_memory(failing: Failing, build: str, limit: str) -> None:
    acquired = failing.workbench.build(build)
    program = limited(failing.directory / "limited", acquired.binary, limit)
    model = str(failing.model("tiny-llama", build))
    for _ in range(10):  # some builds can end before their last words are written
        failure = failing.program(program, "-m", model, "-c", "8192", env=acquired.env)
        if failure.kind in HOST_FAULTS:
            break
    assert failure.kind in {FailureKind.OUT_OF_MEMORY, FailureKind.HOST_LIMIT}, failure


@posix_only
@pytest.mark.parametrize("build", [LEGACY, RENAMED, NEWEST])
def test_a_server_that_the_kernel_kills(failing: Failing, build: str) -> None:
    acquired = failing.workbench.build(build)
    program = limited(failing.directory / "limited", acquired.binary, "-t 0")
    model = str(failing.model("tiny-llama", build))
    failure = failing.program(program, "-m", model, env=acquired.env)
    assert failure.kind in {FailureKind.OUT_OF_MEMORY, FailureKind.HOST_LIMIT}


@posix_only
@pytest.mark.skipif(not unprivileged(), reason="root reads whatever it likes")
@pytest.mark.parametrize("build", ERAS)
def test_a_model_that_may_not_be_read(failing: Failing, build: str) -> None:
    locked = failing.directory / "locked.gguf"
    locked.write_bytes(failing.model("tiny-llama", build).read_bytes())
    locked.chmod(0)
    failure = failing.with_its_last_words(build, "-m", str(locked))
    assert failure.kind in {FailureKind.HOST_LIMIT, FailureKind.MODEL_LOAD}


def broken_for_all(workbench: Workbench, directory: Path, text: str) -> CellResult:
    """A cell on a build that qualified and then does ``text`` with every command line."""
    real = workbench.build(RENAMED)
    asked = f"import os, sys\nif '--port' not in sys.argv: os.execv({str(real.binary)!r}, sys.argv)"
    broken = script(directory / "llama-server", f"{asked}\n{text}")
    bench = replace(workbench, launches={}, share_launches=False, health_timeout_s=2)
    bench._builds = {RENAMED: replace(real, binary=broken)}
    request = LoadRequest(model="tiny-llama", mode="off")
    cell = Cell(build=RENAMED, subject="reference", environment="cpu", request=request)
    return run_cell(cell, bench)


@posix_only
@pytest.mark.parametrize(
    "text",
    ["sys.exit(7)", "os.abort()", "os.kill(os.getpid(), 11)", "import time; time.sleep(60)"],
    ids=["exits", "aborts", "crashes", "hangs"],
)
def test_what_any_command_line_comes_to_is_not_laid_at_the_door_of_this_one(
    workbench: Workbench, tmp_path: Path, text: str
) -> None:
    result = broken_for_all(workbench, tmp_path, text)
    assert result.status is Verdict.ERROR
    assert result.failure is not None
    assert result.failure.kind is FailureKind.UNQUALIFIED
    assert "a plain command line either" in result.failure.message


@posix_only
def test_an_illegal_instruction_is_an_error_of_its_own(
    workbench: Workbench, tmp_path: Path
) -> None:
    text = "import os, signal; os.kill(os.getpid(), signal.SIGILL)"
    result = broken_for_all(workbench, tmp_path, text)
    assert result.status is Verdict.ERROR
    assert result.failure is not None
    assert result.failure.kind is FailureKind.ILLEGAL_INSTRUCTION
