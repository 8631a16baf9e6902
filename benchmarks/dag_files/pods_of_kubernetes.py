"""A command, or a function, that does nothing, in a pod of the provider of Kubernetes."""

import os

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG, task

pod = {"image": os.environ["BENCHMARK_IMAGE"], "image_pull_policy": "IfNotPresent"}
command = {"cmds": ["python3", "-c", "pass"], **pod}
quick = {"startup_check_interval_seconds": 1, "log_events_on_startup": False}


def nothing():
    return None


with DAG("pods_of_kubernetes"):
    for name, deferred in (("", {}), ("_deferrable", {"deferrable": True})):
        KubernetesPodOperator(task_id=f"pod{name}", **command, **deferred)
        KubernetesPodOperator(task_id=f"pod_xcom{name}", do_xcom_push=True, **command, **deferred)
        task.kubernetes(task_id=f"function_xcom{name}", do_xcom_push=True, **pod, **deferred)(nothing)()
    KubernetesPodOperator(task_id="pod_quick", **command, **quick)
    task.kubernetes(task_id="function_xcom_quick", do_xcom_push=True, **pod, **quick)(nothing)()
    task.kubernetes(
        task_id="function_xcom_quick_deferrable", do_xcom_push=True, deferrable=True, poll_interval=1, **pod, **quick
    )(nothing)()
