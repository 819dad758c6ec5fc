"""Results as JUnit XML, for the many programs that read it."""

from collections.abc import Sequence
from pathlib import Path

from harness.errors import writing
from harness.model import CellResult, Verdict
from harness.report.failures import describe
from harness.report.outline import why


def write_junit(results: Sequence[CellResult], path: Path) -> None:
    """One suite for each subject and environment, one case for each cell.

    Raises:
        UsageError: The file cannot be written.
    """
    import junitparser

    report = junitparser.JUnitXml(name="llama-harness")
    suites: dict[str, junitparser.TestSuite] = {}
    for result in results:
        name = _printable(f"{result.subject} {result.environment}")
        if name not in suites:
            suites[name] = junitparser.TestSuite(name)
        case = junitparser.TestCase(result.id, classname=name, time=result.wall_ms / 1000)
        if result.remembered:
            case.system_out = f"remembered: an earlier run found this, {result.remembered}"
        match result.status:
            case Verdict.FAIL:
                case.result = [junitparser.Failure(_first_line(result), "fail")]
                case.result[0].text = _printable(describe(result))
            case Verdict.KNOWN:
                case.result = [junitparser.Skipped("a known divergence")]
            case Verdict.PASS | Verdict.DEGRADED:
                pass
            case _:
                case.result = [junitparser.Error(_first_line(result), result.status.value)]
                case.result[0].text = _printable(describe(result))
        suites[name].add_testcase(case)
    for suite in suites.values():
        report.add_testsuite(suite)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        report.write(str(path), pretty=True)


def _first_line(result: CellResult) -> str:
    return _printable(why(result)).partition("\n")[0]


def _printable(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")
