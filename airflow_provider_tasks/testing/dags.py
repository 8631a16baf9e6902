"""DAGs run by Airflow itself, with workers of this machine or with outcomes that a test makes up."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.model.suggest import did_you_mean
from airflow_provider_tasks.testing.fakes import Fake, Fakes, FakeWorker
from airflow_provider_tasks.testing.tasks import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    import pytest
    from airflow.sdk import DAG

    from airflow_provider_tasks.workers.base import WorkerBackend


class Run:
    """A DAG run that has ended.

    Attributes:
        run_id: what Airflow calls it.
        state: ``success`` or ``failed``.
        states: the state of each task: ``{"find": "success", "train[0]": "failed", …}``; a mapped one has its number.

    """

    def __init__(self, dag_run: Any, errors: Mapping[tuple[str, int], Sequence[BaseException]] | None = None) -> None:
        self._run = dag_run
        self._errors = errors or {}
        self.run_id = str(dag_run.run_id)
        self.state = str(dag_run.state)
        self.states: dict[str, str] = {
            (ti.task_id if ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]"): str(ti.state)
            for ti in dag_run.get_task_instances()
        }

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return an XCom as a downstream task gets it; the key ``outcome`` holds what happened.

        Raises:
            LookupError: there is none.

        """
        from airflow.models.xcom import XComModel
        from airflow.sdk.serde import deserialize
        from airflow.utils.session import create_session
        from sqlalchemy import select

        where = {"dag_id": self._run.dag_id, "run_id": self._run.run_id, "task_id": task_id}
        with create_session() as session:
            found = session.scalar(select(XComModel).filter_by(**where, key=key, map_index=map_index))
        if found is None:
            raise LookupError(f"no XCom {key!r} of {task_id}; states: {self.states}")
        return deserialize(XComModel.deserialize_value(found))

    def errors(self, task_id: str, map_index: int = -1) -> list[BaseException]:
        """Return the exceptions that the tries of a task ended with, in order."""
        return list(self._errors.get((task_id, map_index), ()))


class RunDag:
    """Runs DAGs; what the fixture ``run_dag`` gives."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._root = root
        self._monkeypatch = monkeypatch

    def __call__(
        self,
        dag: DAG | str | os.PathLike[str],
        *,
        outcomes: Mapping[str, Fake | Sequence[Fake | None] | None] | None = None,
        conf: Mapping[str, Any] | None = None,
        logical_date: datetime | None = None,
    ) -> Run:
        """Run a DAG to its end, without waiting between retries.

        Tasks run in local workers, whatever the DAG says of its backend; all other operators run as always.

        Args:
            dag: the DAG, or the path of a DAG file that has just one; a relative path starts at pytest's root.
            outcomes: what comes of a task that is not to run, by its id; of an instance of a mapped task by
                ``"id[0]"``. A list has one for each try, the last of which stays; None lets a try run. See
                :func:`~airflow_provider_tasks.testing.fake_outcome` for what an outcome can be.
            conf: the run's configuration: its params.
            logical_date: the run's date; now unless given.

        Raises:
            ImportError: the DAG file can't be parsed; says why.
            ValueError: the DAG has no task of that id, or there is no such category.

        """
        from airflow.sdk import DAG

        found = dag if isinstance(dag, DAG) else self.parse(dag)
        fakes = Fakes(outcomes or {})
        for name in fakes.names:
            if name not in found.task_dict:
                known = did_you_mean(name, found.task_dict)
                raise ValueError(f"outcomes: DAG {found.dag_id!r} has no task {name!r}; {known}")
        _store(found)
        options: dict[str, Any] = {} if logical_date is None else {"logical_date": logical_date}
        with self._monkeypatch.context() as patch, _collected_errors() as errors, _retried_at_once(found):
            _put_in_place(fakes, patch)
            dag_run = found.test(run_conf=dict(conf) if conf is not None else None, **options)
        return Run(dag_run, errors)

    def parse(self, path: str | os.PathLike[str]) -> DAG:
        """Return the DAG of a file that has just one, parsed as Airflow does.

        The file's folder is on ``sys.path`` from then on, until the test ends, as a bundle's is.

        Raises:
            ImportError: the file can't be parsed; says why.
            ValueError: it has no DAG, or more than one.

        """
        from airflow.dag_processing.dagbag import DagBag

        file = self._root / path
        if not file.is_file():
            raise FileNotFoundError(f"there is no DAG file {file}")
        self._monkeypatch.syspath_prepend(str(file.parent))
        bag = DagBag(str(file))
        if bag.import_errors:
            raise ImportError(f"{file}: " + "\n".join(bag.import_errors.values()))
        if len(bag.dags) != 1:
            names = ", ".join(sorted(bag.dags)) or "none"
            raise ValueError(f"{file} has {len(bag.dags)} DAGs ({names}), expected one: pass the DAG itself")
        (dag,) = bag.dags.values()
        return dag


def _put_in_place(fakes: Fakes, patch: pytest.MonkeyPatch) -> None:
    """Let operators get workers of this machine, or fakes."""
    from airflow_provider_tasks.workers import opening, settings

    resolve, open_worker = settings.resolve, opening.open_worker

    def resolve_local(
        installation: settings.Installation, layers: list[Any], connection_settings: Any = None, folder: str = ""
    ) -> settings.Settings:
        # No connection is looked up: a test has none, and a local worker needs none.
        return resolve(installation, [*layers, LOCAL], None, folder)

    def open_fake(settings: settings.Settings, owner: opening.Owner, **options: Any) -> WorkerBackend:
        outcome = fakes.of(owner.task_id, owner.map_index, owner.try_number)
        return FakeWorker(outcome) if outcome is not None else open_worker(settings, owner, **options)

    patch.setattr(settings, "resolve", resolve_local)
    patch.setattr(opening, "open_worker", open_fake)


def _store(dag: DAG) -> None:
    """Write a DAG to the metadata database, as the DAG processor does: a run is one of a stored version."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    manager = DagBundlesManager()  # type: ignore[no-untyped-call]
    manager.sync_bundles_to_db()
    bag = DagBag(os.devnull, collect_dags=False)
    bag.dags[dag.dag_id] = dag
    bundle = next(iter(manager.get_all_dag_bundles()))
    sync_bag_to_db(bag, bundle.name, None)


@contextmanager
def _collected_errors() -> Iterator[dict[tuple[str, int], list[BaseException]]]:
    """Collect what tasks end with, for as long as this lasts."""
    from airflow.listeners import hookimpl
    from airflow.sdk.listener import get_listener_manager

    errors: dict[tuple[str, int], list[BaseException]] = {}

    class Listener:
        @hookimpl
        def on_task_instance_failed(self, task_instance: Any, error: BaseException) -> None:
            index = -1 if task_instance.map_index is None else task_instance.map_index
            errors.setdefault((task_instance.task_id, index), []).append(error)

    plugins, listener = get_listener_manager().pm, Listener()
    plugins.register(listener)
    try:
        yield errors
    finally:
        plugins.unregister(listener)


@contextmanager
def _retried_at_once(dag: DAG) -> Iterator[None]:
    """Let no task of a DAG wait before it is tried again, for as long as this lasts."""
    from airflow.sdk import BaseOperator

    before = []
    for task in dag.tasks:
        of: dict[str, Any] = vars(task) if isinstance(task, BaseOperator) else task.partial_kwargs
        before.append((of, {name: of[name] for name in _WAITS if name in of}))
        of.update(_WAITS)
    try:
        yield
    finally:
        for of, kept in before:
            for name in _WAITS:
                of.pop(name)
            of.update(kept)


_WAITS: dict[str, Any] = {"retry_delay": timedelta(0), "retry_exponential_backoff": 0}
