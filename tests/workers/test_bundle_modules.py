"""Modules of the DAG bundle are there in the worker, imported at the top of the DAG file or in functions."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from airflow_provider_tasks.workers.payload import pack


@pytest.fixture
def options():
    return {"bare": True, "shared": True}


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """Write the files of a bundle, and import one of them as its DAG file."""
    before = set(sys.modules)

    def write(files, dag="dag_of_bundle"):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()
        return importlib.import_module(dag)

    yield write
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def test_what_the_file_imports_at_its_top_goes_by_value(bundle, run):
    dag = bundle({"dag_of_bundle.py": "from tools import double\ndef main(): return double(4)\n",
                  "tools.py": "from more_tools import TWO\ndef double(x): return TWO * x\n",
                  "more_tools.py": "TWO = 2\n"})  # fmt: skip
    assert run(dag.main).outcome.result == 8


def test_a_helper_by_value_needs_not_what_else_its_module_imports(bundle, run):
    dag = bundle({"dag_of_bundle.py": "from tools import double\ndef main(): return double(4)\n",
                  "tools.py": "import pytest\ndef double(x): return 2 * x\n"})  # fmt: skip
    assert run(dag.main).outcome.result == 8


def test_a_module_imported_in_a_function_goes_along(bundle, run):
    dag = bundle({"dag_of_bundle.py": "def main():\n    import tools\n    return tools.double(4)\n",
                  "tools.py": "import more_tools\ndef double(x): return more_tools.TWO * x\n",
                  "more_tools.py": "TWO = 2\n"})  # fmt: skip
    assert run(dag.main).outcome.result == 8
    assert sorted(pack(dag.main, (), {})["modules"]) == ["more_tools", "tools"]


def test_packages_and_relative_imports_in_functions_go_along(bundle, run):
    files = {
        "shop/__init__.py": "NAME = 'shop'\n",
        "shop/dags/__init__.py": "",
        "shop/dags/daily.py": "def main():\n    from . import prices\n    from .. import NAME\n"
        "    from ..stock import count\n"
        "    return NAME, prices.of('tea'), count()\n",
        "shop/dags/prices.py": "from ..rates import RATE\ndef of(item): return len(item) * RATE\n",
        "shop/rates.py": "RATE = 2\n",
        "shop/stock/__init__.py": "from .counting import count\n",
        "shop/stock/counting.py": "def count(): return 7\n",
        "shop/unused.py": "raise SystemExit\n",
    }
    dag = bundle(files, "shop.dags.daily")
    assert run(dag.main).outcome.result == ("shop", 6, 7)
    assert "shop.unused" not in pack(dag.main, (), {})["modules"]


def test_a_namespace_package_goes_along(bundle, run):
    dag = bundle({"dag_of_bundle.py": "def main():\n    from plain.inner import VALUE\n    return VALUE\n",
                  "plain/inner.py": "VALUE = 'ü'\n"})  # fmt: skip
    assert run(dag.main).outcome.result == "ü"


def test_a_module_named_as_an_object_goes_along(bundle, run):
    dag = bundle({"dag_of_bundle.py": "import tools\ndef main(): return tools.double(4)\n",
                  "tools.py": "import threading\nLOCK = threading.Lock()\n"
                  "def double(x):\n    with LOCK: return 2 * x\n"})  # fmt: skip
    assert run(dag.main).outcome.result == 8


def test_a_class_is_there_once_however_its_module_gets_there(bundle, run):
    dag = bundle({"dag_of_bundle.py": "from shapes import Circle\nimport shapes\n"
                  "def main(given):\n    from shapes import Circle as again\n"
                  "    return isinstance(given, again), Circle is again, Circle is shapes.Circle\n",
                  "shapes.py": "class Circle: pass\n"})  # fmt: skip
    assert run(dag.main, dag.Circle()).outcome.result == (True, True, True)


def test_a_module_of_the_bundle_does_not_hide_one_of_python(bundle, run):
    dag = bundle(
        {"dag_of_bundle.py": "def main():\n    import email\n    return hasattr(email, 'message_from_string')\n"}
    )
    folder = Path(dag.__file__).parent
    (folder / "email.py").write_text("")
    assert "email" not in pack(dag.main, (), {})["modules"]
    assert run(dag.main).outcome.result is True


def test_a_broken_module_fails_where_it_is_imported(bundle, run):
    dag = bundle({"dag_of_bundle.py": "def main():\n    import broken\n", "broken.py": "def (:\n"})
    outcome = run(dag.main).outcome
    assert outcome.category == "task"
    assert outcome.message.startswith("SyntaxError: ")
    assert outcome.exceptions[-1].frames[0].source == "import broken"


def test_a_class_of_a_bundle_module_goes_from_worker_to_worker_unopened(bundle, run):
    dag = bundle({"dag_of_bundle.py": "def make():\n    from shapes import Circle\n    return Circle(3)\n"
                  "def read(circle): return circle.radius\n",
                  "shapes.py": "class Circle:\n    def __init__(self, radius): self.radius = radius\n"})  # fmt: skip
    circle = run(dag.make, pickle_results=True).outcome.result
    assert run(dag.read, circle).outcome.result == 3
