"""Last words to a failure, by lines as the builds print them."""

import signal
import sys

import pytest

from harness.model import FailureKind
from harness.server.failure import classify_death, classify_exit


@pytest.mark.parametrize(
    ("line", "kind", "argument"),
    [
        ("error: invalid argument: --x", FailureKind.UNKNOWN_ARGUMENT, "--x"),
        ("error: unknown argument: --x", FailureKind.UNKNOWN_ARGUMENT, "--x"),
        (
            (
                'error while handling argument "--draft-max": the argument has been removed. use '
                "--spec-draft-n-max or --spec-ngram-mod-n-max"
            ),
            FailureKind.REMOVED_ARGUMENT,
            "--draft-max",
        ),
        (
            'error while handling argument "--spec-type": unknown speculative type: x',
            FailureKind.BAD_VALUE,
            "--spec-type",
        ),
        (
            'error while handling argument "-c": expected value for argument',
            FailureKind.BAD_VALUE,
            "-c",
        ),
        (
            (
                'error while handling environment variable "LLAMA_ARG_DRAFT_MAX": the argument has '
                "been removed. use --spec-draft-n-max"
            ),
            FailureKind.BAD_ENVIRONMENT,
            "LLAMA_ARG_DRAFT_MAX",
        ),
        (
            (
                "./llama-server: error while loading shared libraries: libllama.so: cannot open "
                "shared object file: No such file or directory"
            ),
            FailureKind.MISSING_LIBRARY,
            "libllama.so",
        ),
        (
            "dyld[42]: Library not loaded: @rpath/libllama.dylib",
            FailureKind.MISSING_LIBRARY,
            "@rpath/libllama.dylib",
        ),
        (
            "llama-harness: no container: No such image: sha256:90dd",
            FailureKind.NOT_EXECUTABLE,
            None,
        ),
        (
            "llama-server: /lib/libc.so.6: version `GLIBC_2.38' not found (required by x)",
            FailureKind.MISSING_LIBRARY,
            "GLIBC_2.38",
        ),
        (
            "start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8080",
            FailureKind.PORT_IN_USE,
            None,
        ),
        (
            "0.00.012.345 E srv  load_model: failed to load model, 'x.gguf'",
            FailureKind.MODEL_LOAD,
            None,
        ),
    ],
)
def test_one_line_tells(line: str, kind: FailureKind, argument: str | None) -> None:
    failure = classify_exit(1, ["build: 1", line, "usage:"], ("the", "tail"))
    assert (failure.kind, failure.argument) == (kind, argument)
    assert failure.log_tail == ("the", "tail")
    assert "\n" not in failure.message


def test_the_first_reason_of_a_model_is_the_one_told() -> None:
    lines = [
        "0.00.010.000 E llama_model_load: error loading model: unknown model architecture: 'x'",
        "0.00.010.001 E srv  load_model: failed to load model, 'x.gguf'",
        "0.00.010.002 E main: exiting due to model loading error",
    ]
    failure = classify_exit(1, lines, ())
    assert failure.message == (
        "the model does not load: "
        "llama_model_load: error loading model: unknown model architecture: 'x'"
    )


def test_an_argument_is_to_blame_before_the_model() -> None:
    lines = ["failed to load model", "error: invalid argument: --x"]
    assert classify_exit(1, lines, ()).kind is FailureKind.UNKNOWN_ARGUMENT


@pytest.mark.parametrize(
    "line",
    [
        "src/llama-model.cpp:1330: GGML_ASSERT(hparams.n_layer > 0) failed",
        "src/models/glm4-moe.cpp:152: This GGUF does not support multimodal.",
        "/home/me/a space/src/models/glm4-moe.cpp:152: This GGUF does not support multimodal.",
        "terminate called after throwing an instance of 'std::runtime_error'",
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_abort_tells_its_assertion(line: str) -> None:
    failure = classify_exit(-signal.SIGABRT, ["loading", line], ())
    line = line.removeprefix("/home/me/a space/")  # where it was compiled is no matter
    assert failure.kind is FailureKind.ABORT
    assert failure.message == f"the server ended by SIGABRT: {line}"
    death = classify_death(-signal.SIGABRT, ["loading", line], ())
    assert death.kind is FailureKind.DIED
    assert "SIGABRT" in death.message
    assert line in death.message


def test_an_exit_that_nothing_explains() -> None:
    failure = classify_exit(7, [], ())
    assert failure.kind is FailureKind.EARLY_EXIT
    assert "exit status 7" in failure.message
    assert "it printed nothing" in failure.message
    assert classify_exit(7, ["x"], ("last words",)).message.endswith("last words")


def test_a_signal_without_a_name() -> None:
    assert "signal 250" in classify_exit(-250, [], ()).message


@pytest.mark.parametrize("status", [0xC0000135, 0xC0000139])
def test_windows_tells_a_missing_library_by_its_status(status: int) -> None:
    assert classify_exit(status, [], ()).kind is FailureKind.MISSING_LIBRARY
