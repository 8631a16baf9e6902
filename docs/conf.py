"""How Sphinx builds these pages; ``make docs`` does it."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

# Airflow writes its configuration when it is imported: not into the home of who builds the pages.
os.environ.setdefault("AIRFLOW_HOME", os.path.join(tempfile.gettempdir(), "airflow-of-docs"))

import airflow_provider_tasks

project = "airflow-provider-tasks"
release = version = airflow_provider_tasks.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4  # named as GitHub names them, so that a link works in both places

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 90

# Annotations and docstrings name what is not ours, and aliases of types. There is no network to look the former up.
nitpick_ignore_regex = [
    ("py:class", r"(collections\.abc|pathlib|os|datetime|airflow|pytest|returns)\..+"),
    ("py:class", r"Path|PathLike|Mapping|datetime|timedelta|DAG|TaskGroup|DiGraph|Result|Context|Fake"),
    (
        "py:class",
        r".*\b(P|R_co|Config|Paths|Reference|Stage|ClientObject|EnvironmentDefinition|Plan|Workers|WorkerTask|_Decorate)",
    ),
]


def find_by_last_name(app: Sphinx, env: Any, node: nodes.Element, content: nodes.Element) -> nodes.Element | None:
    """Find a class that an annotation or a docstring names alone, or by the module that it is defined in."""
    known = env.domains["py"].objects
    last = str(node.get("reftarget", "")).rpartition(".")[2]
    found = [name for name in known if name.rpartition(".")[2] == last and known[name].objtype != "method"]
    if node.get("refdomain") != "py" or len(found) != 1:
        return None
    python = env.domains["py"]
    return python.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], found[0], node, content)


def shorten_signature(
    _: Sphinx, what: str, __: str, ___: object, ____: object, signature: str | None, returns: str | None
) -> tuple[str, str | None] | None:
    """Leave out what a reader has no use for: how exceptions are made, and how a dataclass spells its defaults."""
    if signature is None:
        return None
    return ("", None) if what == "exception" else (signature.replace("<factory>", "..."), returns)


def setup(app: Sphinx) -> None:
    """Hook into Sphinx."""
    app.connect("missing-reference", find_by_last_name)
    app.connect("autodoc-process-signature", shorten_signature)
