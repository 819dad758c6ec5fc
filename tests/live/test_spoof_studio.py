"""Unsloth Studio, unmodified, inside every form of the spoof: what it detects and what it plans."""

import json
import subprocess
from pathlib import Path

import pytest

import harness.subjects
from harness.cells.workbench import Workbench
from harness.environments import open_environment
from harness.model import LaunchTarget, LoadRequest
from harness.subjects import unsloth_install

pytestmark = pytest.mark.live

VERSIONS = ("2026.5.5", "2026.10.9")
ASKS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from unsloth_driver import log
sys.path[0] = sys.argv[2]
log.install(log.StudioLog())
from core.inference.llama_cpp import LlamaCppBackend
ask = getattr(LlamaCppBackend, "_get_gpu_memory", None) or LlamaCppBackend._get_gpu_free_memory
print(json.dumps([row[:2] for row in ask()]))
"""


def detected(version: str, environment: str, home: Path, **extra: str) -> list[list[int]]:
    """Index and free MiB of the GPUs that Studio finds."""
    backend = unsloth_install.backend_of_version(version)
    drivers = Path(harness.subjects.__file__).parent
    with open_environment(environment, home=home) as variables:
        answer = subprocess.check_output(
            [unsloth_install.interpreter(), "-c", ASKS, drivers, backend],
            env={**variables, **extra},
            stderr=subprocess.DEVNULL,
        )
    found: list[list[int]] = json.loads(answer.splitlines()[-1])
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("environment", "visible", "gpus"),
    [
        ("cpu", None, []),
        ("cuda-spoof", None, [[0, 24205]]),
        ("cuda-spoof:h100-80gb", None, [[0, 81007]]),
        ("cuda-spoof:two-gpus", None, [[0, 24205], [1, 24205]]),
        ("cuda-spoof:two-gpus", "1", [[1, 24205]]),
        ("cuda-spoof:two-gpus", "", []),
        ("cuda-spoof:two-gpus+unmasked-smi", "1", [[1, 24205]]),
        ("cuda-spoof:zero-memory", None, [[0, 0]]),
        ("cuda-spoof:no-smi", None, []),
        ("cuda-spoof:no-driver", None, []),
        ("cuda-spoof:hang", None, []),
    ],
)
def test_finds_what_the_profile_has(
    version: str, environment: str, visible: str | None, gpus: list[list[int]], tmp_path: Path
) -> None:
    extra = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert detected(version, environment, tmp_path / "home", **extra) == gpus


@pytest.mark.parametrize("version", VERSIONS)
def test_plans_differ_as_the_host_does(workbench: Workbench, version: str) -> None:
    request = LoadRequest(model="tiny-mtp", mode="mtp")
    plans = {}
    # A CPU build: for a Vulkan build 2026.10.9 asks the build itself for devices.
    for name in ("cpu", "cuda-spoof", "cuda-spoof:no-driver"):
        target = LaunchTarget(
            binary=workbench.build("b9246").binary,
            model=workbench.models["tiny-mtp"],
            port=8099,
            env=workbench.environment(name).variables,
        )
        plans[name] = workbench.subject(f"unsloth=={version}").plan(request, target).argv
    length = {name: argv[argv.index("--spec-draft-n-max") + 1] for name, argv in plans.items()}
    assert length == {"cpu": "3", "cuda-spoof": "2", "cuda-spoof:no-driver": "3"}
