"""The outcome tells of an exception what Python's own traceback would."""

from __future__ import annotations

import sys

import pytest

from .conftest import deferrable_too

needs_notes = pytest.mark.skipif(sys.version_info < (3, 11), reason="notes and groups came with Python 3.11")


@pytest.fixture
def options():
    return {"shared": True}


def inner(value):
    return 1 / value


def outer():
    return inner(0)


@deferrable_too
def test_frames_are_the_users_alone_with_their_source(run):
    [error] = run(outer).outcome.exceptions
    assert (error.type, error.message) == ("ZeroDivisionError", "division by zero")
    assert [(frame.function, frame.source) for frame in error.frames] == [
        ("outer", "return inner(0)"),
        ("inner", "return 1 / value"),
    ]
    assert {frame.file for frame in error.frames} == {__file__}
    assert error.frames[0].line == outer.__code__.co_firstlineno + 1


def test_a_chain_is_told_the_oldest_first(run):
    def chained():
        try:
            try:
                inner(0)
            except ZeroDivisionError as error:
                raise ValueError("second") from error
        except ValueError:
            raise KeyError("third")

    errors = run(chained).outcome.exceptions
    assert [error.type for error in errors] == ["ZeroDivisionError", "ValueError", "KeyError"]
    assert [error.relation for error in errors] == ["cause", "context", ""]


def test_a_suppressed_context_is_not_told(run):
    def suppressed():
        try:
            inner(0)
        except ZeroDivisionError:
            raise ValueError("alone") from None

    assert [error.type for error in run(suppressed).outcome.exceptions] == ["ValueError"]


@needs_notes
def test_notes_are_told(run):
    def noted():
        error = ValueError("bad row")
        error.add_note("in line 7")
        raise error

    assert run(noted).outcome.exceptions[-1].notes == ("in line 7",)


@deferrable_too
@needs_notes
def test_the_members_of_a_group_are_told(run):
    def grouped():
        raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])

    error = run(grouped).outcome.exceptions[-1]
    assert (error.type, error.message) == ("ExceptionGroup", "several (2 sub-exceptions)")
    assert error.notes == ("| ValueError: one", "| KeyError: 'two'")


class Broken(Exception):
    def __str__(self):
        raise SystemExit


class Strange(Exception):
    __notes__ = 5

    @property
    def exceptions(self):
        raise RuntimeError


@pytest.mark.parametrize("kind", [Broken, Strange])
def test_an_exception_that_can_not_be_told_is_told_as_far_as_it_can(run, kind):
    def raises():
        raise kind("text")

    outcome = run(raises).outcome
    assert outcome.category == "task"
    assert outcome.message.startswith(kind.__name__)
    assert outcome.exceptions[-1].type.endswith(kind.__name__)


@deferrable_too
def test_text_that_no_database_takes_is_shown(run):
    def raises():
        raise ValueError("\0 \ud800 ü")

    assert run(raises).outcome.message == "ValueError: \\x00 \\ud800 ü"


@deferrable_too
def test_a_deep_recursion_keeps_both_ends(run):
    def deep(n):
        return deep(n + 1)

    error = run(deep, 0).outcome.exceptions[-1]
    assert error.type == "RecursionError"
    assert len(error.frames) == 61
    assert "frames left out" in error.frames[30].function


def test_a_chain_that_bites_its_tail_ends(run):
    def circular():
        first, second = ValueError("first"), ValueError("second")
        first.__cause__, second.__cause__ = second, first
        raise first

    assert [error.message for error in run(circular).outcome.exceptions] == ["second", "first"]


def test_an_exception_that_can_not_be_pickled_is_told(run):
    def raises():
        import threading

        error = ValueError("holds a lock")
        error.lock = threading.Lock()
        raise error

    assert run(raises).outcome.message == "ValueError: holds a lock"
