"""What the tests, the demo and the benchmarks ask of a running Airflow, over its REST API (v2).

A user's script that triggers DAGs from outside talks to the same addresses.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from datetime import time as clock_time
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import httpx

from tests.live import processes

Json = Any
"""A decoded JSON document, as the REST API describes it."""

FINISHED_RUN = frozenset({"success", "failed"})
FINISHED_TASK = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})

_POLL_SECONDS = 0.2
_PAGE = 100  # Airflow gives no more at once

T = TypeVar("T")


class ApiError(Exception):
    """The REST API refused a request; ``status`` is the HTTP status, ``detail`` what Airflow said."""

    def __init__(self, status: int, request: str, detail: str) -> None:
        super().__init__(f"{request} -> {status}: {detail}")
        self.status = status
        self.detail = detail


class RestApi:
    """A client of one Airflow. Its methods return the REST API's own documents, decoded."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.url = url
        self._credentials = {"username": username, "password": password}
        # trust_env: a proxy of the machine has no say about its loopback interface.
        self._http = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def close(self) -> None:
        """Close the connections. A second call does nothing."""
        self._http.close()

    def request(self, method: str, path: str, *, body: Json = None, params: Mapping[str, Any] | None = None) -> Json:
        """Send a request to ``/api/v2`` + path and give the decoded answer; raises ``ApiError``."""
        for attempt in ("first", "with a new token"):
            if "Authorization" not in self._http.headers:
                self._log_in()
            response = self._http.request(method, f"/api/v2{path}", json=body, params=params)
            if response.status_code != httpx.codes.UNAUTHORIZED or attempt != "first":
                break
            del self._http.headers["Authorization"]
        if response.is_error:
            raise ApiError(response.status_code, f"{method} {path}", _detail(response))
        return response.json() if response.content else None

    def _log_in(self) -> None:
        response = self._http.post("/auth/token", json=self._credentials)
        if response.is_error:
            raise ApiError(response.status_code, "POST /auth/token", _detail(response))
        self._http.headers["Authorization"] = f"Bearer {response.json()['access_token']}"

    def _pages(self, path: str, key: str, params: Mapping[str, Any] | None = None) -> list[Json]:
        found: list[Json] = []
        while True:
            page = self.request("GET", path, params={"limit": _PAGE, "offset": len(found), **(params or {})})
            found += page[key]
            if not page[key] or len(found) >= page["total_entries"]:
                return found

    # --- waiting ---------------------------------------------------------------------------------

    def wait_until(
        self, what: str, probe: Callable[[], T | None], timeout: float, explain: Callable[[], str] = str
    ) -> T:
        """Ask until the answer is neither None nor False.

        Raises ``TimeoutError``, which says what was waited for and what ``explain`` adds.
        """
        deadline = processes.Deadline(timeout)
        while True:
            self.check_alive()
            answer = probe()
            if answer is not None and answer is not False:
                return answer
            if deadline.passed:
                raise TimeoutError(f"{what}: not after {timeout:.0f} s. {explain()}".strip())
            time.sleep(_POLL_SECONDS)

    def check_alive(self) -> None:
        """Raise when there is no sense in waiting any longer; a remote Airflow is taken to be alive."""

    # --- DAGs ------------------------------------------------------------------------------------

    def health(self) -> Json:
        """Give the state and the latest heartbeat of each component."""
        return self.request("GET", "/monitor/health")

    def import_errors(self) -> list[Json]:
        """Give the DAG import errors; each has ``filename`` and ``stack_trace``."""
        return self._pages("/importErrors", "import_errors")

    def dag_versions(self, dag_id: str) -> list[Json]:
        """Give the versions of a DAG, oldest first."""
        versions = self._pages(f"/dags/{dag_id}/dagVersions", "dag_versions")
        return sorted(versions, key=lambda version: version["version_number"])

    def wait_for_dag(self, dag_id: str, timeout: float = 60) -> Json:
        """Wait until the DAG processor has parsed a DAG."""
        return self.wait_until(
            f"DAG {dag_id}",
            lambda: self._found(f"/dags/{dag_id}"),
            timeout,
            lambda: "".join(f"\n{e['filename']}:\n{e['stack_trace']}" for e in self.import_errors()),
        )

    def wait_for_import_error(self, file_name: str, timeout: float = 60) -> str:
        """Wait for the import error of a DAG file and give its stack trace."""

        def probe() -> str | None:
            matching = [e for e in self.import_errors() if e["filename"].endswith(file_name)]
            return matching[0]["stack_trace"] if matching else None

        return self.wait_until(f"import error of {file_name}", probe, timeout)

    def unpause(self, dag_id: str, *, paused: bool = False) -> None:
        """Let the scheduler run a DAG (or, with ``paused``, keep it from that)."""
        self.request("PATCH", f"/dags/{dag_id}", body={"is_paused": paused})

    # --- runs ------------------------------------------------------------------------------------

    def trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Json] | None = None,
        logical_date: datetime | None = None,
        *,
        run_id: str | None = None,
        timeout: float = 60,
    ) -> str:
        """Start a run with ``conf`` as its params and give its run id.

        Waits until the DAG is there and takes it off pause first.
        """
        self.wait_for_dag(dag_id, timeout)
        self.unpause(dag_id)
        body: dict[str, Json] = {
            "logical_date": logical_date.isoformat() if logical_date else None,
            "conf": dict(conf or {}),
        }
        if run_id is not None:
            body["dag_run_id"] = run_id
        run: Json = self.request("POST", f"/dags/{dag_id}/dagRuns", body=body)
        return str(run["dag_run_id"])

    def runs(self, dag_id: str, run_type: str | None = None) -> list[Json]:
        """Give a DAG's runs by logical date; ``run_type``: manual, scheduled, backfill, asset_triggered."""
        params = {"order_by": "logical_date"} | ({"run_type": run_type} if run_type else {})
        return self._pages(f"/dags/{dag_id}/dagRuns", "dag_runs", params)

    def run(self, dag_id: str, run_id: str) -> Json:
        """Give one run."""
        return self.request("GET", _run_path(dag_id, run_id))

    def wait_for_run(
        self, dag_id: str, run_id: str, timeout: float = 120, states: Collection[str] = FINISHED_RUN
    ) -> str:
        """Wait until a run is in one of the states (default: it has ended) and give that state."""

        def probe() -> str | None:
            state: str = self.run(dag_id, run_id)["state"]
            return state if state in states else None

        return self.wait_until(
            f"run {run_id} of {dag_id} in {sorted(states)}",
            probe,
            timeout,
            lambda: self._states(dag_id, run_id),
        )

    def backfill(
        self,
        dag_id: str,
        from_date: date,
        to_date: date,
        *,
        conf: Mapping[str, Json] | None = None,
        reprocess: Literal["none", "failed", "completed"] = "none",
        max_active_runs: int = 10,
        timeout: float = 300,
    ) -> list[Json]:
        """Run a DAG for each date from the first to the last, both included, and wait for all of them.

        Returns the runs by logical date, ended, whatever their state.
        """
        self.wait_for_dag(dag_id)
        self.unpause(dag_id)
        first, last = _as_datetime(from_date), _as_datetime(to_date)
        created = self.request(
            "POST",
            "/backfills",
            body={
                "dag_id": dag_id,
                "from_date": first.isoformat(),
                "to_date": last.isoformat(),
                "dag_run_conf": dict(conf or {}),
                "reprocess_behavior": reprocess,
                "max_active_runs": max_active_runs,
            },
        )

        def probe() -> list[Json] | None:
            # Airflow marks a backfill complete only every 30 s: its runs say it sooner.
            runs = [
                run
                for run in self.runs(dag_id, "backfill")
                if first <= datetime.fromisoformat(run["logical_date"]) <= last
            ]
            return runs if runs and all(run["state"] in FINISHED_RUN for run in runs) else None

        return self.wait_until(f"backfill {created['id']} of {dag_id}", probe, timeout)

    # --- task instances --------------------------------------------------------------------------

    def task_instances(self, dag_id: str, run_id: str) -> list[Json]:
        """Give the task instances of a run, mapped ones included."""
        return self._pages(f"{_run_path(dag_id, run_id)}/taskInstances", "task_instances")

    def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Json:
        """Give one task instance; raises ``ApiError`` with status 404 when there is none."""
        return self.request("GET", _task_path(dag_id, run_id, task_id, map_index))

    def wait_for_task_state(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        states: str | Collection[str] = FINISHED_TASK,
        *,
        map_index: int = -1,
        timeout: float = 60,
    ) -> Json:
        """Wait until a task instance is in one of the states and give it."""
        wanted = {states} if isinstance(states, str) else set(states)

        def probe() -> Json | None:
            found = self._found(_task_path(dag_id, run_id, task_id, map_index))
            return found if found and found["state"] in wanted else None

        return self.wait_until(
            f"task {task_id} of {dag_id} in {sorted(wanted)}",
            probe,
            timeout,
            lambda: self._states(dag_id, run_id),
        )

    def set_task_state(
        self, dag_id: str, run_id: str, task_id: str, state: str = "failed", map_index: int = -1
    ) -> None:
        """Mark a task instance, as the UI does: ``failed``, ``success`` or ``skipped``."""
        path = _task_path(dag_id, run_id, task_id, map_index)
        self.request("PATCH", path, body={"new_state": state})

    def clear(
        self,
        dag_id: str,
        run_id: str,
        task_ids: Sequence[str | tuple[str, int]] | None = None,
        *,
        downstream: bool = False,
        only_failed: bool = False,
    ) -> list[Json]:
        """Clear task instances of a run so that they run again; a pair is a task id and a map index."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": None if task_ids is None else list(task_ids),
            "include_downstream": downstream,
            "only_failed": only_failed,
        }
        cleared = self.request("POST", f"/dags/{dag_id}/clearTaskInstances", body=body)
        return list(cleared["task_instances"])

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Json:
        """Give an XCom's value as JSON, as it lies in the database.

        What Airflow's serialization wraps (a datetime, say) stays wrapped. Raises ``ApiError`` with
        status 404 when there is none.
        """
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}/xcomEntries/{quote(key)}"
        return self.request("GET", path, params={"map_index": map_index})["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """Give the log of a try as text, a line for each event, with its level, fields and traceback."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}/logs/{try_number}"
        lines: list[str] = []
        params: dict[str, Json] = {"map_index": map_index}
        while True:
            page = self.request("GET", path, params=params)
            lines += [_log_line(entry) for entry in page["content"]]
            token = page.get("continuation_token")
            if not token or not page["content"]:
                return "\n".join(lines)
            params["token"] = token

    # --- helpers ---------------------------------------------------------------------------------

    def _found(self, path: str) -> Json | None:
        try:
            return self.request("GET", path)
        except ApiError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def _states(self, dag_id: str, run_id: str) -> str:
        return "States: " + ", ".join(
            f"{ti['task_id']}[{ti['map_index']}]={ti['state']} (try {ti['try_number']})"
            for ti in self.task_instances(dag_id, run_id)
        )


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"


def _task_path(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    path = f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}"
    return path if map_index == -1 else f"{path}/{map_index}"


def _detail(response: httpx.Response) -> str:
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return response.text
    return detail if isinstance(detail, str) else json.dumps(detail)


def _as_datetime(day: date) -> datetime:
    if isinstance(day, datetime):
        return day
    return datetime.combine(day, clock_time(), tzinfo=UTC)


# Of the fields of an event, those that say where it comes from: the same in each line, or of no use to a test.
_LOG_COLUMNS = frozenset(
    {
        "timestamp",
        "event",
        "level",
        "logger",
        "filename",
        "lineno",
        "error_detail",
        "dag_id",
        "run_id",
        "task_id",
        "ti_id",
        "map_index",
        "try_number",
    }
)


def _log_line(entry: Json) -> str:
    if isinstance(entry, str):
        return entry
    line = f"[{entry['level']}] {entry['event']}" if entry.get("level") else str(entry["event"])
    line += "".join(f" {key}={entry[key]!r}" for key in sorted(entry.keys() - _LOG_COLUMNS))
    for error in reversed(entry.get("error_detail") or []):  # what it came from first, as Python does
        for frame in error.get("frames") or []:
            line += f"\n  File {frame.get('filename')}, line {frame.get('lineno')}, in {frame.get('name')}"
        line += f"\n{error['exc_type']}: {error['exc_value']}"
    return line
