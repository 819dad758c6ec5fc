import ast
import os
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness.errors import SubjectError
from harness.model import LaunchTarget, Mode
from harness.server.ports import reserved_port
from harness.subjects import open_subject, unsloth_install
from harness.subjects.unsloth import UnslothSubject, plan_of, resolved_mode
from tests.unit.subjects.launch_targets import request, target
from tests.unit.subjects.studio import NEWER, OLDER, write_checkout, write_server

BACKEND = "studio/backend/core/inference/llama_cpp.py"


class TestPlanOf:
    def spawn(self, *argv: str, healthy: bool = True) -> dict[str, object]:
        return {"argv": list(argv), "env": {"A": "b"}, "healthy": healthy, "exit": None}

    def answer(self, *spawns: object, **more: object) -> Mapping[str, object]:
        state = {"speculative_type": "draft-mtp", "requested_spec_mode": "mtp"}
        plain: dict[str, object] = {"said": [], "log": [], "state": state, "failure": None}
        return {**plain, "spawns": list(spawns), **more}

    def test_the_one_start_is_the_plan(self) -> None:
        plan = plan_of("unsloth", self.answer(self.spawn("--jinja")))
        assert plan.argv == ("--jinja",)
        assert plan.env == {"A": "b"}
        assert plan.resolved_mode is Mode.MTP
        assert plan.reason is None

    def test_what_studio_settled_on_is_the_plan_and_the_refusal_the_reason(self) -> None:
        first = self.spawn("--spec-type", "draft-mtp", healthy=False)
        plan = plan_of("unsloth", self.answer(first, self.spawn("--jinja")))
        assert plan.argv == ("--jinja",)
        assert plan.reason == ("Studio first tried, and the server refused: --spec-type draft-mtp")

    def test_where_nothing_started_the_first_try_is_the_plan(self) -> None:
        plan = plan_of(
            "unsloth", self.answer(self.spawn("-a", healthy=False), self.spawn("-b", healthy=False))
        )
        assert plan.argv == ("-a",)
        assert plan.reason is None

    def test_warnings_are_the_reason_once_each(self) -> None:
        said = ["MTP is\n  missing", "MTP is\n  missing", "so ngram"]
        plan = plan_of("unsloth", self.answer(self.spawn("-a"), said=said))
        assert plan.reason == "MTP is missing; so ngram"

    def test_no_start_at_all(self) -> None:
        with pytest.raises(SubjectError, match="started no server: FileNotFoundError: no model"):
            plan_of("unsloth", self.answer(failure="FileNotFoundError: no model"))


@pytest.mark.parametrize(
    ("state", "argv", "mode"),
    [
        ({"requested_spec_mode": "off", "speculative_type": None}, (), Mode.OFF),
        ({"requested_spec_mode": None, "speculative_type": None}, (), None),
        ({"speculative_type": None}, (), Mode.OFF),
        ({"requested_spec_mode": "auto", "speculative_type": "default"}, (), Mode.AUTO),
        ({"requested_spec_mode": "auto", "speculative_type": "ngram-mod"}, (), Mode.NGRAM),
        (
            {"requested_spec_mode": "auto", "speculative_type": "draft-mtp"},
            ("--spec-type", "ngram-mod,draft-mtp"),
            Mode.MTP_NGRAM,
        ),
        ({"requested_spec_mode": "x", "speculative_type": "of-next-year"}, (), None),
    ],
)
def test_resolved_mode(state: dict[str, object], argv: tuple[str, ...], mode: Mode | None) -> None:
    assert resolved_mode(state, argv) is mode


class TestInstall:
    @pytest.fixture(autouse=True)
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("LLAMA_HARNESS_CACHE", str(tmp_path / "cache"))
        return tmp_path / "cache"

    def pip(self, *members: str) -> "FakeIndex":
        return FakeIndex(members)

    def test_only_the_backend_is_kept_and_fetched_once(self, cache: Path) -> None:
        pip = self.pip(BACKEND, "unsloth/__init__.py", "studio/backend/../../evil.py")
        backend = unsloth_install.backend_of_version("2026.5.5", pip=pip)
        assert backend.is_relative_to(cache)
        kept = list(cache.rglob("*.py"))
        assert kept == [backend / "core" / "inference" / "llama_cpp.py"]
        assert unsloth_install.backend_of_version("2026.5.5", pip=pip) == backend
        assert len(pip.calls) == 1
        assert pip.calls[0][0] == "download"
        assert "--no-deps" in pip.calls[0]
        assert pip.calls[0][-1] == "unsloth==2026.5.5"

    def test_a_wheel_without_studio(self, cache: Path) -> None:
        with pytest.raises(SubjectError, match=r"unsloth==2025\.1\.1: the wheel holds no studio"):
            unsloth_install.backend_of_version("2025.1.1", pip=self.pip("unsloth/__init__.py"))
        assert [path.name for path in (cache / "subjects" / "unsloth").iterdir()] in (
            [],
            ["2025.1.1.lock"],
        )

    def test_pip_cannot_find_it(self, cache: Path) -> None:
        def pip(arguments: Sequence[str]) -> None:
            raise SubjectError("pip download failed: No matching distribution")

        with pytest.raises(SubjectError, match=r"unsloth==9\.9: pip download failed: No matching"):
            unsloth_install.backend_of_version("9.9", pip=pip)
        assert not list(cache.rglob("*.py"))

    @pytest.mark.parametrize("version", ["", "../../etc", "1.0; rm", "-r x", "1..2", "latest!"])
    def test_what_is_no_version(self, version: str) -> None:
        with pytest.raises(SubjectError, match="not a version"):
            unsloth_install.backend_of_version(version, pip=self.pip())

    def test_a_checkout_is_its_root_or_its_backend(self, tmp_path: Path) -> None:
        root = write_checkout(tmp_path / "checkout")
        backend = root / "studio" / "backend"
        assert unsloth_install.backend_of_checkout(root) == backend.resolve()
        assert unsloth_install.backend_of_checkout(backend) == backend.resolve()

    @pytest.mark.parametrize(
        ("spec", "said"),
        [("unsloth", "which one"), ("unsloth@/no/where", "holds no studio/backend")],
    )
    def test_what_cannot_be_opened(self, spec: str, said: str) -> None:
        with pytest.raises(SubjectError, match=said), open_subject(spec):
            pass

    def test_the_environment_is_made_once(self) -> None:
        calls: list[Sequence[str]] = []
        python = unsloth_install.interpreter(pip=calls.append)
        assert python.is_file()
        assert unsloth_install.interpreter(pip=calls.append) == python
        (call,) = calls
        assert tuple(call) == ("--python", str(python), "install", *unsloth_install.REQUIREMENTS)

    def test_an_environment_that_failed_is_made_again(self) -> None:
        def failing(arguments: Sequence[str]) -> None:
            raise SubjectError("pip install failed: no index")

        with pytest.raises(SubjectError, match="no environment for Studio: pip install failed"):
            unsloth_install.interpreter(pip=failing)
        calls: list[Sequence[str]] = []
        unsloth_install.interpreter(pip=calls.append)
        assert len(calls) == 1


class FakeIndex:
    """Stands in for ``pip download``: writes a wheel with the given members."""

    def __init__(self, members: Sequence[str]) -> None:
        self._members = members
        self.calls: list[Sequence[str]] = []

    def __call__(self, arguments: Sequence[str]) -> None:
        self.calls.append(arguments)
        directory = Path(arguments[arguments.index("--dest") + 1])
        directory.mkdir()
        with zipfile.ZipFile(directory / "unsloth-1-py3-none-any.whl", "w") as wheel:
            for member in self._members:
                wheel.writestr(member, "x = 1\n")


@pytest.mark.skipif(sys.platform == "win32", reason="a script stands in for the server")
class TestDriver:
    @pytest.fixture
    def port(self) -> Iterator[int]:
        with reserved_port() as port:
            yield port

    @pytest.fixture
    def here(self, tmp_path: Path, port: int) -> LaunchTarget:
        return replace(target(tmp_path), binary=write_server(tmp_path), port=port)

    def subject(self, tmp_path: Path, source: str = OLDER) -> UnslothSubject:
        backend = write_checkout(tmp_path / "checkout", source) / "studio" / "backend"
        return UnslothSubject("unsloth==test", backend, Path(sys.executable))

    @pytest.fixture(params=[OLDER, NEWER], ids=["keywords", "intent"])
    def studio(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[UnslothSubject]:
        subject = self.subject(tmp_path, request.param)
        yield subject
        subject.close()

    def test_a_plan(self, studio: UnslothSubject, here: LaunchTarget, tmp_path: Path) -> None:
        plan = studio.plan(request(draft_n_max=5), here)
        argv = ("-m", str(here.model.path), "--port", str(here.port), "--threads", "-1")
        assert plan.argv == (*argv, "--n", "5")
        assert plan.env == {"CUDA_VISIBLE_DEVICES": "0"}
        assert plan.resolved_mode is Mode.MTP
        assert plan.reason is None
        ((started, threads),) = map(ast.literal_eval, (tmp_path / "seen").read_text().splitlines())
        assert started == [*argv[:-1], "1", "--n", "5"], "the trial runs on one thread"
        assert threads == "1"
        assert not _servers(here), "the trial's server has ended"

    def test_studio_looks_for_gpus_in_the_cells_environment(
        self, studio: UnslothSubject, here: LaunchTarget, tmp_path: Path
    ) -> None:
        spoof = tmp_path / "spoof"
        spoof.mkdir()
        (spoof / "nvidia-smi").write_text("#!/bin/sh\nexit 0\n")
        (spoof / "nvidia-smi").chmod(0o755)
        with_gpu = {**here.env, "PATH": f"{spoof}{os.pathsep}{here.env['PATH']}"}
        without = {**here.env, "PATH": "/usr/bin:/bin"}
        lengths = [
            studio.plan(request(), replace(here, env=env)).argv[-1]
            for env in (with_gpu, without, with_gpu, without)
        ]
        assert lengths == ["2", "3", "2", "3"]

    def test_a_start_that_is_refused_and_tried_again(
        self, studio: UnslothSubject, here: LaunchTarget
    ) -> None:
        plan = studio.plan(request(draft_n_max=4, extra_args=("--refused",)), here)
        assert plan.argv[-2:] == ("--n", "4")
        assert plan.reason is not None
        assert plan.reason.endswith("--n 4 --refused")

    def test_a_start_that_hangs_is_a_plan_all_the_same(
        self, here: LaunchTarget, tmp_path: Path
    ) -> None:
        checkout = write_checkout(tmp_path / "checkout") / "studio" / "backend"
        subject = UnslothSubject("unsloth==test", checkout, Path(sys.executable), trial_s=0.5)
        try:
            plan = subject.plan(request(extra_args=("--hangs",)), here)
        finally:
            subject.close()
        assert plan.argv[-1] == "--hangs"
        assert not _servers(here)

    def test_a_session_reloads_when_studio_says_so(
        self, here: LaunchTarget, tmp_path: Path, port: int
    ) -> None:
        source = OLDER.replace("return 1\n", f"return {port}\n")
        subject = self.subject(tmp_path, source)
        with subject.open_session(here.env) as session:
            first = session.load(request(draft_n_max=8), here)
            assert (first.loaded, first.reloaded, first.servers) == (True, True, 1)
            assert first.argv is not None
            assert first.argv[-2:] == ("--n", "8")
            assert first.draft_n_max == 8
            assert session.guard(request(draft_n_max=8), here).backend is True
            assert session.guard(request(draft_n_max=2), here).backend is False
            again = session.load(request(draft_n_max=None), here)
            assert (again.reloaded, again.pid) == (False, first.pid)
            other = session.load(request(draft_n_max=2), here)
            assert other.reloaded
            assert other.pid != first.pid
            assert other.servers == 1
            assert session.status().argv == other.argv
            gone = session.unload()
            assert (gone.argv, gone.servers) == (None, 0)
            session.load(request(draft_n_max=3), here)
            assert len(_servers(here)) == 1
        assert not _servers(here), "leaving the session ends its server"

    @pytest.mark.parametrize(
        ("source", "said"),
        [
            ("x = 1", "has no LlamaCppBackend.load_model"),
            ("import of_next_year", "No module named 'of_next_year'"),
            ("raise RuntimeError('no')", "RuntimeError: no"),
            (
                "class LlamaCppBackend:\n    def load_model(self, *, path): ...",
                "takes no gguf_path, model_identifier, n_ctx, speculative_type",
            ),
            ("import os\nos._exit(9)", "ended with status 9"),
        ],
    )
    def test_a_version_that_cannot_be_driven(
        self, here: LaunchTarget, tmp_path: Path, source: str, said: str
    ) -> None:
        subject = self.subject(tmp_path, source)
        with pytest.raises(SubjectError) as caught:
            subject.plan(request(), here)
        assert str(caught.value).startswith("unsloth==test: ")
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
        subject.close()

    def test_a_wish_that_a_version_has_no_parameter_for(
        self, here: LaunchTarget, tmp_path: Path
    ) -> None:
        subject = self.subject(tmp_path, NEWER)
        with pytest.raises(SubjectError, match="no way to ask for cache_type_kv='q8_0'"):
            subject.plan(request(cache_type="q8_0"), here)
        assert subject.plan(request(), here).argv, "the driver goes on"
        subject.close()

    def test_a_driver_that_died_is_replaced(self, here: LaunchTarget, tmp_path: Path) -> None:
        dying = OLDER.replace(
            "self.unload_model()\n", "self.unload_model()\n        extra_args and os._exit(4)\n", 1
        )
        subject = self.subject(tmp_path, dying)
        with pytest.raises(SubjectError, match="ended with status 4"):
            subject.plan(request(extra_args=("--x",)), here)
        assert subject.plan(request(), here).argv[-2:] == ("--n", "3")
        subject.close()


def _servers(here: LaunchTarget) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if str(here.binary) in (process.info["cmdline"] or ())
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]
