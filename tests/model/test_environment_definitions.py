"""What tasks need around them, and what is no such thing."""

from __future__ import annotations

import json

import pytest

from airflow_provider_tasks.model.environment_definition import (
    DockerImage,
    ShellExecution,
    read_environment_definition,
)
from airflow_provider_tasks.model.errors import NodeFormatError
from airflow_provider_tasks.model.reading import Source

DEFINITIONS = [
    ShellExecution(),
    ShellExecution(["make", "make"], {"LEVEL": "3", "A": ""}),
    DockerImage(),
    DockerImage("debian:13"),
    DockerImage(image="debian:13", commands=["make"], env_variables={"LEVEL": "3"}),
]


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_a_definition_survives_json(definition):
    text = json.dumps(definition.to_json())
    twin = read_environment_definition(Source(json.loads(text), "definition"))
    assert twin == definition
    assert type(twin) is type(definition)


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_a_copy_shares_nothing(definition):
    twin = definition.copy()
    assert twin == definition
    twin.commands.append("true")
    twin.env_variables["MORE"] = "1"
    assert twin != definition
    assert "true" not in definition.commands
    assert "MORE" not in definition.env_variables


def test_definitions_of_two_kinds_are_not_equal():
    assert ShellExecution() != DockerImage()
    assert DockerImage("a") != DockerImage("b")
    assert ShellExecution() != "ShellExecution()"


@pytest.mark.parametrize(
    ("definition", "text"),
    [
        (ShellExecution(), "ShellExecution()"),
        (DockerImage("debian:13", ["make"]), "DockerImage(image='debian:13', commands=['make'])"),
        (DockerImage(env_variables={"B": "2", "A": "1"}), "DockerImage(env_variables={'A': '1', 'B': '2'})"),
    ],
)
def test_a_definition_shows_what_it_was_given(definition, text):
    assert repr(definition) == text


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: DockerImage(3), TypeError, "an image's name is a string, found int: 3; commands go into commands=[…]"),
        (lambda: DockerImage(" "), ValueError, "the image's name is blank: ' '; expected some text, or None"),
        (
            lambda: ShellExecution("make"),
            TypeError,
            "commands are of type str: 'make'; expected a list of commands",
        ),
        (lambda: ShellExecution([3]), TypeError, "a command is of type int: 3; expected a string"),
        (lambda: ShellExecution([""]), ValueError, "a command is blank: ''; expected some text"),
        (
            lambda: ShellExecution(env_variables=["A"]),
            TypeError,
            "env_variables are of type list: ['A']; expected a mapping of names to strings",
        ),
        (
            lambda: ShellExecution(env_variables={"A": 1}),
            TypeError,
            "the environment variable 'A' is 1; expected strings: '1'",
        ),
        (
            lambda: ShellExecution(env_variables={"A=": "1"}),
            ValueError,
            "an environment variable is named 'A='; expected some text without '='",
        ),
    ],
)
def test_what_is_wrong_is_said(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == message


def test_what_was_set_later_is_checked_when_it_is_copied():
    definition = DockerImage()
    definition.commands = "make"
    with pytest.raises(TypeError, match=r"^commands are of type str"):
        definition.copy()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "definition: lacks the key 'type'"),
        (
            {"type": "Docker"},
            "definition: type 'Docker' is unknown; did you mean 'DockerImage'? Known: 'DockerImage', ",
        ),
        ({"type": "ShellExecution", "image": "a"}, "definition: image is unknown here; known: 'commands', 'env_"),
        ({"type": "DockerImage", "comands": []}, "definition: comands is unknown here; did you mean 'commands'?"),
        ({"type": "DockerImage", "commands": [3]}, "definition: is wrong: a command is of type int: 3; expected a"),
    ],
)
def test_json_that_is_no_definition_says_where(data, message):
    with pytest.raises(NodeFormatError) as caught:
        read_environment_definition(Source(data, "definition"))
    assert str(caught.value).startswith(message)
