"""What goes wrong with dispatchers, graphs, nodes and results: a class for each thing to handle differently."""

from __future__ import annotations


class DispatchError(ValueError):
    """A dispatcher gave no task for a node; the message names both and says what came instead."""


class ExperimentFormatError(ValueError):
    """JSON does not describe an experiment or a part of one; the message says where."""


class GraphError(ValueError):
    """A graph of tasks breaks a rule; the message names the rule, the tasks and a way out."""


class NodeFormatError(ValueError):
    """JSON or a file does not describe nodes; the message says where, and in a file on which line."""


class NodeLimitError(RuntimeError):
    """An endless node pool was asked for more nodes than its soft limit allows."""


class ResultFormatError(ValueError):
    """A mapping is not the JSON form of a ``Result``."""
