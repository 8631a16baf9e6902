"""What a pipeline's tasks need around them: an image or the worker as it is, commands, environment variables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_tasks.model.describe import describe, describe_arguments

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_tasks.model.reading import Source


class EnvironmentDefinition(ABC):  # noqa: PLW1641 - it can change: no hash, like a list
    """What must be in place before a pipeline's first task runs; equal to another of the same kind and content.

    Args:
        commands: Shell commands, in order. A deployment runs them before the requirements of the tasks.
        env_variables: Environment variables of all tasks.

    Raises:
        TypeError: If a command, a variable's name or its value is no string.
        ValueError: If a command or a variable's name is blank, or the name holds ``=``.
    """

    def __init__(self, commands: Iterable[str] = (), env_variables: Mapping[str, str] | None = None) -> None:
        self.commands: list[str] = _checked_commands(commands)
        self.env_variables: dict[str, str] = _checked_variables({} if env_variables is None else env_variables)

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if type(self) is type(other) else NotImplemented

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({describe_arguments([], {key: item for key, item in vars(self).items() if item})})"
        )

    @abstractmethod
    def copy(self) -> EnvironmentDefinition:
        """Return a copy that shares nothing with it; what was set since it was made is checked.

        >>> DockerImage("debian:13", ["make"]).copy()
        DockerImage(image='debian:13', commands=['make'])
        """

    def to_json(self) -> dict[str, Any]:
        """Write the definition as JSON.

        Returns:
            ``type`` (the class) and what such a definition is made of; it shares nothing with it.

        >>> ShellExecution(["make"]).to_json()
        {'type': 'ShellExecution', 'commands': ['make'], 'env_variables': {}}
        """
        return {"type": type(self).__name__, **vars(self.copy())}


class ShellExecution(EnvironmentDefinition):
    """Tasks run in the worker as it is, after some commands; arguments as for any environment definition.

    >>> ShellExecution(["apt-get install -y tcpdump"], {"LEVEL": "3"})
    ShellExecution(commands=['apt-get install -y tcpdump'], env_variables={'LEVEL': '3'})
    """

    def copy(self) -> ShellExecution:
        """Return a copy that shares nothing with it."""
        return ShellExecution(self.commands, self.env_variables)


class DockerImage(EnvironmentDefinition):
    """Tasks run in a container of an image; arguments as for any environment definition, and the image.

    Args:
        image: The image's name; None is the worker's own.
        commands: Shell commands, in order.
        env_variables: Environment variables of all tasks.

    >>> DockerImage(image="python:3.12")
    DockerImage(image='python:3.12')
    >>> DockerImage(["make"])
    Traceback (most recent call last):
    ...
    TypeError: an image's name is a string, found list: ['make']; commands go into commands=[…]
    """

    def __init__(
        self,
        image: str | None = None,
        commands: Iterable[str] = (),
        env_variables: Mapping[str, str] | None = None,
    ) -> None:
        self.image = image
        super().__init__(commands, env_variables)
        if image is not None and not isinstance(image, str):
            raise TypeError(
                f"an image's name is a string, found {type(image).__name__}: {describe(image)}; "
                "commands go into commands=[…]"
            )
        if image is not None and not image.strip():
            raise ValueError(f"the image's name is blank: {image!r}; expected some text, or None")

    def copy(self) -> DockerImage:
        """Return a copy that shares nothing with it."""
        return DockerImage(self.image, self.commands, self.env_variables)


def check_environment_definition(found: object) -> None:
    """Refuse anything but an environment definition.

    Raises:
        TypeError: If it is something else.

    >>> check_environment_definition("debian:13")
    Traceback (most recent call last):
    ...
    TypeError: environment_definition is 'debian:13'; expected DockerImage(image=…) or ShellExecution(…)
    """
    if not isinstance(found, EnvironmentDefinition):
        raise TypeError(
            f"environment_definition is {describe(found)}; expected DockerImage(image=…) or ShellExecution(…)"
        )


def read_environment_definition(source: Source) -> EnvironmentDefinition:
    """Read a definition from where it stands in a document.

    Args:
        source: The value and its place.

    Raises:
        NodeFormatError: If a key is unknown or missing, or a value is of another type or unknown.

    >>> from airflow_provider_tasks.model.reading import Source
    >>> read_environment_definition(Source({"type": "DockerImage", "image": "debian:13"}, "experiment"))
    DockerImage(image='debian:13')
    """
    from airflow_provider_tasks.model.suggest import did_you_mean

    source.expect_keys(["type"], ["commands", "env_variables", "image"])
    kind = source.key("type")
    if kind.text() not in ("DockerImage", "ShellExecution"):
        raise kind.error(f"{kind.value!r} is unknown; {did_you_mean(kind.value, ['DockerImage', 'ShellExecution'])}")
    source.expect_keys(["type"], ["commands", "env_variables", *(["image"] if kind.value == "DockerImage" else [])])
    content = {key: item for key, item in source.value.items() if key != "type"}
    try:
        return DockerImage(**content) if kind.value == "DockerImage" else ShellExecution(**content)
    except (TypeError, ValueError) as error:
        raise source.error(f"is wrong: {error}") from error


def _checked_commands(commands: Iterable[str]) -> list[str]:
    if not isinstance(commands, (list, tuple)):
        raise TypeError(f"commands are of type {type(commands).__name__}: {commands!r}; expected a list of commands")
    for command in commands:
        if not isinstance(command, str):
            raise TypeError(f"a command is of type {type(command).__name__}: {command!r}; expected a string")
        if not command.strip():
            raise ValueError(f"a command is blank: {command!r}; expected some text")
    return list(commands)


def _checked_variables(variables: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(variables, Mapping):
        raise TypeError(
            f"env_variables are of type {type(variables).__name__}: {variables!r}; "
            "expected a mapping of names to strings"
        )
    for name, value in variables.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"the environment variable {name!r} is {value!r}; expected strings: {str(value)!r}")
        if not name.strip() or "=" in name:
            raise ValueError(f"an environment variable is named {name!r}; expected some text without '='")
    return dict(sorted(variables.items()))
