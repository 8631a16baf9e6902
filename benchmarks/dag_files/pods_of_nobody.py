"""An operator that does nothing in the task's own process: what Airflow itself takes."""

from airflow.sdk import DAG, BaseOperator


class Nothing(BaseOperator):
    def execute(self, context):
        return None


with DAG("pods_of_nobody"):
    Nothing(task_id="nothing")
