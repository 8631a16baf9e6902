"""What the code of tasks does to be seen from outside of its pod: it goes along with the tasks that use it."""

import os
import time

from airflow_provider_tasks import get_context


def note() -> None:
    """Note that this code runs, and in which try, where it outlives everything."""
    context = get_context()
    name = f"{context['dag_id']}.{context['task_id']}.{context['map_index']}.{context['run_id']}"
    with open(os.path.join("/seen", name), "a") as file:
        file.write(f"{context['try_number']}\n")


def wait() -> None:
    """Wait until the test lets all tasks of this run end."""
    context = get_context()
    while not os.path.exists(os.path.join("/seen", f"{context['dag_id']}.{context['run_id']}.go")):
        time.sleep(0.2)
