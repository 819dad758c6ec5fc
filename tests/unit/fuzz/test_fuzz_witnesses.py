"""The witnesses on logs and answers that no server ever gave."""

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.emulation.description import known_eras
from harness.emulation.generation import Implementation, generate
from harness.emulation.output import generation_lines
from harness.settings.base import DisagreementError
from harness.settings.observation import Observation
from harness.settings.speculation import testimony
from harness.settings.speculation.agreement import agree

ERAS = known_eras()
EXAMPLES = settings(max_examples=80, deadline=None)

number = st.integers(-5, 10**12)
log_line = st.one_of(
    st.text(max_size=80),
    st.builds("max possible draft: {}".format, number),
    st.builds("accepted {}/{} draft tokens".format, number, number),
    st.builds("spec: adding speculative implementation '{}'".format, st.text(max_size=12)),
    st.builds("spec: - n_max={}, n_min={}, p_min=0.0".format, number, number),
    st.builds(
        "statistics {}: #calls = 1, #gen drafts = {}, #gen tokens = {}, x".format,
        st.sampled_from(["ngram-mod", "draft_mtp", "ngram - mod", "", "x:y"]),
        number,
        number,
    ),
)
json_value = st.recursive(
    st.one_of(st.none(), st.booleans(), number, st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = (
    "speculative.types", "speculative.type", "speculative.n_max", "speculative.n_min",
    "predicted_n", "draft_n", "draft_n_accepted", "speculative",
)  # fmt: skip
fields = st.dictionaries(
    st.sampled_from(KEYS), st.one_of(json_value, st.sampled_from(["none,ngram-mod", "none"]))
)
metrics = st.one_of(
    st.none(),
    st.text(max_size=60),
    st.builds(
        "llamacpp:spec_decode_num_drafts_total {}\n"
        'llamacpp:spec_decode_num_accepted_tokens_per_pos_total{{position="{}"}} {}\n'.format,
        number,
        number,
        number,
    ),
)
observations = st.builds(
    Observation,
    build_number=st.one_of(st.none(), st.integers(0, 20_000)),
    completion=st.fixed_dictionaries(
        {}, optional={"generation_settings": st.one_of(fields, json_value), "timings": fields}
    ),
    slots=st.lists(fields, max_size=2).map(tuple),
    metrics=metrics,
    startup_lines=st.lists(log_line, max_size=6).map(tuple),
    run_lines=st.lists(log_line, max_size=6).map(tuple),
)


@EXAMPLES
@given(observations)
def test_whatever_was_observed_is_agreed_on_or_said_to_disagree(observation: Observation) -> None:
    evidence = testimony.testify(observation)
    try:
        state = agree(evidence)
    except DisagreementError:
        return
    named = {
        name
        for one in evidence
        for name in (*(one.configured or {}), *(one.drafted or {}))
        if one.speaks
    }
    assert set(state.implementations) <= named
    assert set(state.witnessed_by) == set(state.implementations)


@EXAMPLES
@given(st.lists(st.text(max_size=80), max_size=8))
def test_a_log_without_a_word_of_speculation_shows_none(lines: list[str]) -> None:
    observation = Observation(
        build_number=9246,
        completion={"timings": {"predicted_n": 128}},
        slots=(),
        metrics=None,
        startup_lines=tuple(lines),
        run_lines=tuple(lines),
    )

    assert agree(testimony.testify(observation)).implementations == {}


@EXAMPLES
@given(
    n_max=st.integers(1, 64),
    era=st.sampled_from(sorted(ERAS)),
    noise=st.lists(st.text(alphabet=st.characters(codec="ascii"), max_size=60), max_size=6),
    data=st.data(),
)
def test_lines_in_between_change_nothing(
    n_max: int, era: str, noise: list[str], data: st.DataObject
) -> None:
    implementation = Implementation(name="draft-mtp", n_min=0, n_max=n_max)
    generation = generate([implementation], ERAS[era], tokens=128, context=512)
    lines = list(generation_lines(ERAS[era], generation))
    spread = list(lines)
    for line in noise:
        spread.insert(data.draw(st.integers(0, len(spread))), line)

    def seen(run_lines: list[str]) -> object:
        return [
            (one.witness, one.longest, one.drafted)
            for one in testimony.testify(
                Observation(
                    build_number=int(era[1:]),
                    completion={},
                    slots=(),
                    metrics=None,
                    startup_lines=(),
                    run_lines=tuple(run_lines),
                )
            )
        ]

    assert seen(spread) == seen(lines)
