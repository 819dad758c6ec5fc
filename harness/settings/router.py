"""Router: the models that a server of many models offers, and what each is set to once loaded."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.flags.arguments import Argument
from harness.flags.families import PRESETS
from harness.model import Basis, Check, Evidence
from harness.settings.base import EFFECT, EffectiveState, Situation
from harness.settings.observation import Observation
from harness.settings.routing import RoutedModel
from harness.settings.value import Reading, ValueSetting

ANYTHING_LOADS: Final = "every model loads"


@dataclass(frozen=True, kw_only=True)
class RoutedModels:
    """Each model by its name: whether it loads, and what ``/props`` and ``/slots`` say then.

    Attributes:
        read: The effective state of an observation by the settings that some words are about.
    """

    read: Callable[[Observation, Collection[str]], EffectiveState]
    name: str = "models"
    families: tuple[Any, ...] = (PRESETS,)

    def asked(self, arguments: Sequence[Argument]) -> str | None:
        """That every model of a preset or directory loads."""
        given = any(PRESETS.is_set_by(argument) for argument in arguments)
        return ANYTHING_LOADS if given else None

    def expected(self, situation: Situation) -> None:
        """The contract says nothing of it."""

    def testify(self, observation: Observation) -> tuple[Evidence, ...]:
        """What each model was seen doing."""
        models = observation.router
        value = None if models is None else self._states(models)
        return (
            Evidence(
                witness="load-request",
                basis=Basis.BEHAVIOUR,
                speaks=value is not None,
                setting=self.name,
                value=value,
                detail="" if value is None else self.show(value),
            ),
        )

    def _states(self, models: Mapping[str, RoutedModel]) -> Mapping[str, Mapping[str, Any]]:
        """Each model that names a file, with the settings that any of them is given."""
        given = {word for model in models.values() for word in model.words}
        return {
            name: self._state(model, given)
            for name, model in models.items()
            if model.loads is not None
        }

    def _state(self, model: RoutedModel, given: Collection[str]) -> Mapping[str, Any]:
        if not model.loads:
            blame = {} if model.blame is None else {"blame": model.blame}
            return {"loads": False, **blame, "why": model.why}
        seen = Observation(
            build_number=None,
            completion={},
            slots=model.slots,
            metrics=None,
            startup_lines=(),
            run_lines=(),
            properties=model.properties,
        )
        return {"loads": True, **self.read(seen, given)}

    def agree(self, evidence: Sequence[Evidence]) -> Any:
        """The one witness's word."""
        return next((one.value for one in evidence if one.speaks), None)

    def compare(
        self,
        demand: str,
        state: EffectiveState,
        arguments: Sequence[Argument],  # noqa: ARG002 - the key at fault stands in a file
    ) -> Sequence[Check]:
        """A check for each model that does not load."""
        return tuple(
            Check(
                name=EFFECT,
                expected=f"{name} loads",
                observed=f"{name} does not load: {model.get('why', '')}",
                ok=False,
                argument=model.get("blame"),
            )
            for name, model in state[self.name].items()
            if demand and model.get("loads") is False
        )

    def supporters(self, value: Any, evidence: Sequence[Evidence]) -> Mapping[str, Sequence[str]]:
        """The one witness."""
        return {self.name: tuple(one.witness for one in evidence if one.speaks and value)}

    def show(self, value: Mapping[str, Mapping[str, Any]]) -> str:
        """``models a, b (does not load)``."""
        told = (
            name if model.get("loads") else f"{name} (does not load)"
            for name, model in value.items()
        )
        return f"models {', '.join(told)}"


MODEL_IDS: Final = ValueSetting(
    name="model_ids",
    families=(),
    asks=lambda _: None,
    readings=(
        Reading(
            witness="models",
            read=lambda seen: None if seen.router is None else sorted(seen.router),
        ),
    ),
)
