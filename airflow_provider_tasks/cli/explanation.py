"""What a DAG file comes to: for each task of this provider its implementation, its worker, and why."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.model.node import Node, as_node
from airflow_provider_tasks.operators.base import Pick, WorkerOperator, is_put_off
from airflow_provider_tasks.operators.partial import referred
from airflow_provider_tasks.operators.task import declared_task
from airflow_provider_tasks.workers.config import WorkerConfig
from airflow_provider_tasks.workers.failures import ConfigurationError
from airflow_provider_tasks.workers.kubernetes.pod import DEFAULT_IMAGE
from airflow_provider_tasks.workers.origins import Origin, origins
from airflow_provider_tasks.workers.settings import Installation
from airflow_provider_tasks.workers.sizes import WorkerSize, describe_size

if TYPE_CHECKING:
    from collections.abc import Iterator

LATER = "known when it runs"
"""What is said of a value that a template or another task gives."""

INSTALLATION = "[worker_tasks] or its default"
UNSET = "unless set"


@dataclass
class Explained:
    """What is known of a task; ``map_index`` is None for one that is not mapped, or mapped over what is not known."""

    task_id: str
    operator: str
    map_index: int | None = None
    mapped_over: str = ""
    node: Node | str | None = None
    picks: list[Pick] = field(default_factory=list)
    requirements: list[str] | None = None
    settings: dict[str, Origin] = field(default_factory=dict)
    size: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """What it is called: its id, and which instance it is."""
        return self.task_id if self.map_index is None else f"{self.task_id}[{self.map_index}]"

    @property
    def backend(self) -> Origin:
        """Where it runs."""
        return self.settings.get("backend", Origin("local", UNSET))

    @property
    def image(self) -> Origin | None:
        """The image of its pod; None where it runs in no pod."""
        found: Origin | None = self.settings.get("worker_image", Origin(DEFAULT_IMAGE, UNSET))
        return None if self.backend.value == "local" else found

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        image = self.image
        return {
            "task_id": self.task_id,
            "map_index": self.map_index,
            "mapped_over": self.mapped_over or None,
            "operator": self.operator,
            "node": self.node.to_json() if isinstance(self.node, Node) else self.node,
            "implementations": [
                {
                    "name": pick.name or None,
                    "implementation": pick.implementation or LATER,
                    "dispatcher": pick.dispatcher,
                }
                for pick in self.picks
            ],
            "requirements": LATER if self.requirements is None else self.requirements,
            "backend": self.backend._asdict(),
            "image": None if image is None else image._asdict(),
            "size": self.size,
            "settings": {name: origin._asdict() for name, origin in self.settings.items()},
            "notes": self.notes,
        }


def explain(dag: Any) -> Iterator[Explained]:
    """Yield what is known of each task of a DAG that runs in a worker, in the order in which they are declared."""
    explainer = _Explainer()
    for operator in dag.tasks:
        if isinstance(operator, WorkerOperator):
            yield explainer.of(operator)
        elif _is_mapped(operator):
            yield from explainer.of_mapped(operator)


class _Explainer:
    """Explains operators; what all have in common is read once."""

    def __init__(self) -> None:
        self._installation = Installation.read()
        self._connections: dict[str, tuple[WorkerConfig, str]] = {}

    def of(self, operator: WorkerOperator) -> Explained:
        node = operator.node
        known = None if is_put_off(node) else as_node(node)
        declared = operator.declared()
        found = Explained(
            task_id=operator.task_id,
            operator=operator.operator_name,
            node=LATER if is_put_off(node) else known,
            picks=list(declared.picks),
            requirements=list(declared.requirements) if declared.settled else None,
        )
        layers = []
        for source, layer in operator.declared_settings(known):
            if is_put_off(layer) and not isinstance(layer, Mapping):
                found.notes.append(f"{source} is {LATER}")
            else:
                layers.append((source, WorkerConfig.of(layer)))
        if is_put_off(node):
            found.notes.append(f"settings of the node are {LATER}")
        self._settle(found, layers)
        return found

    def of_mapped(self, operator: Any) -> Iterator[Explained]:
        """Yield an explanation for each instance that is known, or one for all of them."""
        values = operator._get_specified_expand_input().value
        instances = _instances(values)
        if instances is not None:
            for index, arguments in enumerate(instances):
                found = self.of(_unmapped(operator, arguments))
                found.map_index = index
                yield found
            return
        is_by_name = isinstance(values, Mapping)
        try:
            # What stands for a value that is not known is put off, as it is where the DAG is parsed.
            found = self.of(_unmapped(operator, values if is_by_name else _stand_ins(operator, values)))
        except Exception:  # it takes an argument that nothing can stand for
            found = self._of_partial(operator)
        found.mapped_over = ", ".join(values) if is_by_name else "arguments"
        found.notes.insert(0, f"mapped over {found.mapped_over}: how many there are is {LATER}")
        yield found

    def _of_partial(self, operator: Any) -> Explained:
        """Return what is known of a mapped operator of which no instance can be made."""
        given = operator.partial_kwargs
        picks = declared_task(referred(given["task"]), None).picks if "task" in given else [Pick("", None)]
        found = Explained(operator.task_id, operator.operator_name, node=LATER, picks=list(picks))
        config = given.get("worker_config")
        self._settle(found, [] if is_put_off(config) else [("partial's worker_config", WorkerConfig.of(config))])
        found.notes.append(f"what else there is of its settings is {LATER}")
        return found

    def _settle(self, found: Explained, layers: list[tuple[str, WorkerConfig]]) -> None:
        weakest = (INSTALLATION, self._installation.config)
        conn_id = origins([weakest, *layers]).get("kubernetes_conn_id")
        if conn_id is not None:
            if is_put_off(conn_id.value):
                found.notes.append(f"settings of the connection are {LATER}")
            else:
                config, trouble = self._connection(conn_id.value)
                layers.insert(0, (f"the connection {conn_id.value}", config))
                found.notes += [trouble] if trouble else []
        found.settings = origins([weakest, *layers])
        size = found.settings.get("worker_size")
        if size is None or is_put_off(size.value):
            found.size = LATER if size else describe_size(None, WorkerSize())
            return
        known = self._installation.sizes.get(size.value)
        found.size = describe_size(size.value, known) if known else f"{size.value!r}, which there is not"

    def _connection(self, conn_id: str) -> tuple[WorkerConfig, str]:
        """Return the settings of a connection, or why they are not known here."""
        from airflow_provider_tasks.workers.connections import connection_settings

        if conn_id not in self._connections:
            try:
                self._connections[conn_id] = (connection_settings(conn_id), "")
            except ConfigurationError as error:
                self._connections[conn_id] = (WorkerConfig(), error.summary)
            except Exception as error:
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                told = f"the connection {conn_id} can't be read here, so that its settings are missing: {reason}"
                self._connections[conn_id] = (WorkerConfig(), told)
        return self._connections[conn_id]


def _is_mapped(operator: Any) -> bool:
    kind = getattr(operator, "operator_class", None)
    return isinstance(kind, type) and issubclass(kind, WorkerOperator)


def _instances(values: Any) -> list[dict[str, Any]] | None:
    """Return the arguments of all instances, in Airflow's order; None where there are some that are not known."""
    if isinstance(values, Mapping):
        lists = [list(value.items()) if isinstance(value, Mapping) else value for value in values.values()]
        if not all(isinstance(value, (list, tuple)) for value in lists):
            return None
        return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*lists)]
    if isinstance(values, (list, tuple)) and all(isinstance(value, Mapping) for value in values):
        return [dict(value) for value in values]
    return None


def _stand_ins(operator: Any, value: Any) -> dict[str, Any]:
    """Return ``value``, which is not known yet, for each argument that a decorated function has to be given."""
    function = getattr(operator, "python_callable", None)
    if function is None:
        return {}
    given = operator.partial_kwargs.get("op_kwargs") or {}
    parameters = inspect.signature(function).parameters.values()
    needed = [
        one for one in parameters if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    return {one.name: value for one in needed if one.name not in given}


def _unmapped(operator: Any, arguments: Mapping[str, Any]) -> WorkerOperator:
    """Return one instance of a mapped operator; of a decorated one the arguments are those of its function."""
    is_decorated = hasattr(operator, "op_kwargs_expand_input")
    made: WorkerOperator = operator.unmap({"op_kwargs": arguments} if is_decorated else arguments)
    return made
