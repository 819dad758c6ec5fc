"""Opens the atlas's page in a real browser, pastes a command line, and measures both.

    nox -s bench -- atlas_page

Needs chromium and its chromedriver.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final

import pytest

from benchmarks._figures import Figure, add_json_option, keep
from harness.report.atlas_page import read_atlas, render_atlas_page

TIMES: Final = 9
LINE: Final = (
    "llama-server -m model.gguf -c 8192 -ngl 99 -fa on --no-mmap --jinja -md draft.gguf "
    "--draft-max 16 --draft-min 4 --spec-type draft-simple -ctk q8_0 -ctv q8_0 --temp 0.7"
)
PASTE: Final = """
const begun = performance.now();
const box = document.getElementById("line");
document.getElementById("tab-line").click();
box.value = arguments[0];
box.dispatchEvent(new Event("input"));
document.body.getBoundingClientRect();
return performance.now() - begun;
"""
OPENED: Final = "return performance.getEntriesByType('navigation')[0].loadEventEnd"


def main() -> int:
    """Measure, print and keep; 3 where this host has no such browser."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_json_option(parser, "atlas_page")
    options = parser.parse_args()
    try:
        figures = measured()
    except pytest.skip.Exception as missing:
        sys.stderr.write(f"{missing}\n")
        return 3
    keep("The atlas's page, ms", figures, options.json)
    return 0


def measured() -> list[Figure]:
    """Size, and the median of several times of opening and of pasting."""
    from tests.live.chromium import open_chromium

    page = render_atlas_page(read_atlas(), title="Options")
    with tempfile.TemporaryDirectory() as folder, open_chromium() as browser:
        file = Path(folder, "atlas.html")
        file.write_text(page, encoding="utf-8")
        opened, pasted = [], []
        for _ in range(TIMES):
            browser.get(file.as_uri())
            opened.append(float(browser.execute_script(OPENED)))
            pasted.append(float(browser.execute_script(PASTE, LINE)))
    return [
        {
            "bytes": len(page.encode()),
            "open": round(statistics.median(opened)),
            "open, at most": round(max(opened)),
            "paste": round(statistics.median(pasted)),
            "paste, at most": round(max(pasted)),
        }
    ]


if __name__ == "__main__":
    raise SystemExit(main())
