"""Real applications, installed and driven as the gallery says: every cell is as it is kept."""

import sys

import pytest

from tests.apps.gallery import App, gallery
from tests.apps.kept import kept_of, load
from tests.apps.trying import KEPT, NotHereError, install, try_out

pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the results are those of Linux"),
]


@pytest.mark.parametrize("app", gallery(), ids=lambda app: app.name)
def test_an_application_does_what_is_kept_of_it(app: App) -> None:
    try:
        installed = install(app, KEPT / app.name)
    except NotHereError as error:
        pytest.skip(str(error))
    tried = try_out(installed)
    assert kept_of(tried.version, tried.results) == load()[app.name], tried.said
