from msgspec.structs import replace

from harness.bisect.journal import CellQuestion, CommandQuestion, Point, Question
from harness.bisect.markdown import write_markdown
from harness.bisect.search import Answer
from harness.bisect.summary import (
    Change,
    End,
    Leg,
    Skipped,
    Summary,
    asked,
    compare_url,
    describe,
)
from harness.bisect.trial import Outcome
from harness.flags.capabilities import diff, parse_help
from harness.model import LoadRequest

BEFORE = """
--draft-max N                       tokens to draft
                                    (env: LLAMA_ARG_DRAFT_MAX)
--spec-replace A B                  translate
--spec-draft-p-min P                minimum probability (default: 0.75)
--port PORT                         where to listen
"""
AFTER = """
--draft-max N                       the argument has been removed. use --spec-draft-n-max
--spec-draft-n-max N                tokens to draft (default: 3)
--spec-draft-p-min P                minimum probability (default: 0.0)
                                    (env: LLAMA_ARG_P_MIN)
--port PORT                         where to listen
"""
DIFF = diff(parse_help(BEFORE), parse_help(AFTER))


def leg(**more: object) -> Leg:
    fields = {
        "axis": "build",
        "fixed": "reference",
        "last_good": End(
            point=Point(id="b9113", date="2026-05-12", number=9113),
            outcome=Outcome(answer=Answer.GOOD, reason="pass", argv=("llama-server", "-md", "a b")),
            repro="llama-harness matrix --build b9113",
        ),
        "first_bad": End(
            point=Point(id="b9246", number=9246),
            outcome=Outcome(answer=Answer.BAD, reason="a | b\nc", log=("x", "```", "y")),
        ),
        "skipped": (),
        "untested": 3,
        "changes": (Change(before="b9113", after="b9246", breaks=True),),
        "compare_url": "https://example.org/compare",
        "capabilities": DIFF,
        **more,
    }
    return Leg(**fields)  # type: ignore[arg-type]


def dated(build: str, number: int, date: str) -> End:
    outcome = Outcome(answer=Answer.GOOD, reason="seen")
    return End(point=Point(id=build, date=date, number=number), outcome=outcome)


def summary(*legs: Leg) -> Summary:
    return Summary(
        signature="draft-n-max",
        asked="environment cpu, mode draft",
        blame="build",
        legs=legs,
        points=9,
        tested=5,
        untestable=1,
        acquire_s=61.2,
        test_s=1.23,
    )


def test_the_report_has_ends_dates_link_difference_commands_and_logs() -> None:
    text = write_markdown(summary(leg()))
    lines = text.splitlines()
    assert lines[0] == "## Bisected: `draft-n-max`"
    assert lines[2] == ("Fails since `b9246`; the neighbouring build `b9113` (2026-05-12) is good.")
    assert "Run on each: environment cpu, mode draft." in lines
    assert "Again: `llama-harness matrix --build b9113`" in lines
    assert "| last good | `b9113` | 2026-05-12 | pass |" in lines
    assert r"| first bad | `b9246` | unknown | a \| b c |" in lines
    assert "Commits between them: https://example.org/compare" in lines
    assert "- added: `--spec-draft-n-max`" in lines
    assert "- gone: `--spec-replace`" in lines
    assert "- listed as removed: `--draft-max`" in lines
    assert "- default of `--spec-draft-p-min`: `0.75` → `0.0`" in lines
    assert "- variable of `--spec-draft-p-min`: `none` → `LLAMA_ARG_P_MIN`" in lines
    assert "llama-server -md 'a b'" in lines
    assert text.endswith("61 s for acquiring, 1.2 s for running.\n")


def test_a_log_cannot_end_its_own_code_block() -> None:
    lines = write_markdown(summary(leg())).splitlines()
    start = lines.index("<details><summary>What b9246 told</summary>")
    assert lines[start + 2 : start + 7] == ["```", "x", "'''", "y", "```"]


def test_a_newer_good_side_is_a_mended_failure() -> None:
    one = leg(last_good=dated("b9113", 9113, "2026-05-12"), first_bad=dated("b9246", 9246, ""))
    text = write_markdown(summary(leg(last_good=one.first_bad, first_bad=one.last_good)))
    assert "| last bad | `b9113` |" in text
    assert "| first good | `b9246` |" in text
    mended = "Mended in `b9246`; the neighbouring build `b9113` (2026-05-12) still fails."
    assert mended in text


def test_what_gave_no_answer_and_every_change_are_listed_and_tell_in_the_status() -> None:
    skipped = Skipped(id="b9130", answer=Answer.FLAKY, reason="2 of 9")
    changes = (
        Change(before="b9101", after="b9109", breaks=True),
        Change(before="b9109", after="b9113", breaks=False),
        Change(before="b9113", after="b9246", breaks=True),
    )
    whole = summary(leg(skipped=(skipped,), changes=changes))
    text = write_markdown(whole)
    assert "- `b9130`: flaky, 2 of 9" in text
    assert "- is mended between `b9109` and `b9113`" in text
    assert whole.exit_code == 1
    assert summary(leg()).exit_code == 0
    assert summary(leg(skipped=(skipped,))).exit_code == 1


def test_only_numbered_builds_have_a_compare_page() -> None:
    older, newer = Point(id="b8929", number=8929), Point(id="b9093", number=9093)
    page = "https://github.com/ggml-org/llama.cpp/compare/b8929...b9093"
    assert compare_url(older, newer) == compare_url(newer, older) == page
    assert compare_url(older, Point(id="py0.3.16")) is None


def test_equal_help_is_said() -> None:
    same = diff(parse_help(AFTER), parse_help(AFTER))
    assert "`--help` is the same on both sides." in write_markdown(summary(leg(capabilities=same)))


def test_what_is_run_on_each_point_is_said_in_full() -> None:
    request = LoadRequest(model="tiny-mtp", mode=None, draft_n_max=8, extra_args=("--seed", "1 2"))
    cell = CellQuestion(environment="cpu", request=request, check="starts")
    builds = (Point(id="b1"), Point(id="b2"))
    question = Question(
        axes=("build",), builds=builds, subjects=(Point(id="reference"),), predicate=cell
    )
    words = (
        "environment cpu, mode unset, draft length 8, model tiny-mtp, "
        "extra arguments --seed '1 2', check starts"
    )
    assert asked(question) == words
    assert (
        describe(question)
        == f"2 builds from b1 (good) to b2 (bad) under subject reference: {words}"
    )
    command = CommandQuestion(command=("./works.sh", "a b"), timeout_s=1)
    asks = replace(question, predicate=command)
    assert describe(asks) == "2 builds from b1 (good) to b2 (bad): command ./works.sh 'a b'"
