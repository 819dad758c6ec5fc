"""Spoofed cards change no token: the CPU computes, whatever a layer is said to lie on."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks._card_driver import run_case
from benchmarks.card_truth import stored, write_models
from harness.cells.workbench import Workbench
from harness.environments.environment import environment
from harness.gguf_models.files import ensure_models, file_for
from tests.live.cards import BUILDS, needs_card

pytestmark = pytest.mark.live

PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "one card": ("-ngl", "99", "-dev", "CUDA0"),
    "two cards": ("-ngl", "99", "-ts", "1,1"),
    "in part": ("-ngl", "1"),
}
NGRAM: Final = ("--spec-type", "ngram-mod")
MTP: Final = ("--spec-type", "draft-mtp", "--spec-draft-n-max", "3")
DRAFT: Final = ("-md", "{draft}")
TOKENS: Final = 24
ENOUGH_FOR_NGRAMS: Final = 128


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    home = tmp_path_factory.mktemp("home")
    with environment("cuda-spoof:two-gpus", home=home) as opened:
        yield {**opened.variables, "LLAMA_ARG_ENDPOINT_SLOTS": "1"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return write_models(tmp_path_factory.mktemp("models"))


class Runs:
    """One build's server: what it answers, with cards and without."""

    def __init__(
        self,
        workbench: Workbench,
        build: str,
        variables: Mapping[str, str],
        models: Mapping[str, Path],
    ) -> None:
        needs_card(workbench, build, "cuda-spoof:two-gpus")
        self.offers = workbench.capabilities(build).offers
        self.types = workbench.capabilities(build).speculative_types
        self._server = stored(workbench.build(build))
        self._variables, self._models = variables, models
        # What is fast on a card is not what is on the CPU: without it both compute the same.
        flash = workbench.capabilities(build).option("--flash-attn")
        assert flash is not None
        self._plain = (
            "-c",
            "512",
            "-np",
            "1",
            "-t",
            "1",
            *(("-fa", "off") if flash.takes_value else ()),
        )

    def answer(self, model: Path, words: tuple[str, ...], *, card: bool) -> Mapping[str, Any]:
        added = self._server.variables() if card else {}
        tokens = ENOUGH_FOR_NGRAMS if NGRAM[1] in words else TOKENS
        case = {"model": "model", "ask": {"cache_prompt": True}, "argv": [*self._plain, *words]}
        seen = run_case(
            case, self._server.server, {**self._models, "model": model},
            variables={**self._variables, **added}, words={}, tokens=tokens,
        )  # fmt: skip
        assert seen["outcome"] == "up", (words, seen["outcome"], seen["log"][-2000:])
        assert seen["tokens"]  # of those that are drafted the last few may not be returned
        assert bool(seen["devices"]) is card
        return seen

    def held(self, model: Path, words: tuple[str, ...] = (), *, drafts: bool = False) -> None:
        """Hold the tokens of every place against those of the CPU."""
        told = self.answer(model, words, card=False)
        assert bool(told["drafted"][0]) is drafts, (words, told["drafted"])
        for place, more in PLACES.items():
            seen = self.answer(model, (*words, *more), card=True)
            assert seen["tokens"] == told["tokens"], (model.name, words, place)
            assert seen["drafted"] == told["drafted"], (model.name, words, place)
            on = {line.partition("=")[0] for line in seen["model"]} & {"CUDA0", "CUDA1"}
            if place != "in part" and "-md" not in words:
                assert on == ({"CUDA0"} if place == "one card" else {"CUDA0", "CUDA1"}), place


@pytest.fixture
def runs(
    workbench: Workbench, variables: Mapping[str, str], models: Mapping[str, Path], build: str
) -> Runs:
    return Runs(workbench, build, variables, models)


every_build = pytest.mark.parametrize("build", BUILDS)


@every_build
def test_every_tiny_model(runs: Runs, workbench: Workbench, build: str) -> None:
    token = workbench.capabilities(build).mtp_token
    for model in ensure_models(workbench.store.root / "models").values():
        runs.held(file_for(model, mtp_token=token).path)


@every_build
@pytest.mark.parametrize("name", ["rand", "deep", "head32"])
def test_models_whose_answer_depends_on_every_weight(
    runs: Runs, models: Mapping[str, Path], name: str
) -> None:
    runs.held(models[name])


@every_build
def test_drafting(runs: Runs, models: Mapping[str, Path], build: str) -> None:
    if "ngram-mod" in runs.types:
        runs.held(models["tiny"], NGRAM, drafts=True)
    if "draft-mtp" in runs.types:
        runs.held(models["mtp"], MTP, drafts=True)
        runs.held(models["randmtp"], MTP, drafts=True)
    simple = ("--spec-type", "draft-simple") if "draft-simple" in runs.types else ()
    runs.held(models["tiny"], (*DRAFT, *simple), drafts=True)
    runs.held(models["rand"], ("-md", "{model}", *simple), drafts=True)
