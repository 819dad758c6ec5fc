"""Real applications, installed and driven as the gallery says: every cell is as it is kept."""

import sys

import pytest

from tests.apps.gallery import App, gallery
from tests.apps.kept import kept_of, load, over
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
    kept, found = load()[app.name], kept_of(tried.version, tried.results)
    assert found.cells
    assert over(kept, found) == kept, tried.said
    left_out = {result.no_card for result in tried.results} - {""}
    if left_out:
        pytest.skip(f"all others agree; left out in the spoof: {'; '.join(sorted(left_out))}")
