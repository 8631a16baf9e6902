"""What the cluster says of a worker's pod, explained: why it does not start, why it ended, why it was refused."""

from airflow_provider_tasks.workers.pod_diagnosis.records import Diagnosis, Trouble
from airflow_provider_tasks.workers.pod_diagnosis.refusals import explain_refusal
from airflow_provider_tasks.workers.pod_diagnosis.startup import startup_trouble

__all__ = ["Diagnosis", "Trouble", "explain_refusal", "startup_trouble"]
