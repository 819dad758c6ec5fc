"""``--threads -1``, as applications write it, does not make a launch depend on the host's load."""

from dataclasses import replace

import pytest

from harness.cells.workbench import Workbench
from harness.model import LoadRequest, Verdict
from tests.live.altered import Altered, adding, run

pytestmark = pytest.mark.live


@pytest.mark.parametrize("build", ["b8929", "b9246"])
def test_as_many_threads_as_cores_is_one(workbench: Workbench, build: str) -> None:
    if not workbench.one_core:
        pytest.skip("this host cannot make a server see one core: no Linux, or no C compiler")
    request = LoadRequest(model="tiny-llama", mode="off")
    every_core = Altered(name="every-core", alter=adding("--threads", "-1"))
    logs: list[tuple[str, ...]] = []
    watched = replace(workbench, watcher=lambda _, shown: logs.append(shown.startup_lines))
    result = run(watched, build, request, every_core)
    assert result.argv[-2:] == ("--threads", "-1")
    assert result.status is Verdict.PASS
    (log,) = logs
    told = [line for line in log if "system_info: n_threads" in line]
    assert [("n_threads = 1 (n_threads_batch = 1) / 1 |" in line) for line in told] == [True]
