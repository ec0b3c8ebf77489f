"""Sphinx's settings: `make docs` builds build/docs from this folder. Nothing is fetched."""

import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

_HERE = Path(__file__).parent
sys.path[:0] = [str(_HERE / "_ext"), str(_HERE.parent)]

project = "gradloom"
author = "the authors of gradloom"
copyright = author
version = release = metadata.version("gradloom")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "gradloom_docs",
]
exclude_patterns = ["_ext", "examples"]
suppress_warnings: list[str] = []

#: Pages that the first one lists by name. A build goes on without one that is missing.
_LISTED = ("verilog", "amaranth", "cocotb", "waveforms", "building", "boards", "trainer", "link")
if _missing := [name for name in _LISTED if not (_HERE / f"{name}.md").is_file()]:
    print(f"docs: missing and left out: {', '.join(_missing)}", file=sys.stderr)
    suppress_warnings += ["toc.not_readable", "myst.xref_missing"]

# Markdown
myst_heading_anchors = 3
smartquotes = False  # they would make one dash of --rows
highlight_language = "text"

# Docstrings, whose backticks are code (docs/_ext/gradloom_docs)
# What two modules are about need not be installed to describe them.
autodoc_mock_imports = [
    name for name in ("cocotb", "pywellen", "serial") if find_spec(name) is None
]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = False
napoleon_custom_sections = [("Members", "params_style")]
napoleon_use_ivar = True
napoleon_use_rtype = False

# Pages
html_theme = "furo"
html_title = "gradloom"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
