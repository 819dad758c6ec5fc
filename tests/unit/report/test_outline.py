from dataclasses import replace

from harness.model import BAD, Check, LoadRequest, Verdict
from harness.report.outline import blocks, counts, host_text, label, request_text, why
from tests.unit.report.bad_results import flaky, one_of_each, refused, untold
from tests.unit.results import lengths, result


def test_verdicts_that_end_a_command_badly() -> None:
    assert set(BAD) == {Verdict.FAIL, Verdict.ERROR, Verdict.FLAKY}


def test_request_names_all_that_sets_it_apart() -> None:
    plain = LoadRequest(model="tiny-mtp", mode=None)
    assert request_text(plain) == "unset n=default tiny-mtp"
    others = [
        replace(plain, mode="mtp", draft_n_max=0),
        replace(plain, extra_args=("-fa", "on")),
        replace(plain, context_length=1024),
        replace(plain, cache_type="q8_0"),
        replace(plain, chat_template="chatml"),
    ]
    assert len({request_text(one) for one in [plain, *others]}) == 6


def test_blocks_hold_every_result_once() -> None:
    results = [
        result(build=build, subject=subject, environment=environment, mode=mode)
        for build in ("b8929", "b9246")
        for subject in ("reference", "other")
        for environment in ("cpu", "cuda-spoof")
        for mode in ("mtp", "off")
    ]
    made = list(blocks(results))
    assert [(block.subject, block.environment) for block in made] == [
        ("reference", "cpu"),
        ("reference", "cuda-spoof"),
        ("other", "cpu"),
        ("other", "cuda-spoof"),
    ]
    held = [one for block in made for row in block.rows.values() for one in row.values()]
    assert sorted(one.id for one in held) == sorted(one.id for one in results)
    assert made[1].host == "G"


def test_a_row_may_lack_a_build() -> None:
    block = next(iter(blocks([result(build="b1"), result(build="b2", mode="off")])))
    assert block.builds == ("b1", "b2")
    assert [tuple(row) for row in block.rows.values()] == [("b1",), ("b2",)]


def test_host_without_gpu() -> None:
    assert host_text([replace(result(), host=None)]) == "no GPU"


def test_label_of_good_cells_is_what_is_effective() -> None:
    both = {"draft-mtp": lengths(2), "ngram-mod": lengths(64, 48)}
    assert label(result(effective=both)) == "mtp 2 + ngram 64"
    assert label(result(effective={})) == "off"
    assert label(result(effective={"draft-mtp": lengths(None)})) == "mtp"
    assert label(result(effective=None)) == "?"


def test_label_of_bad_cells_is_what_is_wrong() -> None:
    assert label(refused()) == "starts --draft-max"
    assert label(replace(refused(), checks=())) == "removed-argument --draft-max"
    assert label(untold()) == "error"
    assert label(flaky()) == "flaky"


def test_why_tells_every_failed_check() -> None:
    one = replace(
        result(failed=("draft-n-max",)),
        checks=(
            Check(name="starts", expected="healthy", observed="healthy", ok=True),
            Check(name="draft-n-max", expected="5", observed="3", ok=False),
            Check(name="twice", expected="once", observed="twice", ok=False),
        ),
    )
    assert why(one).splitlines() == [
        "draft-n-max: expected 5, observed 3",
        "twice: expected once, observed twice",
    ]
    assert why(flaky()) == "came out as fail, then pass"
    assert why(untold()) == "error"


def test_counts() -> None:
    assert counts(one_of_each()) == (
        "7 cells: 2 pass, 1 fail, 1 degraded, 1 known, 1 error, 1 flaky"
    )
    assert counts([]) == "no cells"
