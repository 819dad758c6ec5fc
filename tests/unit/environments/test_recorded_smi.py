"""What a real ``nvidia-smi`` answered on a card, against the spoof made from that card's profile.

``fixtures/nvidia-smi`` holds an H100's answers under driver 580.159 (``benchmarks/spoof_layers.py
--texts``); what changes from moment to moment is left out of the comparison.
"""

import json
import re
import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from harness.environments.machine import load_profile
from harness.environments.smi import SmiAnswer, answer

RECORDED = Path(__file__).parents[3] / "fixtures" / "nvidia-smi" / "h100-580.159.json"
ANSWERS: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
XML = "-q -x"
DRIFTING = re.compile(
    r"\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4} *"  # the time
    r"|\d+W /"  # the draw in the table
    r"|[\d.]+ W, (?=700)"  # and in csv
)
MOVING = {"timestamp", "power_draw", "gpu_current_temp", "gpu_temp"}


def ask(*arguments: str) -> SmiAnswer:
    machine = load_profile(str(RECORDED.with_suffix(".toml")))
    return answer(machine, arguments, visible=None, now=datetime(2026, 1, 2).astimezone())


@pytest.mark.parametrize("command", [each for each in ANSWERS if XML not in each])
def test_answers_as_the_card_did(command: str) -> None:
    said = ask(*shlex.split(command))
    real = ANSWERS[command]
    assert DRIFTING.sub("", said.output) == DRIFTING.sub("", real["output"])
    assert said.exit_code == real["exit_code"]


def leaves(element: ET.Element, path: str = "") -> Iterator[tuple[str, str]]:
    place = f"{path}/{element.tag}"
    if len(element) == 0:
        yield place, (element.text or "").strip()
    for child in element:
        yield from leaves(child, place)


def test_the_xml_log_tells_nothing_else_than_the_card() -> None:
    real = dict(leaves(ET.fromstring(ANSWERS[XML]["output"])))
    ours = dict(leaves(ET.fromstring(ask("-q", "-x").output)))
    assert len(ours) > 40
    wrong = {
        place: (value, real.get(place))
        for place, value in ours.items()
        if real.get(place) != value and place.rpartition("/")[2] not in MOVING
    }
    assert wrong == {}
