"""What ``partial`` of an operator returns: as Airflow's, with what is known checked where the DAG is parsed."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.definitions.mappedoperator import MappedOperator, OperatorPartial

from airflow_provider_tasks.model.node import Node
from airflow_provider_tasks.operators.documentation import documentation, is_documented
from airflow_provider_tasks.workers.config import WorkerConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from airflow_provider_tasks.workers.digest import Digest


class Reference:
    """What runs, in the arguments of a mapped operator; its text is what Airflow writes into the DAG."""

    def __init__(self, what: Any, digest: Digest) -> None:
        self.what = what
        self._digest = digest

    def __str__(self) -> str:
        return str(self._digest)


def referred(value: Any) -> Any:
    """Return what a reference stands for; anything else as it is."""
    return value.what if isinstance(value, Reference) else value


class CheckedPartial(OperatorPartial, ABC):
    """Arguments of an operator that is going to be mapped."""

    what: ClassVar[str]
    """The argument that says what runs."""
    names: ClassVar[tuple[str, ...]]
    """The arguments that are checked together."""

    @classmethod
    @abstractmethod
    def refer(cls, what: Any) -> Reference:
        """Check what runs, and return what stands for it in the DAG."""

    @classmethod
    @abstractmethod
    def check(cls, **found: Any) -> None:
        """Check the arguments of one instance as far as they are known."""

    @classmethod
    def documentation(cls, kwargs: Mapping[str, Any]) -> str:
        """Return what is told of all instances in Airflow's UI."""
        what, node, config = (kwargs.get(name) for name in (cls.what, "node", "worker_config"))
        kind = what if isinstance(what, type) else type(what)
        if isinstance(config, WorkerConfig):
            config = config.to_dict()
        return documentation(
            kind.__name__,
            of=kind,
            node=node if isinstance(node, Node) else None,
            requirements=getattr(what, "requirements", ()),
            config=config if isinstance(config, Mapping) else None,
        )

    @classmethod
    def of(cls, make: Callable[..., OperatorPartial], kwargs: dict[str, Any]) -> Self:
        """Return what ``make``, Airflow's ``partial``, makes of these arguments, as one of this class."""
        if cls.what in kwargs:
            if not is_documented(kwargs):
                kwargs["doc_md"] = cls.documentation(kwargs)
            kwargs[cls.what] = cls.refer(kwargs[cls.what])
        made = make(**kwargs)
        made._expand_called = True  # it warns where it is never expanded, and this one is not going to be
        return cls(operator_class=made.operator_class, kwargs=made.kwargs, params=made.params)

    def expand(self, **mapped_kwargs: Any) -> MappedOperator:
        """Make an Airflow task for each value; see Airflow's ``expand``."""
        self._expand_called = True  # also where what follows raises: nothing was forgotten then
        if isinstance(mapped_kwargs.get(self.what), (list, tuple)):
            mapped_kwargs[self.what] = [self.refer(what) for what in mapped_kwargs[self.what]]
        mapped = {name: mapped_kwargs[name] for name in self.names if name in mapped_kwargs}
        if all(isinstance(found, (list, tuple)) for found in mapped.values()):
            for found in itertools.product(*mapped.values()):
                given = {name: self.kwargs.get(name) for name in self.names}
                self.check(**given | dict(zip(mapped, found, strict=True)))
        return super().expand(**mapped_kwargs)

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> MappedOperator:
        """Make an Airflow task for each mapping of arguments; see Airflow's ``expand_kwargs``."""
        self._expand_called = True
        if isinstance(kwargs, (list, tuple)):
            kwargs = [
                {**item, self.what: self.refer(item[self.what])} if self.what in item else item for item in kwargs
            ]
            for item in kwargs:
                self.check(**{name: item.get(name, self.kwargs.get(name)) for name in self.names})
        return super().expand_kwargs(kwargs, strict=strict)
