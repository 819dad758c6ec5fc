"""How the documentation is built: ``nox -s docs``."""

project = "llama-harness"
author = "The llama-harness authors"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "llama-harness"
myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3
nitpicky = True
