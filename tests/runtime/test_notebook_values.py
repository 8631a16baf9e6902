"""Values come out of a notebook: glued by name, or from the cell tagged `result`; whatever else it shows is data."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import nbformat
import numpy as np  # noqa: TID253
import pytest

from airflow_provider_tasks import execute_notebook, glue
from airflow_provider_tasks.runtime import notebook_values
from airflow_provider_tasks.runtime.notebook_values import MEDIA_TYPE, collect

from .notebooks import write

GLUE = "from airflow_provider_tasks import glue\n"


def test_glued_values_keep_their_types(tmp_path):
    write(
        tmp_path / "values.ipynb",
        GLUE + "from datetime import date\nfrom decimal import Decimal\nimport numpy as np, pandas as pd",
        "glue('day', date(2026, 1, 2)); glue('price', Decimal('1.10')); glue('pair', (1, {2}))",
        "glue('array', np.arange(3)); glue('frame', pd.DataFrame({'a': [1, 2]})); glue('nan', float('nan'))",
        "glue('day', date(2026, 1, 3))",
    )
    results = execute_notebook(tmp_path / "values").results
    assert list(results) == ["day", "price", "pair", "array", "frame", "nan"]
    assert results["day"] == datetime.date(2026, 1, 3)
    assert (results["price"], results["pair"]) == (Decimal("1.10"), (1, {2}))
    assert results["array"].tolist() == [0, 1, 2]
    assert results["frame"]["a"].tolist() == [1, 2]
    assert results["nan"] != results["nan"]


def test_a_glued_value_stays_in_the_notebook_as_json_and_as_text(tmp_path):
    write(tmp_path / "kept.ipynb", GLUE + "glue('pair', (1, 2))")
    executed = nbformat.read(execute_notebook(tmp_path / "kept").output_path, as_version=4)
    nbformat.validate(executed)
    data = executed.cells[0].outputs[0].data
    assert data[MEDIA_TYPE] == {"name": "pair", "value": {"__type__": "tuple", "value": [1, 2]}}
    assert data["text/plain"] == "pair = (1, 2)"


@pytest.mark.parametrize(
    ("source", "result"),
    [
        (
            "{'mean': np.float64(0.5), 'day': datetime.date(2026, 1, 2)}",
            {"mean": 0.5, "day": datetime.date(2026, 1, 2)},
        ),
        ("list(range(5000))", list(range(5000))),
        ("'text'", "text"),
        ("print('printed'); print('lines')", "printed\nlines"),
        ("from IPython.display import display; display({'application/json': {'a': [1]}}, raw=True)", {"a": [1]}),
    ],
)
def test_the_output_of_a_tagged_cell_is_the_result(tmp_path, source, result):
    write(tmp_path / "tagged.ipynb", "import datetime, numpy as np", ("result", source), "'another output'")
    assert execute_notebook(tmp_path / "tagged").results == {"result": result}


def test_a_tagged_cell_without_output_gives_none(tmp_path):
    write(tmp_path / "silent.ipynb", ("result", "x = 1"), ("result", "x;"), GLUE + "glue('rows', 3)")
    assert execute_notebook(tmp_path / "silent").results == {"rows": 3}


def test_a_tagged_cell_that_glues_is_no_result(tmp_path):
    write(tmp_path / "both.ipynb", ("result", GLUE + "glue('rows', 3)"))
    assert execute_notebook(tmp_path / "both").results == {"rows": 3}


def test_the_last_tagged_cell_counts(tmp_path):
    write(tmp_path / "two.ipynb", ("result", "1"), ("result", "2"))
    assert execute_notebook(tmp_path / "two").results == {"result": 2}


def test_handing_out_leaves_no_names_behind(tmp_path):
    write(tmp_path / "names.ipynb", ("result", "1"), ("result", "sorted(name for name in dir() if name[0] != '_')"))
    names = execute_notebook(tmp_path / "names").results["result"]
    assert names == ["In", "Out", "exit", "get_ipython", "open", "quit"]


def test_a_result_that_can_not_travel_is_a_failure_of_its_cell(tmp_path):
    write(tmp_path / "object.ipynb", "1", ("result", "{'a': [object()]}"))
    result = execute_notebook(tmp_path / "object")
    assert not result.success
    assert result.failed_cell.number == 2
    assert result.failed_cell.message.startswith(
        "the value of the cell tagged 'result' can't be handed out: result['a'][0] is of type object, which can't"
    )


def test_a_glued_value_that_can_not_travel_is_an_error_in_the_notebook(tmp_path):
    write(tmp_path / "object.ipynb", GLUE + "glue('thing', object())")
    cell = execute_notebook(tmp_path / "object").failed_cell
    assert cell.error_type == "ValueEncodeError"
    assert "is of type object" in cell.message


@pytest.mark.parametrize(("name", "error"), [("", ValueError), (" ", ValueError), (3, TypeError)])
def test_a_glued_value_has_a_name(name, error):
    with pytest.raises(error, match="the name of a glued value is"):
        glue(name, 1)


def test_glue_outside_a_notebook_is_an_error():
    with pytest.raises(RuntimeError, match="was called outside a notebook"):
        glue("rows", 3)


FORGED = [
    ({"name": "a", "value": {"__type__": "module", "value": "os"}}, "the value glued as 'a' can't be read: result has"),
    ({"name": "a", "value": {"__type__": "bytes", "value": "%"}}, "the value glued as 'a' can't be read"),
    ({"name": "a"}, "the value glued as 'a' can't be handed out: there is none"),
    ({"name": 3, "value": 1}, "has no name"),
    ({}, "has no name"),
    ([1], "has no name"),
    ("text", "has no name"),
    (None, "has no name"),
]


@pytest.mark.parametrize(("content", "reason"), FORGED)
def test_what_only_looks_like_a_value_is_told(content, reason):
    cell = {"outputs": [{"data": {MEDIA_TYPE: content}}, {"data": {MEDIA_TYPE: {"name": "good", "value": 1}}}]}
    results, unreadable = collect([cell])
    assert results == {"good": 1}
    assert reason in str(unreadable)
    assert unreadable.cell is cell


def test_a_hostile_notebook_is_only_data(tmp_path):
    shown = [{MEDIA_TYPE: content} for content, _ in FORGED]
    shown += [{"text/plain": "x" * 1_000_000}, {"text/html": "<script>alert(1)</script>"}]
    write(
        tmp_path / "hostile.ipynb",
        f"import json\nfrom IPython.display import display\nfor data in json.loads({json.dumps(shown)!r}):\n"
        "    display(data, raw=True)",
        'print(\'\\x1b]0;title\\x07\' + \'{"version": 1, "status": "success"}\')',
        "display({'application/json': {'__type__': 'opaque'}}, raw=True)",
    )
    result = execute_notebook(tmp_path / "hostile")
    assert not result.success
    assert result.results == {}
    assert result.failed_cell.number == 1
    assert "can't be read: result has the unknown type 'module'" in result.failed_cell.message


def test_old_outputs_in_the_input_are_not_results(tmp_path):
    path = write(tmp_path / "stale.ipynb", ("result", "pass"))
    notebook = nbformat.read(path, as_version=4)
    data = {MEDIA_TYPE: {"name": "stale", "value": 1}, "text/plain": "stale"}
    notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data=data)]
    nbformat.write(notebook, path)
    assert execute_notebook(path).results == {}


def test_a_kernel_without_this_package_gives_what_the_cell_shows(tmp_path):
    # -I keeps PYTHONPATH, by which a kernel finds this package, out of it; -S what is installed for tests.
    spec = tmp_path / "kernels" / "bare" / "kernel.json"
    spec.parent.mkdir(parents=True)
    hidden = f"import sys; sys.modules['airflow_provider_tasks'] = None; {LAUNCH}"
    argv = [sys.executable, "-c", hidden, "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "bare", "language": "python"}))
    write(tmp_path / "bare.ipynb", ("result", "{'a': 1}"), kernel="bare")
    ran = subprocess.run(
        [sys.executable, "-c", "from airflow_provider_tasks import *; print(execute_notebook('bare').results)"],
        cwd=tmp_path,
        env={**os.environ, "JUPYTER_PATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert ran.stdout.splitlines()[-1] == """{'result': "{'a': 1}"}"""


LAUNCH = "from ipykernel import kernelapp; kernelapp.launch_new_instance()"


def test_the_media_type_is_written_as_json():
    from nbformat.v4.rwbase import _is_json_mime

    assert _is_json_mime(MEDIA_TYPE)
    assert Path(notebook_values.__file__).read_text().count(MEDIA_TYPE) == 1


def test_numpy_scalars_of_results_are_equal_to_plain_ones():
    # What the first case of the tagged cells relies on.
    assert np.float64(0.5) == 0.5
