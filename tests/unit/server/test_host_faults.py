"""What a host does to a server is told from what a command line does."""

import signal
import sys
from itertools import chain

import pytest

from harness.model import FailureKind
from harness.server.failure import HOST_FAULTS, UNEXPLAINED, classify_death, classify_exit

LINES = {
    FailureKind.MISSING_LIBRARY: (
        "x: error while loading shared libraries: libcuda.so.1: cannot open shared object file",
        "x: /lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by x)",
        "x: /lib/libstdc++.so.6: version `CXXABI_1.3.15' not found (required by x)",
        "Error loading shared library libgomp.so.1: No such file or directory (needed by x)",
        "Error relocating ./x: __memcpy_chk: symbol not found",
        "./x: symbol lookup error: ./x: undefined symbol: ggml_new, version GGML",
        "dyld[1]: Library not loaded: @rpath/libggml.dylib",
        "dyld[1]: Symbol not found: _cblas_sgemm",
    ),
    FailureKind.OUT_OF_MEMORY: (
        "0.00.009.315 E ggml_aligned_malloc: insufficient memory (attempted to allocate 19 MB)",
        "ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 4096",
        "  what():  std::bad_alloc",
        "ggml.c:1600: GGML_ASSERT(ctx->mem_buffer != NULL) failed",
        "mmap failed: Cannot allocate memory",
    ),
    FailureKind.DEVICE_MEMORY: (
        "E alloc_buffer: allocating 390625.00 MiB on device 0: cudaMalloc failed: out of memory",
        "E alloc_tensor_range: failed to allocate CUDA0 buffer of size 409600000000",
        "E CUDA error: out of memory",
    ),
    FailureKind.HOST_LIMIT: (
        "  what():  Resource temporarily unavailable",
        "gguf_init_from_file: failed to open GGUF file 'm.gguf' (Permission denied)",
        "fopen: Too many open files",
        "write: No space left on device",
        "write: Disk quota exceeded",
        "read: Input/output error",
    ),
    FailureKind.TINY_MODEL: (
        "src/llama-graph.cpp:1873: RANK pooling requires either cls+cls_b or cls_out+cls_out_b",
    ),
    FailureKind.NOT_EXECUTABLE: ("llama-harness: no container: No such image",),
    FailureKind.PORT_IN_USE: (
        "start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 80",
    ),
}
SIGNALS = {
    FailureKind.ILLEGAL_INSTRUCTION: ("SIGILL",),
    FailureKind.OUT_OF_MEMORY: ("SIGKILL",),
    FailureKind.HOST_LIMIT: ("SIGBUS", "SIGXCPU", "SIGXFSZ", "SIGSYS"),
    FailureKind.ENDED_FROM_OUTSIDE: ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"),
}
WINDOWS = {
    FailureKind.MISSING_LIBRARY: (0xC0000135, 0xC0000139, 0xC0000142),
    FailureKind.NOT_EXECUTABLE: (0xC000007B,),
    FailureKind.ILLEGAL_INSTRUCTION: (0xC000001D,),
    FailureKind.OUT_OF_MEMORY: (0xC0000017, 0xC000012D),
    FailureKind.ENDED_FROM_OUTSIDE: (0xC000013A,),
}
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def cases(kinds: dict[FailureKind, tuple[object, ...]]) -> list[object]:
    return [
        pytest.param(kind, one, id=str(one)[:40]) for kind, ones in kinds.items() for one in ones
    ]


def test_every_kind_that_is_the_hosts_has_a_case() -> None:
    told = {*LINES, *SIGNALS, *WINDOWS}
    assert told | {FailureKind.UNQUALIFIED} == HOST_FAULTS
    assert not HOST_FAULTS & UNEXPLAINED


@pytest.mark.parametrize(("kind", "line"), cases({**LINES}))
def test_last_words(kind: FailureKind, line: str) -> None:
    loading = ["build: 1", line, "E srv load_model: failed to load model, 'm.gguf'"]
    assert classify_exit(1, loading, ()).kind is kind
    assert "\n" not in classify_exit(1, loading, ()).message


@posix
@pytest.mark.parametrize(("kind", "name"), cases({**SIGNALS}))
def test_signals(kind: FailureKind, name: str) -> None:
    number = signal.Signals[name]
    for status in (-number, 128 + number):
        assert classify_exit(status, ["loading"], ()).kind is kind
        assert classify_death(status, ["loading"], ()).kind is kind


@pytest.mark.parametrize(("kind", "status"), cases({**WINDOWS}))
def test_statuses_of_windows(kind: FailureKind, status: int) -> None:
    assert classify_exit(status, ["loading"], ()).kind is kind


@pytest.mark.parametrize("status", [0xC0000005, 0xC0000409])
def test_a_crash_on_windows_is_a_crash(status: int) -> None:
    failure = classify_exit(status, [], ())
    assert failure.kind is FailureKind.ABORT
    assert f"0x{status:X}" in failure.message


@posix
@pytest.mark.parametrize("name", ["SIGABRT", "SIGSEGV", "SIGFPE", "SIGTRAP"])
def test_what_a_program_does_itself_is_not_the_hosts(name: str) -> None:
    number = signal.Signals[name]
    for status in (-number, 128 + number):
        assert classify_exit(status, ["loading"], ()).kind is FailureKind.ABORT
        assert classify_death(status, ["loading"], ()).kind is FailureKind.DIED


def test_a_refused_argument_goes_before_the_host() -> None:
    for line in chain.from_iterable(LINES.values()):
        lines = ["error: invalid argument: --x", line]
        assert classify_exit(1, lines, ()).kind is FailureKind.UNKNOWN_ARGUMENT


@pytest.mark.parametrize(
    "line",
    [
        "warning: failed to mlock 1024-byte buffer: Cannot allocate memory",
        "0.00.003 W set_process_priority: Operation not permitted",
        "warn: failed to set process priority 2 : Permission denied (13)",
    ],
)
def test_a_warning_that_a_start_survives_is_no_reason(line: str) -> None:
    lines = [line, "E srv load_model: failed to load model, 'm.gguf'"]
    assert classify_exit(1, lines, ()).kind is FailureKind.MODEL_LOAD


@pytest.mark.parametrize("name", ["Permission denied", "out of memory", "No space left on device"])
def test_the_users_own_words_are_not_the_hosts(name: str) -> None:
    lines = [f"srv load_model: loading model '/x/{name}.gguf'", f"failed to load model, '{name}'"]
    assert classify_exit(1, lines, ()).kind is FailureKind.MODEL_LOAD


def test_a_list_of_addresses_that_a_build_does_not_take() -> None:
    line = "start: couldn't bind HTTP server socket, hostname: 127.0.0.1,::1, port: 80"
    failure = classify_exit(1, [line], ())
    assert (failure.kind, failure.argument) == (FailureKind.BAD_VALUE, "--host")


def test_words_of_long_ago_are_no_reason() -> None:
    lines = ["mmap failed: Cannot allocate memory", *["loading"] * 30]
    assert classify_exit(1, lines, ()).kind is FailureKind.EARLY_EXIT
