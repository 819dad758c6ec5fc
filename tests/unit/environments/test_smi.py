"""``nvidia-smi``: what it answers, and that the shell script answers the same."""

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.environments.machine import SpoofedMachine, load_profile
from harness.environments.smi import SmiAnswer, answer
from harness.environments.smi_shell import shell_script
from harness.environments.smi_texts import card_answers
from harness.environments.spoof import varied_machine
from harness.environments.variants import Variant

NOW = datetime(2026, 3, 7, 8, 9, 10).astimezone()
TWO = varied_machine(load_profile("a100-80gb"), frozenset({Variant.TWO_GPUS}))


def ask(*arguments: str, machine: SpoofedMachine | None = None, visible: str | None = None) -> str:
    said = answer(machine or load_profile(), arguments, visible=visible, now=NOW)
    assert said.exit_code == 0
    return said.output


def refused(*arguments: str, visible: str | None = None) -> SmiAnswer:
    return answer(load_profile(), arguments, visible=visible, now=NOW)


def test_lists_cards() -> None:
    assert ask("-L", machine=TWO) == (
        "GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-c2d80b5e-3f16-4a7d-b0e9-15a6d47f8c03)\n"
        "GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-c2d80b5f-3f16-4a7d-b0e9-15a6d47f8c03)\n"
    )


def test_answers_the_query_of_applications() -> None:
    query = "--query-gpu=index,memory.free"
    assert ask(query, "--format=csv,noheader,nounits") == "0, 24205\n"
    assert ask(query, "--format=csv,noheader") == "0, 24205 MiB\n"
    assert ask(query, "--format=csv,nounits") == "index, memory.free [MiB]\n0, 24205\n"
    assert ask("--query-gpu", "name, count", "--format", "csv") == (
        "name, count\nNVIDIA GeForce RTX 4090, 1\n"
    )


def test_an_alias_has_the_header_of_its_field() -> None:
    assert ask("--query-gpu=gpu_uuid", "--format=csv").splitlines()[0] == "uuid"


def test_says_what_a_card_does_not_have() -> None:
    assert ask("--query-gpu=ecc.mode.current", "--format=csv,noheader") == "[N/A]\n"
    assert ask("--query-gpu=ecc.mode.current,mig.mode.current", "--format=csv,noheader",
               "-i", "1", machine=TWO) == "Enabled, Disabled\n"  # fmt: skip


def test_lists_no_processes() -> None:
    assert ask("--query-compute-apps=pid,used_memory", "--format=csv") == (
        "pid, used_gpu_memory [MiB]\n"
    )


@pytest.mark.parametrize("name", ["0", "00000000:07:00.0", "0000:07:00.0", "07:00.0",
                                  "GPU-c2d80b5e-3f16-4a7d-b0e9-15a6d47f8c03"])  # fmt: skip
def test_selects_a_card_by_each_of_its_names(name: str) -> None:
    query = ("--query-gpu=index", "--format=csv,noheader")
    assert ask(*query, f"--id={name}", machine=TWO) == "0\n"


def test_the_table_is_as_wide_as_the_real_one() -> None:
    lines = ask(machine=TWO).splitlines()
    assert lines[0].rstrip() == "Sat Mar  7 08:09:10 2026"
    assert {len(line) for line in lines[1:]} == {91}
    assert sum("NVIDIA A100-SXM4-80GB" in line for line in lines) == 2
    assert "4MiB /  81920MiB" in "\n".join(lines)


def test_the_xml_log_reads_as_xml() -> None:
    log = ET.fromstring(ask("-q", "-x", machine=TWO))
    assert log.findtext("attached_gpus") == "2"
    gpus = log.findall("gpu")
    assert [gpu.findtext("uuid") for gpu in gpus] == [card.uuid for card in TWO.cards]
    assert gpus[0].findtext("fb_memory_usage/total") == "81920 MiB"
    assert gpus[0].findtext("pci/pci_gpu_link_info/pcie_gen/max_link_gen") == "4"


def test_the_text_log_names_the_driver() -> None:
    text = ask("-q")
    assert "CUDA Version                                           : 13.0\n" in text
    assert "        Free                                           : 24205 MiB\n" in text


def test_refuses_in_the_words_of_the_real_one() -> None:
    assert refused("--query-gpu=name,nonsense", "--format=csv") == SmiAnswer(
        output='Field "nonsense" is not a valid field to query.\n\n', exit_code=2
    )
    for option in ("--gpu-fan", "--format=csv"):
        assert refused(option) == SmiAnswer(
            output=f"ERROR: Option {option} is not recognized. Please run 'nvidia-smi -h'.\n\n",
            exit_code=255,
        )
    assert refused("-i").exit_code == 2
    assert refused("--query-gpu=name", "--format=json") == SmiAnswer(
        output="Format modifier is not recognized.\n", exit_code=2
    )
    assert refused("-i", "0", "-L") == SmiAnswer(
        output="ERROR: Option -i is not valid for this command. "
        "Please run 'nvidia-smi -h' for help.\n\n",
        exit_code=2,
    )
    assert refused("-i", "7") == SmiAnswer(output="No devices were found\n", exit_code=6)
    assert refused("-L", visible="") == SmiAnswer(output="No devices were found\n", exit_code=6)


def test_without_a_driver_it_exits_with_9() -> None:
    said = answer(load_profile(), ["-L"], visible=None, now=NOW, no_driver=True)
    assert said.exit_code == 9
    assert said.output.startswith(
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    )


FIELDS = sorted(card_answers(TWO, 0))
ARGUMENTS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "-L",
                "-q",
                "-x",
                "-h",
                "--version",
                "--help-query-gpu",
                "topo",
                "-m",
                "-i",
                "--x",
                "-i=0",
                "--format=csv",
                "--format=csv,noheader",
                "--format=csv, nounits",
                "--format=json",
                "--format=noheader",
                "--format",
                "csv",
                "--list-gpus",
                "",
                "--query-compute-apps=pid,name",
                "--query-compute-apps=pid,none",
                "--query-gpu",
            ]
        ),
        st.sampled_from([f"--id={name}" for name in ("0", "1", "0,1", "2", "07:00.0", "1,", "")]),
        st.lists(st.sampled_from([*FIELDS, " name", "count", "nonsense", "*", ""]), max_size=4).map(
            lambda names: f"--query-gpu={','.join(names)}"
        ),
    ),
    max_size=4,
)
VISIBLE = st.none() | st.one_of(
    st.sampled_from(["", "0", "1,0", "0,", "-1", "GPU-c2d80b5f", "GPU-c2", "GPU-c2d80b5e,GPU-x"]),
    st.text("012 ,-+\tgGPU*?$`\"'", max_size=8),
)


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("smi") / "nvidia-smi"
    path.write_text(shell_script(TWO), encoding="utf-8")
    path.chmod(0o755)
    return path


def run(script: Path, arguments: Sequence[str], visible: str | None) -> SmiAnswer:
    env = {"PATH": os.defpath}
    if visible is not None:
        env["CUDA_VISIBLE_DEVICES"] = visible
    done = subprocess.run(
        [script, *arguments], env=env, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return SmiAnswer(output=done.stdout, exit_code=done.returncode)


def timeless(said: SmiAnswer) -> SmiAnswer:
    """Without the lines that tell the time."""
    lines = said.output.splitlines(keepends=True)
    kept = [line for line in lines if "Timestamp" not in line and "<timestamp>" not in line]
    if kept and kept[0][:3] in {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}:
        kept = kept[1:]
    return SmiAnswer(output="".join(kept), exit_code=said.exit_code)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no /bin/sh; it runs answer()")
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(arguments=ARGUMENTS, visible=VISIBLE)
@example(arguments=[], visible=None)
@example(arguments=["-q"], visible="1")
@example(arguments=["-q", "-x"], visible=None)
@example(arguments=["topo", "-m"], visible=None)
@example(arguments=[f"--query-gpu={','.join(FIELDS)}", "--format=csv"], visible=None)
@example(arguments=[f"--query-gpu={','.join(FIELDS)}", "--format=csv,nounits"], visible="1,0")
def test_the_script_answers_as_stated(
    script: Path, arguments: list[str], visible: str | None
) -> None:
    stated = answer(TWO, arguments, visible=visible, now=NOW)
    assert timeless(run(script, arguments, visible)) == timeless(stated)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no /bin/sh")
def test_the_script_tells_the_time(script: Path) -> None:
    query = ["-i", "0", "--query-gpu=timestamp", "--format=csv,noheader"]
    said = run(script, query, None).output.strip()
    told = datetime.strptime(said, "%Y/%m/%d %H:%M:%S.%f").astimezone()
    assert abs((datetime.now().astimezone() - told).total_seconds()) < 60


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no /bin/sh")
def test_the_script_can_ignore_visibility(tmp_path: Path) -> None:
    path = tmp_path / "nvidia-smi"
    path.write_text(shell_script(TWO, unmasked=True), encoding="utf-8")
    path.chmod(0o755)
    assert run(path, ["-L"], "1").output.count("GPU ") == 2
    assert run(path, ["-L"], "").output.count("GPU ") == 2
