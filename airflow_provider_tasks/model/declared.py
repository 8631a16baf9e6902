"""What ``Task`` and ``TaskDispatcher`` share: instances that are whole before ``__init__`` has run."""

from __future__ import annotations

import inspect
from abc import ABC
from typing import TYPE_CHECKING

from airflow_provider_tasks.model.describe import describe_arguments

if TYPE_CHECKING:
    from typing import Self


class Declared(ABC):
    """A class that people subclass without calling ``super().__init__()``.

    An instance knows the arguments it was made with (as text: the arguments themselves are not kept), is
    equal to itself only, and can be a key of a dict. ``@dataclass`` leaves that as it is; a subclass that
    writes ``__eq__``, ``__hash__`` or ``__repr__`` itself has its own.

    >>> class Probe(Declared):
    ...     def __init__(self, address, count=1): ...
    >>> Probe("8.8.8.8", count=3)
    Probe('8.8.8.8', count=3)
    """

    _arguments: str

    def __new__(cls, *args: object, **kwargs: object) -> Self:  # noqa: D102 - the class says it
        if cls.__abstractmethods__:
            missing = ", ".join(f"{name}()" for name in sorted(cls.__abstractmethods__))
            raise TypeError(
                f"{cls.__name__} has no {missing}: define it in {cls.__name__}, "
                "or make an instance of a subclass that defines it"
            )
        instance = super().__new__(cls)
        # Through __dict__: a frozen dataclass refuses assignment, a property has no setter.
        instance.__dict__["_arguments"] = describe_arguments(args, kwargs)
        return instance

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        # @dataclass replaces these three unless the class has them in its own namespace.
        for name in ("__eq__", "__hash__", "__repr__"):
            setattr(cls, name, _inherited(cls, name))

    def __eq__(self, other: object) -> bool:
        return True if self is other else NotImplemented

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._arguments})"


def _inherited(cls: type, name: str) -> object:
    # What a user wrote somewhere between cls and Declared goes before what Declared put there.
    ours = vars(Declared)[name]
    for base in cls.__mro__[: cls.__mro__.index(Declared)]:
        found = vars(base).get(name, ours)
        if found is not ours:
            return found
    return ours


def signature_without_self(cls: type, name: str) -> inspect.Signature | None:
    """Read how a method of a class is called on an instance.

    Args:
        cls: The class.
        name: The method's name.

    Returns:
        Its signature without ``self``; ``None`` where it can't be known, as for a decorator's bare
        ``(*args, **kwargs)``.

    Raises:
        TypeError: If it is no method, or one that lacks ``self``.

    >>> class Probe:
    ...     def run(self, x): ...
    >>> signature_without_self(Probe, "run")
    <Signature (x)>
    """
    found = inspect.getattr_static(cls, name)
    function = found.__func__ if isinstance(found, (staticmethod, classmethod)) else found
    if not callable(function):
        raise TypeError(
            f"{cls.__name__}.{name} is of type {type(found).__name__}; expected a method: def {name}(self, …)"
        )
    if not inspect.isfunction(function):
        return None
    signature = inspect.signature(function)
    if isinstance(found, staticmethod):
        return signature
    parameters = list(signature.parameters.values())
    if not parameters or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise TypeError(f"{cls.__name__}.{name}{signature} lacks self; write def {name}(self, …)")
    if parameters[0].kind is inspect.Parameter.VAR_POSITIONAL:
        return None
    return signature.replace(parameters=parameters[1:])
