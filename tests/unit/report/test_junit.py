from pathlib import Path

import junitparser
import pytest

from harness.report.junit import write_junit
from tests.unit.report.bad_results import NASTY, one_of_each, refused


def cases(path: Path) -> dict[str, junitparser.TestCase]:
    return {case.name: case for suite in junitparser.JUnitXml.fromfile(str(path)) for case in suite}


def test_every_verdict_as_programs_understand_it(tmp_path: Path) -> None:
    results = one_of_each()
    write_junit(results, tmp_path / "junit.xml")
    read = cases(tmp_path / "junit.xml")
    assert sorted(read) == sorted(one.id for one in results)
    kinds = {
        one.status.value: [type(outcome).__name__ for outcome in read[one.id].result]
        for one in results
    }
    assert kinds == {
        "pass": [],
        "degraded": [],
        "known": ["Skipped"],
        "fail": ["Failure"],
        "flaky": ["Error"],
        "error": ["Error"],
    }


def test_one_suite_for_each_subject_and_environment(tmp_path: Path) -> None:
    write_junit(one_of_each(), tmp_path / "junit.xml")
    suites = junitparser.JUnitXml.fromfile(str(tmp_path / "junit.xml"))
    assert [(suite.name, suite.tests) for suite in suites] == [
        ("reference cpu", 6),
        ("reference cuda-spoof", 1),
    ]


def test_what_the_server_said_survives(tmp_path: Path) -> None:
    write_junit([refused()], tmp_path / "junit.xml")
    (case,) = cases(tmp_path / "junit.xml").values()
    assert case.time == pytest.approx(0.001)
    text = case.result[0].text
    assert "first line" in text
    assert ">>> --draft-max <<<" in text
    assert "</script><b>|`]]>" in text
    assert "\x1b" not in text
    assert "\x1b" in NASTY
