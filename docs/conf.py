"""How Sphinx builds the site: sphinx-build -W --keep-going -b html docs docs/_build/html. It needs no internet."""  # noqa: INP001 - a script

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform

import keyapi_research as kr
from keyapi_research.accessor.methods import Methods

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
# The cells of the cookbook run on the sandbox, with nothing of the user who builds.
for variable in [name for name in os.environ if name.startswith("KEYAPI_")]:
    del os.environ[variable]
data = tempfile.TemporaryDirectory(prefix="site-")  # gone when the build ends
os.environ["XDG_DATA_HOME"] = data.name

project = "keyapi_research"
copyright = "the keyapi_research authors"  # noqa: A001 - Sphinx reads it
version = release = kr.__version__
language = "en"
extensions = [
    "myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "sphinx_copybutton", "sphinx_design",
]  # fmt: skip
exclude_patterns = ["_build"]
templates_path = ["_templates"]

# Docstrings are numpydoc's; a word in single backticks is a name, and a link where there is a page of it.
default_role = "py:obj"
autodoc_typehints = "none"
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# Notebooks are shown as they are stored; the cells of the cookbook run.
myst_enable_extensions = ["attrs_inline", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_excludepatterns = ["notebooks/*"]
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 120
nb_merge_streams = True

copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "keyapi_research"
html_show_sourcelink = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/mark.svg"
html_search_scorer = str(Path(__file__).with_name("scorer.js"))
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"text": "keyapi_research"},
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 7,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
# Pages that have no others under them need no sidebar.
html_sidebars = {
    page: []
    for page in (
        "index", "start", "cookbook", "gallery/index", "endpoints", "errors", "changes", "contributing", "benchmarks",
        "zh/index",
    )
}  # fmt: skip


def copy_notebooks(app: Sphinx) -> None:
    """Copy the notebooks beside the pages."""
    folder = Path(app.srcdir) / "notebooks"
    folder.mkdir(exist_ok=True)
    for path in NOTEBOOKS.glob("*.ipynb"):
        shutil.copyfile(path, folder / path.name)
    listed = (NOTEBOOKS / "README.md").read_text(encoding="utf-8")
    toctree = "```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"
    (folder / "index.md").write_text(f"{listed}\n{toctree}", encoding="utf-8")


def name_the_accessor() -> None:
    """Let autodoc find the methods of `df.keyapi` under the name that users know."""
    sys.modules["df"] = module = ModuleType("df")
    module.keyapi = Methods  # type: ignore[attr-defined]


def link_copies(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Lead links that are right in the repository to the pages of the site."""
    source[0] = re.sub(r"\]\((\.\./)*(docs/|(?=notebooks/|guide/))", "](/", source[0])


def link_names(_app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Link what docstrings call kr.plan."""
    lines[:] = [re.sub(r"(?<!`)`kr\.([\w.]+)`(?!`)", r":py:obj:`kr.\1 <keyapi_research.\1>`", line) for line in lines]


class LinkedNames(SphinxTransform):
    """Link `kr.plan(...)` in a text to the page of kr.plan."""

    default_priority = 500

    def apply(self, **_: Any) -> None:
        """Link each that is public."""
        for literal in list(self.document.findall(nodes.literal)):
            found = re.match(r"kr\.(plots\.\w+|\w+)|(df\.keyapi\.\w+)", literal.astext())
            if found is None or isinstance(literal.parent, nodes.reference | addnodes.pending_xref):
                continue
            name = found[2] or f"keyapi_research.{found[1]}"
            link = addnodes.pending_xref("", refdomain="py", reftype="obj", reftarget=name, refwarn=False)
            literal.replace_self(link)
            link += literal


def write_llms(app: Sphinx, error: Exception | None) -> None:
    """Write llms.txt: every page by its title and first paragraph."""
    if error is None and app.builder.format == "html":
        (Path(app.outdir) / "llms.txt").write_text(llms(app.env), encoding="utf-8")


def llms(env: BuildEnvironment) -> str:
    """List the pages."""
    lines = ["# keyapi_research", ""]
    for page in sorted(env.found_docs):
        document = env.get_doctree(page)
        first = next((one.astext().replace("\n", " ") for one in document.findall(nodes.paragraph)), "")
        lines.append(f"- [{env.titles[page].astext()}]({page}.html): {first}")
    return "\n".join(lines) + "\n"


def setup(app: Sphinx) -> None:
    """Add what only this site has."""
    name_the_accessor()
    copy_notebooks(app)
    app.connect("source-read", link_copies)
    app.connect("autodoc-process-docstring", link_names)
    app.connect("build-finished", write_llms)
    app.add_transform(LinkedNames)
