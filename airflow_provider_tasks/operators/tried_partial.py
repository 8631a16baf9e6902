"""What ``partial`` of ``ScriptOperator`` and ``NotebookOperator`` returns: each instance is tried where it is declared.

What :mod:`airflow_provider_tasks.operators.partial` checks is one argument; here it is most of them, and what they come
to is in files. So the operators themselves are made, as Airflow makes them when they run, and thrown away.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.mappedoperator import MappedOperator, OperatorPartial

from airflow_provider_tasks.operators.base import is_put_off
from airflow_provider_tasks.workers.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self

    from airflow_provider_tasks.operators.files import FileOperator


class TriedPartial(OperatorPartial):
    """Arguments of an operator that is going to be mapped."""

    operator_class: type[FileOperator]

    @classmethod
    def of(cls, make: Callable[..., OperatorPartial], kwargs: dict[str, Any]) -> Self:
        """Return what ``make``, Airflow's ``partial``, makes of these arguments, as one of this class."""
        made = make(**kwargs)
        made._expand_called = True  # it warns where it is never expanded, and this one is not going to be
        return cls(operator_class=made.operator_class, kwargs=made.kwargs, params=made.params)

    def expand(self, **mapped_kwargs: Any) -> MappedOperator:
        """Make an Airflow task for each value; see Airflow's ``expand``."""
        self._expand_called = True  # also where what follows raises: nothing was forgotten then
        mapped = super().expand(**mapped_kwargs)
        columns = {name: list(_each(values)) for name, values in mapped_kwargs.items()}
        alone = self.operator_class.alone
        for name in alone & columns.keys():
            self._check_alone({name: value} for value in columns.pop(name))
        instances = itertools.product(*columns.values())
        return self._tried(mapped, (dict(zip(columns, values, strict=True)) for values in instances))

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> MappedOperator:
        """Make an Airflow task for each mapping of arguments; see Airflow's ``expand_kwargs``."""
        self._expand_called = True
        mapped = super().expand_kwargs(kwargs, strict=strict)
        # Where nothing is known of the arguments of an instance, what they have in common is.
        known = kwargs if isinstance(kwargs, (list, tuple)) else [{}]
        instances = [given if isinstance(given, Mapping) else {} for given in known]
        self._check_alone(instances)
        alone = self.operator_class.alone
        others: list[Mapping[str, Any]] = []
        for given in instances:
            other = {name: value for name, value in given.items() if name not in alone}
            if other not in others:
                others.append(other)
        return self._tried(mapped, others)

    def _check_alone(self, instances: Iterable[Mapping[str, Any]]) -> None:
        """Check the arguments that have nothing to do with others: an instance for each value would take long."""
        for given in instances:
            for name in self.operator_class.alone & given.keys():
                self.operator_class.check_value(name, given[name])

    def _tried(self, mapped: MappedOperator, instances: Iterable[Mapping[str, Any]]) -> MappedOperator:
        """Refuse an instance that can't be made, and have the DAG hold the digest of all of them."""
        made = [one for one in (self._made(mapped, given) for given in instances) if one is not None]
        if made:
            names = sorted({str(one.file_name) for one in made})
            name = os.path.basename(names[0]) if len(names) == 1 else f"{len(names)} files"
            mapped.partial_kwargs["implementation"] = Digest([one.implementation for one in made], name=name)
        return mapped

    def _made(self, mapped: MappedOperator, given: Mapping[str, Any]) -> FileOperator | None:
        """Make an instance as far as its arguments are known; None where its file is not."""
        what, where = self.operator_class.what, self.operator_class.where
        if what not in given and what not in self.kwargs:
            return None
        if any(is_put_off(given.get(name)) for name in where):
            return None
        later = (what, *self.operator_class.template_fields)
        known = {name: value for name, value in given.items() if name in later or not is_put_off(value)}
        return mapped.unmap(known)  # type: ignore[return-value]


def _each(values: Any) -> Iterable[Any]:
    """Yield what Airflow maps over, as each instance gets it; what is not known yet is itself the one value."""
    if isinstance(values, dict):
        return values.items()
    return values if isinstance(values, (list, tuple)) else [values]
