"""What all operators of this provider have in common: a worker, its settings, its outcome."""

from __future__ import annotations

import json
import os
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.log import redact  # type: ignore[attr-defined]

from airflow_provider_tasks.links.task_instance import FailureLink, WorkerLink
from airflow_provider_tasks.model.node import Node, as_node
from airflow_provider_tasks.operators.documentation import documentation, is_documented
from airflow_provider_tasks.operators.made_at import NamesItsPlace
from airflow_provider_tasks.operators.xcom import to_xcom
from airflow_provider_tasks.workers.bundle import Bundle
from airflow_provider_tasks.workers.config import WorkerConfig
from airflow_provider_tasks.workers.digest import Digest
from airflow_provider_tasks.workers.settings import NODE_CONFIG

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import BaseOperatorLink, Context

    from airflow_provider_tasks.operators.log import RunLog
    from airflow_provider_tasks.runtime.messages import Environment, Request
    from airflow_provider_tasks.runtime.outcome import Outcome
    from airflow_provider_tasks.workers.base import WorkerBackend
    from airflow_provider_tasks.workers.settings import Settings


class Work(NamedTuple):
    """What an operator gives to a worker.

    ``implementation`` names it for people, ``requirements`` are the commands that must have run before it.
    """

    request: Request
    implementation: str
    requirements: Sequence[str]


class Pick(NamedTuple):
    """An implementation, as far as it is known where the DAG is parsed.

    ``name`` is what a pipeline calls it, empty elsewhere. ``implementation`` is None where the ``dispatcher``, whose
    name it is if there is one, has yet to be asked.
    """

    name: str
    implementation: str | None
    dispatcher: str | None = None


class Declared(NamedTuple):
    """What an operator runs, as far as that is known where the DAG is parsed.

    ``requirements`` are those that are known, which are all of them where they are ``settled``; ``of`` is the function,
    the class or the instance whose docstring tells of it.
    """

    picks: Sequence[Pick]
    requirements: Sequence[str] = ()
    of: Any = None
    settled: bool = True


def is_put_off(value: Any) -> bool:
    """Whether ``value`` is only known when the Airflow task runs: an XCom, a template, or one inside it.

    >>> is_put_off(["{{ ds }}"]), is_put_off({"a": 1})
    (True, False)
    """
    if value is None or isinstance(value, (Node, bool)):
        return False
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, Mapping):
        return any(is_put_off(item) for item in value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(is_put_off(item) for item in value)
    # What Airflow fills in before a task runs can be resolved and knows what it refers to.
    return hasattr(value, "resolve") and hasattr(value, "iter_references")


class WorkerOperator(BaseOperator, metaclass=NamesItsPlace):
    """Runs something in a worker; what, is up to the subclass.

    Args:
        node: where it is to run: a :class:`~airflow_provider_tasks.Node`, its JSON, or an XCom with that.
        worker_config: what the worker is: a :class:`~airflow_provider_tasks.WorkerConfig`, a mapping of its keys,
            or the path of a JSON or YAML file (a relative one starts at the folder of the DAG file).
        fail_on_failure: False makes the Airflow task succeed when the user's code failed; the ``return_value``
            is then the result as ``{"result_type": "Success" | "Failure", "result": …}``.
        pickle_results: let what is no plain data travel as an opaque value, which only another worker opens.
        deferrable: wait for a pod in Airflow's triggerer, which takes no worker slot; ``[operators]
            default_deferrable`` of Airflow's configuration unless given. The local backend does not defer.

    Raises:
        ConfigurationError: a setting is wrong.

    """

    template_fields: Sequence[str] = (
        "node",
        "worker_config",
        "default_worker_config",
        "implementation",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "worker_config": "json",
        "default_worker_config": "json",
    }
    operator_extra_links: Collection[BaseOperatorLink] = (WorkerLink(), FailureLink())
    ui_color = "#e8f4f1"
    ui_fgcolor = "#10403b"
    may_end_in_triggerer: ClassVar[bool] = True
    """Whether the worker's result is the task's, so that a trigger may end the task with it."""

    fail_on_failure: bool
    pickle_results: bool
    deferrable: bool | None
    # Of the class until they are set, for the same reason as in __init__.
    implementation: Digest | str = ""
    failure_category: str | None = None
    _runs: str = ""
    _worker: WorkerBackend | None = None
    _killed: bool = False

    def __init__(
        self,
        *,
        node: Node | Mapping[str, Any] | Any | None = None,
        worker_config: WorkerConfig | Mapping[str, Any] | str | Path | None = None,
        fail_on_failure: bool = True,
        pickle_results: bool = False,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        weaker = (kwargs.get("default_args") or {}).get("worker_config")
        super().__init__(**kwargs)
        if worker_config is weaker:
            worker_config = None  # Airflow filled it in from default_args
        dag = self.get_dag()
        folder = os.path.dirname(dag.fileloc) if dag else ""
        self.node = node if is_put_off(node) else as_node(node)
        self.worker_config = as_declared(worker_config, folder)
        self.default_worker_config = as_declared(weaker, folder)
        # Past Airflow's own ``__setattr__``, which looks for XComs: a DAG may have thousands of operators.
        vars(self).update(fail_on_failure=fail_on_failure, pickle_results=pickle_results, deferrable=deferrable)
        self._check_size()

    def describe(self, name: str, *parts: Any) -> None:
        """Say what this operator runs, for the UI and for the version of the DAG."""
        dag = self.get_dag()
        code = [part if isinstance(part, type) or callable(part) else type(part) for part in parts]
        declared = (self.node, self.worker_config, self.default_worker_config)
        settings = (*declared, self.pickle_results, self.fail_on_failure)
        shown = ["(put off)" if is_put_off(part) else _as_text(part) for part in settings]
        bundle = Bundle.around(*code, file=dag.fileloc if dag else None)
        vars(self).update(implementation=Digest([*parts, *shown], bundle, name), _runs=name)

    @property
    def doc_md(self) -> str | None:
        """What Airflow's UI tells of this task: what its author wrote, or else what is declared, put together now.

        Airflow asks for it where it serializes the DAG, and not where it parses the DAG to run one of its tasks.
        """
        given: str | None = vars(self).get("_doc_md")
        if not self._runs or is_documented(vars(self)) or (given and given != self.said_by_decorator()):
            return given
        declared = self.declared()
        return documentation(
            self._runs,
            of=declared.of,
            node=self.node,
            requirements=declared.requirements,
            config=self.worker_config,
            default_config=self.default_worker_config,
        )

    @doc_md.setter
    def doc_md(self, given: str | None) -> None:
        self._doc_md = given

    def said_by_decorator(self) -> str | None:
        """Return the documentation that a decorator gives where less is known than here."""
        return None

    def declared(self) -> Declared:
        """Return what is to run, as far as that is known before the Airflow task runs."""
        return Declared([Pick("", None)], settled=False)

    @abstractmethod
    def prepare(self, context: Context, node: Node | None) -> Work:
        """Return what is to run, when the Airflow task runs and everything is known."""

    def execute(self, context: Context) -> Any:
        """Run it in a worker and return its result."""
        from airflow_provider_tasks.operators import deferral, memory
        from airflow_provider_tasks.operators.log import RunLog, on_node
        from airflow_provider_tasks.operators.outcomes import outcome_xcom
        from airflow_provider_tasks.workers.failures import WorkerError
        from airflow_provider_tasks.workers.outcomes import outcome_of

        log = RunLog(self.log)
        node = as_node(self.node)
        settings = memory.with_memory_of_tries(self, context, self.settings(node))
        limit = memory.limit_of(settings)
        about = {"node": node.name if node else None, "backend": settings.backend, "memory_limit": limit}
        self._worker = self._open(context, node, settings, log)
        if self._killed:
            self._worker.kill()
        with memory.planned(self, context, limit):
            with self._worker as worker:
                self._tell_where(context, worker, settings, node)
                if settings.config.terminate_on_completion is False and settings.backend == "local":
                    self._register_kept(context, worker, settings, node)
                try:
                    work = self.prepare(context, node)
                    about |= {"implementation": work.implementation, "worker": worker.name}
                    self.log.info("Running %s%s", work.implementation, on_node(node))
                    log.group("Settings", settings.lines())
                    if settings.backend == "kubernetes":
                        log.note(worker.place)
                    request = self._request(context, node, settings, work, worker.environment)
                    deferral.defer_where_asked(self, worker, settings, request, about)
                    outcome = worker.run(request, log.output)
                except WorkerError as error:
                    self.push_outcome(context, outcome_xcom(outcome_of(error), **about))
                    raise
                finally:
                    log.close()
            return self.end(context, outcome, about | {"worker": worker.name}, log)

    def end(self, context: Context, outcome: Outcome, about: Mapping[str, Any], log: RunLog) -> Any:
        """Log and keep what came of it; return its result, or raise what it is for Airflow."""
        from airflow_provider_tasks.operators.outcomes import outcome_xcom

        log.result(about["worker"], outcome, about.get("memory_limit"))
        outcome = self.conclude(context, outcome)
        self.push_outcome(context, outcome_xcom(outcome, **about))
        return self.finish(outcome)

    def resume(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Go on when the triggerer has seen the worker end; see :mod:`airflow_provider_tasks.operators.deferral`."""
        from airflow_provider_tasks.operators import deferral

        return deferral.resume(self, context, event)

    def push_outcome(self, context: Context, outcome: dict[str, Any]) -> None:
        """Push the XCom ``outcome``."""
        self.failure_category = outcome["category"] if outcome["status"] == "failure" else None
        if self.do_xcom_push:
            context["ti"].xcom_push("outcome", redact(outcome))

    def _request(
        self, context: Context, node: Node | None, settings: Settings, work: Work, here: Environment
    ) -> Request:
        from airflow_provider_tasks.operators.context import context_variables, on_behalf_of, worker_context
        from airflow_provider_tasks.workers.requests import complete

        here = {**here, "grouped": True}  # the log is Airflow's
        return complete(
            work.request,
            settings,
            requirements=work.requirements,
            context=worker_context(context, node),
            variables=context_variables(),
            here=here,
            email=on_behalf_of(context),
            pickle_results=self.pickle_results,
        )

    def _open(self, context: Context, node: Node | None, settings: Settings, log: RunLog) -> WorkerBackend:
        from airflow_provider_tasks.workers.opening import Owner, open_worker

        ti = context["ti"]
        map_index = -1 if ti.map_index is None else ti.map_index
        return open_worker(
            settings,
            Owner(ti.dag_id, ti.run_id, ti.task_id, map_index, ti.try_number),
            node=node,
            # Whoever clears a task wants it to run anew, also where the pod of an earlier try still runs.
            implementation=lambda: f"{self.implementation} {context['dag_run'].clear_number or 0}",
            timeout=self.execution_timeout.total_seconds() if self.execution_timeout else None,
            ends_with_parent=True,  # Airflow's supervisor of the task: without it the task runs again elsewhere
            on_note=log.note,
            on_trouble=log.trouble,
        )

    def _tell_where(self, context: Context, worker: WorkerBackend, settings: Settings, node: Node | None) -> None:
        """Push where the worker is, for Airflow's UI; the worker starts meanwhile."""
        if self.do_xcom_push and not self._killed:
            from airflow_provider_tasks.operators.whereabouts import whereabouts

            ti = context["ti"]
            ti.xcom_push("worker", whereabouts(worker, settings, node))
            link = WorkerLink()
            ti.xcom_push(link.xcom_key, link.get_link(self, ti_key=ti))

    def _register_kept(self, context: Context, worker: WorkerBackend, settings: Settings, node: Node | None) -> None:
        from pathlib import Path

        from airflow_provider_tasks.workers.kept import Record

        ti = context["ti"]
        owner: dict[str, Any] = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id}
        owner |= {"map_index": -1 if ti.map_index is None else ti.map_index, "try_number": ti.try_number}
        Record.of(settings, node, worker.name, Path(worker.place), owner).write(settings)
        self.log.info(
            "The worker is kept for %.0f s, as terminate_on_completion=False says: Worker.get(%r), in %s",
            settings.keep_seconds,
            worker.name,
            worker.place,
        )

    def on_kill(self) -> None:
        """End the worker: every process of it."""
        self._killed = True
        if self._worker is not None:
            self._worker.kill()

    def conclude(self, context: Context, outcome: Outcome) -> Outcome:
        """Return what came of it by ``outcome``, which is the worker's; here it is the same."""
        return outcome

    def finish(self, outcome: Outcome) -> Any:
        """Return the result of ``outcome``, or raise what it is for Airflow."""
        from airflow_provider_tasks.operators.outcomes import to_error
        from airflow_provider_tasks.workers.outcomes import traceback_lines

        if outcome.status == "skipped":
            raise AirflowSkipException(outcome.message)
        if outcome.is_success:
            result = outcome.result if self.fail_on_failure else _result("Success", outcome.result)
            return to_xcom(result)
        for line in traceback_lines(outcome.exceptions):
            self.log.error("%s", line)
        error = to_error(outcome)
        if not self.fail_on_failure and outcome.category == "task" and outcome.retry:
            self.log.warning("%s; the Airflow task succeeds, as fail_on_failure=False says", error.summary)
            return failure_xcom(outcome)
        raise error

    def own_worker_config(self, node: Node | None) -> WorkerConfig | None:
        """Return what the work itself says of its worker; the node's settings and the operator's are stronger."""
        return None

    def declared_settings(self, node: Node | None) -> list[tuple[str, Any]]:
        """Return the settings that the DAG gives, from weak to strong, each after the name of where it stands."""
        return [
            ("default_args", self.default_worker_config),
            ("the pipeline's environment", self.own_worker_config(node)),
            (f"the node {node.name}" if node else "the node", node[NODE_CONFIG] if node is not None else None),
            ("the task's worker_config", self.worker_config),
        ]

    def settings(self, node: Node | None) -> Settings:
        """Return what the worker is."""
        from airflow_provider_tasks.workers.connections import connection_settings
        from airflow_provider_tasks.workers.settings import Installation, resolve

        layers = [WorkerConfig.of(layer) for _, layer in self.declared_settings(node)]
        dag = self.get_dag()
        # Not where it is declared: a DAG holds no path of the machine that read it.
        folder = os.path.dirname(dag.fileloc) if dag else ""
        return resolve(Installation.read(), layers, connection_settings, folder)

    def _check_size(self) -> None:
        """Refuse, where the DAG is parsed, a size that there is not."""
        own = self.node[NODE_CONFIG] if isinstance(self.node, Node) else None
        declared = (self.worker_config, self.default_worker_config, as_declared(own))
        found = [config.get("worker_size") for config in declared if isinstance(config, Mapping)]
        names = {str(name) for name in found if name is not None and not is_put_off(name)}
        if names:
            from airflow_provider_tasks.workers.settings import read_sizes
            from airflow_provider_tasks.workers.sizes import find_size

            for name in sorted(names):
                find_size(name, read_sizes())


def failure_xcom(outcome: Outcome) -> Any:
    """Return the ``Failure`` that a failed ``outcome`` is, for an XCom."""
    return to_xcom(_result("Failure", redact(outcome.result if outcome.has_result else outcome.message)))


def as_declared(config: Any, folder: str = "") -> Any:
    """Return ``config`` as plain data, checked as far as it is known; a file's path starts at ``folder``."""
    if config is None or (is_put_off(config) and not isinstance(config, Mapping)):
        return config
    if isinstance(config, (str, os.PathLike)):
        config = os.path.join(folder, os.path.expanduser(config))
    return WorkerConfig.of(config).to_dict() or None


def check_declared(config: Any) -> None:
    """Refuse wrong settings before there is an operator; a file is read when there is one, whose DAG says where."""
    if not isinstance(config, (str, os.PathLike)):
        as_declared(config)


def _as_text(setting: Any) -> str:
    """Return plain data, or a node, as text that is the same in every process."""
    if setting is None or isinstance(setting, bool):
        return str(setting)
    return _JSON.encode(setting.to_json() if isinstance(setting, Node) else setting)


_JSON = json.JSONEncoder(sort_keys=True, default=repr)


def _result(kind: str, value: Any) -> dict[str, Any]:
    return {"result_type": kind, "result": value}
