"""What runs inside a worker: standard library, cloudpickle and returns only, Python 3.9 and newer.

Read it from the wire up: :mod:`protocol` (the two messages), :mod:`values` (what a result looks like on the
wire), :mod:`environment` (what runs before the task), :mod:`executor` (the process of the user's code),
:mod:`supervisor` (the process that watches it), :mod:`main` (how a worker is started).
"""
