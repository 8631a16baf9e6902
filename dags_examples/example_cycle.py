"""A cycle: the same stages three times in one worker, with a summary behind them.

A task's result is there for all that come later, also in the next round: ``previous_steps`` has one for each time
that it ran.
"""

import os

from airflow.sdk import dag

from airflow_provider_tasks import CyclePipeline, Task
from airflow_provider_tasks.operators import PipelineOperator


class Load(Task):
    """The load of the machine, averaged over a minute."""

    def run(self) -> float:
        return os.getloadavg()[0]


class Trend(Task):
    """Whether it has become more since the last round."""

    def run(self) -> str:
        loads = [result.unwrap() for result in self.previous_steps["Load"]]
        if len(loads) == 1:
            return "first"
        return "more" if loads[-1] > loads[-2] else "not more"


@dag(schedule=None, tags=["example", "worker"])
def example_cycle():
    PipelineOperator(task_id="watch", pipeline=CyclePipeline([Load(), Trend()], cycles=3))


example_cycle()
