"""Configures Sphinx to make a site of the documents, which stay where they are and as they are."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

project = "ff-observe"
root_doc = "docs/README"
include_patterns = ["*.md", "docs/*.md", "docs/site/api.md", "grafana/README.md"]
exclude_patterns = [".*", "tests", "ff_observe", "build", "dist"]  # or Sphinx walks through all of it
extensions = ["myst_parser", "sphinx.ext.autodoc"]

myst_heading_anchors = 4  # links to sections are those that GitHub and editors know
default_role = "code"  # the docstrings write `name` as Markdown does
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"

html_theme = "furo"
html_title = "ff-observe"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_extra_path = ["index.html"]
html_copy_source = False
html_show_copyright = False
html_theme_options = {"top_of_page_buttons": []}
pygments_style = "friendly"
pygments_dark_style = "monokai"


LINK = re.compile(r"\[([^\]]+)\]\(([^)#:]+)\)")


def setup(app: "Sphinx") -> None:
    app.connect("source-read", prepare)


def prepare(app: "Sphinx", name: str, source: list[str]) -> None:
    """Add the side bar's contents to the first page, which has them as a table for editors; replace links to
    directories, which lead somewhere in a checkout only, by their text.
    """

    def link(found: re.Match[str]) -> str:
        return found[1] if ((ROOT / name).parent / found[2]).is_dir() else found[0]

    source[0] = LINK.sub(link, source[0])
    if name == root_doc:
        source[0] += (ROOT / "docs" / "site" / "contents.md").read_text()
