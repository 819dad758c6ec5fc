"""How far programs linked against NVIDIA's own libraries get inside the spoof."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.cells.running import run_cell
from harness.cells.workbench import Workbench
from harness.environments.environment import environment
from harness.environments.linking import missing_libraries, with_libraries
from harness.errors import EnvironmentUnavailableError
from harness.model import Cell, LoadRequest, Verdict
from harness.report.outline import host_text

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or shutil.which("cc") is None,
        reason="needs Linux and a C compiler",
    ),
]

ASKS_RUNTIME = r"""
#include <stdio.h>
extern int cudaDriverGetVersion(int *), cudaGetDeviceCount(int *);
extern const char *cudaGetErrorName(int);
int main(void) {
    int version = -1, count = 0;
    int error = cudaDriverGetVersion(&version);
    printf("driver %d %s\n", version, cudaGetErrorName(error));
    error = cudaGetDeviceCount(&count);
    printf("devices %d %s\n", count, cudaGetErrorName(error));
}
"""
ASKS_DRIVER = r"""
#include <stdio.h>
extern int cuInit(unsigned), cuDeviceGetCount(int *), cuDeviceGetName(char *, int, int);
extern int cuMemCreate(void *, unsigned long, void *, unsigned long long);
int main(void) {
    int count = 0;
    char name[96] = "";
    if (!cuInit(0) && !cuDeviceGetCount(&count)) cuDeviceGetName(name, sizeof name, 0);
    printf("%d %s %d\n", count, name, cuMemCreate(0, 0, 0, 0));
}
"""


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of ``libcudart.so.12`` from its package."""
    directory = tmp_path_factory.mktemp("cuda-runtime")
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", directory,
         "nvidia-cuda-runtime-cu12==12.9.79"],
        check=True,
    )  # fmt: skip
    (wheel,) = directory.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(directory)
    return directory / "nvidia" / "cuda_runtime" / "lib"


def compiled(directory: Path, source: str, library: Path) -> Path:
    (directory / "program.c").write_text(source, encoding="utf-8")
    program = directory / "program"
    subprocess.run(["cc", directory / "program.c", "-o", program, library], check=True)
    return program


def said(program: Path, variables: Mapping[str, str], *libraries: Path) -> list[str]:
    paths = [variables.get("LD_LIBRARY_PATH", ""), *map(str, libraries)]
    env = {**variables, "LD_LIBRARY_PATH": os.pathsep.join(filter(None, paths))}
    return subprocess.check_output([program], env=env, text=True).splitlines()


def test_the_runtime_library_reads_the_driver_and_stops_at_its_tables(
    tmp_path: Path, runtime: Path
) -> None:
    program = compiled(tmp_path, ASKS_RUNTIME, runtime / "libcudart.so.12")
    with environment("cuda-spoof", home=tmp_path / "home") as inside:
        assert inside.spoof is not None
        assert said(program, inside.variables, runtime) == [
            "driver 13000 cudaSuccess",
            "devices 0 cudaErrorSymbolNotFound",
        ]
        calls = inside.spoof.unanswered()
    assert calls
    assert all(call.startswith("cuGetExportTable ") for call in calls)
    with environment("cpu", home=tmp_path / "home") as inside:
        assert said(program, inside.variables, runtime) == [
            "driver 0 cudaSuccess",
            "devices 0 cudaErrorInsufficientDriver",
        ]


def test_a_server_finds_cudas_libraries_in_their_packages(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = compiled(tmp_path, ASKS_RUNTIME, runtime / "libcudart.so.12")
    asked = ("mine", program, "cuda-spoof")
    with environment("cuda-spoof", home=tmp_path / "home") as inside:
        with pytest.raises(EnvironmentUnavailableError) as refused:
            with_libraries(*asked, inside.variables)
        assert str(refused.value) == (
            "mine is linked against libcudart.so.12, which environment cuda-spoof does not have: "
            "`python -m pip install nvidia-cuda-runtime-cu12` brings CUDA's own"
        )
        monkeypatch.syspath_prepend(runtime.parents[2])
        found = with_libraries(*asked, inside.variables)
        assert found["LD_LIBRARY_PATH"].endswith(f":{runtime}")
        assert said(program, found)[0] == "driver 13000 cudaSuccess"


def test_a_program_of_the_driver_library_starts_only_inside(tmp_path: Path) -> None:
    with environment("cuda-spoof", home=tmp_path / "home") as inside:
        assert inside.spoof is not None
        program = compiled(tmp_path, ASKS_DRIVER, inside.spoof.libraries / "libcuda.so.1")
        assert said(program, inside.variables) == ["1 NVIDIA GeForce RTX 4090 801"]
        assert missing_libraries(program, inside.variables) == {}
    with environment("cpu", home=tmp_path / "home") as inside:
        refused = subprocess.run(
            [program], env=dict(inside.variables), capture_output=True, text=True, check=False
        )
        assert refused.returncode == 127
        assert "libcuda.so.1: cannot open shared object file" in refused.stderr
        assert missing_libraries(program, inside.variables) == {"program": ("libcuda.so.1",)}
        with pytest.raises(EnvironmentUnavailableError, match="which cuda-spoof stands in for"):
            with_libraries("mine", program, "cpu", inside.variables)


def test_the_cpu_server_lists_no_cuda_device(workbench: Workbench) -> None:
    build = workbench.build("b10435")
    variables = {**workbench.environment("cuda-spoof").variables, **build.env}
    listed = subprocess.run(
        [build.binary, "--list-devices"],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    output = listed.stdout + listed.stderr
    assert "Available devices:" in output
    assert "CUDA" not in output
    assert "NVIDIA" not in output


def test_a_result_says_where_the_server_ran(workbench: Workbench) -> None:
    cell = Cell(
        build="b9246",
        subject="reference",
        environment="cuda-spoof",
        request=LoadRequest(model="tiny-mtp", mode="mtp"),
    )
    result = run_cell(cell, workbench)
    assert result.status is Verdict.PASS
    assert result.host is not None
    assert result.host.has_gpu
    if result.no_card:  # a build that was made before it was linked with a starter
        assert result.devices == ()
        assert host_text([result]) == "NVIDIA GeForce RTX 4090; servers on the CPU"
    else:
        assert result.devices == ("CUDA0: NVIDIA GeForce RTX 4090 (spoofed)",)
