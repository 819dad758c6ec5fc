"""What stays the same through a session: the build and the environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.builds import AcquiredBuild
from harness.cells.workbench import Workbench
from harness.errors import UsageError
from harness.flags.capabilities import Capabilities
from harness.gguf_models import file_for
from harness.model import HostProfile, LaunchTarget, LoadRequest, TinyModel


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Build x environment.

    Attributes:
        build: The runnable build.
        environment: The environment's name.
        capabilities: Of the build.
        variables: The environment's variables with the build's own.
        host: The host as programs in the environment see it.
        models: All models by name; each build gets the file that it loads.
        program: The build's server for an application to start; the build's own if None.
    """

    build: AcquiredBuild
    environment: str
    capabilities: Capabilities
    variables: Mapping[str, str]
    host: HostProfile
    models: Mapping[str, TinyModel]
    program: Path | None = None

    @property
    def build_id(self) -> str:
        """The build's id."""
        return self.build.build.id

    @property
    def build_number(self) -> int | None:
        """llama.cpp's build number, None where it is not known."""
        return self.build.build.number

    def model(self, name: str) -> TinyModel:
        """The model with the file that this build loads.

        Raises:
            UsageError: No model has that name.
        """
        model = self.models.get(name)
        if model is None:
            raise UsageError(f"no model is named {name}; there are {', '.join(self.models)}")
        return file_for(model, mtp_token=self.capabilities.mtp_token)

    def target(self, request: LoadRequest, port: int) -> LaunchTarget:
        """What a subject may look at while it plans.

        Raises:
            UsageError: No model has that name.
        """
        return LaunchTarget(
            binary=self.program or self.build.binary,
            model=self.model(request.model),
            port=port,
            env=self.variables,
            build=self.build_id,
            environment=self.environment,
        )


def surroundings_of(workbench: Workbench, build_id: str, environment: str) -> Surroundings:
    """Acquire the build and open the environment.

    Raises:
        HarnessError: One of the two cannot be had.
    """
    opened = workbench.environment(environment)
    build = workbench.build(build_id)
    return Surroundings(
        build=build,
        environment=environment,
        capabilities=workbench.capabilities(build_id, environment),
        variables=workbench.variables(build_id, environment),
        host=opened.host,
        models=workbench.models,
        program=workbench.layer(build_id, environment).program,
    )
