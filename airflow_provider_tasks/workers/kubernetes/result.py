"""What a pod's end means: its outcome, or the failure of a pod that reported none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_tasks.runtime.protocol import PHASES
from airflow_provider_tasks.workers.diagnosis import diagnose
from airflow_provider_tasks.workers.failures import BY_CATEGORY
from airflow_provider_tasks.workers.sizes import SIZES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_tasks.runtime.outcome import Outcome
    from airflow_provider_tasks.workers.kubernetes.follow import Finish
    from airflow_provider_tasks.workers.sizes import WorkerSize


def outcome_of_finish(
    finish: Finish, timeline: Mapping[str, float], elapsed: float, sizes: Mapping[str, WorkerSize] = SIZES
) -> Outcome:
    """Return the outcome of ``finish``, with all of its time accounted for.

    Args:
        finish: how the request ended.
        timeline: seconds of the phases that are seen from outside.
        elapsed: seconds that it took in all; what no phase explains went into starting the worker.
        sizes: the table of sizes, for the advice.

    Raises:
        WorkerError: the worker reported nothing, or only that it was ended where the cluster knows why.

    """
    outcome = finish.outcome
    if outcome is None or outcome.category == "killed":
        found = diagnose(outcome, finish.pod, finish.events, deleted=finish.deleted, sizes=sizes)
        if outcome is None or found.category != "killed":
            known = outcome and replace(outcome, category=found.category, message=found.summary)
            raise BY_CATEGORY[found.category](found.summary, found.advice, retry=found.retry, outcome=known)
        outcome = replace(outcome, message=found.summary)
    merged = {**outcome.timeline, **timeline}
    merged["started"] = max(0.0, elapsed - sum(seconds for phase, seconds in merged.items() if phase != "started"))
    return replace(outcome, timeline={phase: merged[phase] for phase in PHASES if phase in merged})
