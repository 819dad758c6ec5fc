"""A selection of cells, completed by the configuration."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from harness.builds import Catalogue
from harness.config.configuration import AXES, Axes, Configuration
from harness.environments import parse_environment
from harness.errors import ConfigurationError, HarnessError
from harness.gguf_models.models import MODELS
from harness.matrix.axes import DEFAULT_PROFILE, Selection
from harness.subjects import check_subject

if TYPE_CHECKING:
    from collections.abc import Callable

_FIELDS: Final = tuple(key.replace("-", "_") for key in AXES)


def completed(
    selection: Selection, configuration: Configuration, catalogue: Catalogue
) -> Selection:
    """Lay what the command line selects over what is configured.

    A profile of the configuration brings its own axes; one of the catalogue, and ``builds`` given
    by hand, stand in place of configured builds.

    Raises:
        ConfigurationError: A configured value has no meaning; the message names file and key.
    """
    settings = configuration.settings
    profile = selection.profile or settings.profile or DEFAULT_PROFILE
    layers: list[tuple[str, Axes]] = [("", settings)]
    named = settings.profiles.get(profile)
    if named is not None:
        layers.append((f"profiles.{profile}.", named))
        profile = DEFAULT_PROFILE
    axes: dict[str, tuple[Any, ...]] = {}
    for prefix, layer in layers:
        for key, name in zip(AXES, _FIELDS, strict=True):
            if value := getattr(layer, name):
                _check(configuration, catalogue, prefix, key, value)
                axes[name] = tuple(map(str, value))
    if selection.profile and (named is None or not named.builds):
        axes.pop("builds", None)
    given = {name: value for name in _FIELDS if (value := getattr(selection, name))}
    return replace(selection, profile=profile, **{**axes, **given})


def _check(
    configuration: Configuration,
    catalogue: Catalogue,
    prefix: str,
    key: str,
    value: tuple[Any, ...],
) -> None:
    checks: dict[str, Callable[[Any], object]] = {
        "builds": lambda glob: catalogue.select([glob]),
        "environments": parse_environment,
        "subjects": check_subject,
        "models": _check_model,
    }
    for one in value if key in checks else ():
        try:
            checks[key](one)
        except HarnessError as error:
            origin = configuration.origin(prefix.partition(".")[0] or key)
            raise ConfigurationError(f"{origin}: {prefix}{key}: {error}") from error


def _check_model(name: str) -> None:
    if name not in MODELS:
        raise ConfigurationError(f"no model {name!r}; there are {', '.join(MODELS)}")
