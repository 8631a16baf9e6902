"""A notebook in a pod: parameters in, values out, the executed notebook back on this machine, after a failure too."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tests.kubernetes.airflow_tasks import TaskInAPod
from tests.runtime.notebooks import write

GLUES = "from airflow_provider_tasks import glue\nglue('next', day + 1)"


@pytest.mark.kubernetes
@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])
@pytest.mark.parametrize(("cell", "state"), [(GLUES, "success"), ("raise SystemError('Simulated error')", "failed")])
def test_a_notebook(
    airflow_tasks: TaskInAPod, tmp_path: Path, dags_folder: Path, cell: str, state: str, deferrable: bool
) -> None:
    image = airflow_tasks.cluster.image_notebook
    if image is None:
        pytest.skip("TEST_KUBERNETES_IMAGE_NOTEBOOK is not set")
    airflow_tasks.connect(airflow_tasks.cluster.kubeconfig, worker_image=image)
    write(tmp_path / "report.ipynb", ("parameters", "day = 1"), cell)
    ended = airflow_tasks(
        "",
        f"NotebookOperator(task_id='report', notebook='{tmp_path}/report.ipynb', parameters={{'day': 41}}, "
        f"output_path='{tmp_path}/executed.ipynb', deferrable={deferrable})",
    )
    assert ended.state == state
    executed = nbformat.read(tmp_path / "executed.ipynb", 4)
    assert any("day = 41" in cell.source for cell in executed.cells)
    if state == "success":
        assert ended.run.xcom("report") == {"next": 42}
    else:
        assert "SystemError: Simulated error" in ended.last_lines
