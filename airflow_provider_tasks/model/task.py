"""``Task`` and ``TaskDispatcher``: the work, and the choice of the work for a node."""

from __future__ import annotations

import dataclasses
import inspect
import types
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.model.declared import Declared, signature_without_self
from airflow_provider_tasks.model.foreign import derives_from

if TYPE_CHECKING:
    from typing import Self

    from airflow_provider_tasks.model.node import Node
    from airflow_provider_tasks.model.results import Result


class Task(Declared):
    """A piece of work that runs in a worker.

    Subclass it, take arguments in ``__init__``, do the work in ``run``. ``__init__`` runs where the DAG is
    parsed, ``run`` in the worker. ``super().__init__()`` need not be called. Tasks are equal by identity,
    also as dataclasses, so that two equal-looking ones can stand in one pipeline.

    Args:
        name: What the task is called in a pipeline's results; the class's name unless given.

    Raises:
        TypeError: When a subclass is made whose ``run`` takes arguments or whose ``requirements`` are not a
            list of commands, and when an instance is made of a class that has no ``run``.
        ValueError: For a blank name or requirement.

    >>> class Ping(Task):
    ...     requirements = ["pip install icmplib"]
    ...     def __init__(self, address, count=1):
    ...         self.address = address
    ...         self.count = count
    ...     def run(self):
    ...         return f"{self.count} x {self.address}"
    >>> ping = Ping("8.8.8.8", count=3).add_requirement("apt-get install -y iputils-ping")
    >>> ping, ping.name, ping()
    (Ping('8.8.8.8', count=3), 'Ping', '3 x 8.8.8.8')
    >>> ping.requirements
    ['pip install icmplib', 'apt-get install -y iputils-ping']
    >>> Ping.requirements
    ['pip install icmplib']
    """

    requirements: list[str] = []  # noqa: RUF012 - instances get a copy, and a ClassVar could not be set on them
    """Shell commands that must have run before the task does. Those of an instance are its own list."""

    name: str
    """What the task is called."""

    previous_steps: dict[str, list[Result[Any, Any]]]
    """What ran before in a pipeline, as the results of each task by its name, first ended first."""

    def __new__(cls, *args: object, **kwargs: object) -> Self:  # noqa: D102 - the class says it
        instance = super().__new__(cls, *args, **kwargs)
        instance.__dict__.update(name=cls.__name__, requirements=_class_requirements(cls), previous_steps={})
        return instance

    def __init__(self, name: str | None = None) -> None:
        if name is not None:
            self.name = _line(name, f"the name of a {type(self).__name__}")

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        _class_requirements(cls)
        if inspect.getattr_static(cls, "run") is vars(Task)["run"]:
            return  # abstract; instances are refused
        signature = signature_without_self(cls, "run")
        if signature is not None and signature.parameters:
            raise TypeError(
                f"{cls.__name__}.run takes arguments: {signature}. A worker calls run() without any; "
                "take them in __init__, keep them on self, and write def run(self)"
            )

    @classmethod
    def __subclasshook__(cls, subclass: type) -> bool:
        # Tasks written for netunicorn are tasks wherever one is expected.
        return (cls is Task and derives_from(subclass, "Task")) or NotImplemented

    @abstractmethod
    def run(self) -> Any:
        """Do the work; called in the worker, without arguments. May be ``async``.

        Returns:
            What becomes the result. Any value is a success, a ``Result`` is kept as it is.

        Raises:
            Exception: Whatever it raises is a failure.

        >>> class Answer(Task):
        ...     def run(self):
        ...         return 42
        >>> Answer().run()
        42
        """

    def __call__(self) -> Any:
        """Call ``run()``.

        Returns:
            What ``run()`` returns.

        >>> class Answer(Task):
        ...     def run(self):
        ...         return 42
        >>> Answer()()
        42
        """
        return self.run()

    def add_requirement(self, command: str) -> Self:
        """Add a shell command that must have run before this task; other instances are left alone.

        Args:
            command: A command for the worker's shell.

        Returns:
            The task itself.

        Raises:
            TypeError: If it is not a string.
            ValueError: If it is blank.

        >>> class Answer(Task):
        ...     def run(self):
        ...         return 42
        >>> Answer().add_requirement("pip install numpy").requirements
        ['pip install numpy']
        """
        checked = _line(command, f"a requirement of {self!r}")
        # A new list, past a frozen dataclass: a shallow copy of the task shares the old one.
        object.__setattr__(self, "requirements", [*self.requirements, checked])
        return self


class TaskDispatcher(Declared):
    """Picks the task for a node, while the DAG is being built.

    Subclass it and define ``dispatch``. ``super().__init__()`` need not be called. Requirements belong to the
    tasks that ``dispatch`` returns.

    Raises:
        TypeError: When a subclass is made whose ``dispatch`` can't be called with just a node, or that has
            ``requirements``; and when an instance is made of a class that has no ``dispatch``.

    >>> class Say(Task):
    ...     def __init__(self, word):
    ...         self.word = word
    ...     def run(self):
    ...         return self.word
    >>> class Greet(TaskDispatcher):
    ...     def dispatch(self, node):
    ...         return Say(f"hello {node['city']}")
    >>> from airflow_provider_tasks.model.node import Node
    >>> Greet(), Greet().dispatch(Node("edge", {"city": "Oslo"}))
    (Greet(), Say('hello Oslo'))
    """

    def __init__(self) -> None:
        # Without it object.__init__ would take, and drop, any argument.
        pass

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "requirements" in vars(cls):
            raise TypeError(
                f"{cls.__name__} has requirements, but a dispatcher runs in no worker; "
                "give them to the tasks that its dispatch returns"
            )
        dispatch = inspect.getattr_static(cls, "dispatch")
        if dispatch is vars(TaskDispatcher)["dispatch"]:
            return  # abstract; instances are refused
        if inspect.iscoroutinefunction(dispatch):
            raise TypeError(
                f"{cls.__name__}.dispatch is async; it is called while the DAG is built: write def dispatch"
            )
        signature = signature_without_self(cls, "dispatch")
        try:
            if signature is not None:
                signature.bind(object())
        except TypeError as error:
            raise TypeError(
                f"{cls.__name__}.dispatch can't be called with just a node: {signature}. "
                "Take other arguments in __init__ and write def dispatch(self, node)"
            ) from error

    @classmethod
    def __subclasshook__(cls, subclass: type) -> bool:
        return (cls is TaskDispatcher and derives_from(subclass, "TaskDispatcher")) or NotImplemented

    @abstractmethod
    def dispatch(self, node: Node) -> Task:
        """Return the task that is to run on a node.

        Args:
            node: Where it is to run.

        Returns:
            An instance of a task.

        >>> from airflow_provider_tasks.model.node import Node
        >>> class Say(Task):
        ...     def run(self):
        ...         return "hello"
        >>> class Greet(TaskDispatcher):
        ...     def dispatch(self, node):
        ...         return Say()
        >>> Greet().dispatch(Node("edge"))
        Say()
        """


def _class_requirements(cls: type[Task]) -> list[str]:
    for base in cls.__mro__:
        declared = vars(base).get("requirements")
        # A field of a dataclass, before and after its decorator has run: its __init__ sets the list.
        if declared is None or isinstance(declared, (dataclasses.Field, types.MemberDescriptorType)):
            continue
        return check_requirements(declared, base.__name__)
    return []


def check_requirements(declared: object, owner: str) -> list[str]:
    """Return requirements as a list of their own.

    Raises:
        TypeError: If they are no list of strings.
        ValueError: If one is blank.

    >>> check_requirements(("make",), "Build")
    ['make']
    """
    if not isinstance(declared, (list, tuple)):
        raise TypeError(
            f"{owner}.requirements is of type {type(declared).__name__}: {declared!r}; "
            "expected a list of shell commands"
        )
    return [_line(command, f"a requirement in {owner}.requirements") for command in declared]


def _line(text: object, what: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{what} is of type {type(text).__name__}: {text!r}; expected a string")
    if not text.strip():
        raise ValueError(f"{what} is blank: {text!r}; expected some text")
    return text
