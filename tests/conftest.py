"""What all tests share: the test kit, settings that are nobody's, and Hypothesis without a clock."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time

import pytest
from hypothesis import HealthCheck, settings

# The kit gives Airflow a home of its own.
pytest_plugins = ["airflow_provider_tasks.testing", "pytester"]

for _name in [name for name in os.environ if name.startswith("AIRFLOW__")]:
    del os.environ[_name]
_cache = tempfile.mkdtemp(prefix="airflow-provider-tasks-tests-")
atexit.register(shutil.rmtree, _cache, ignore_errors=True)
os.environ["AIRFLOW__WORKER_TASKS__CACHE_FOLDER"] = _cache

# A busy machine must not fail a test.
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")

SLOW = 60
"""Seconds beyond which a part of a test is named as soon as it has ended."""


class SaidAtOnce:
    """Prints failures, and tests that took long, when they happen: a run that is cancelled prints no summary."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed or report.duration > SLOW:
            what = "failed" if report.failed else "slow"
            self._terminal.ensure_newline()
            self._terminal.write_line(
                f"{time.strftime('%H:%M:%S')} {what}: {report.nodeid} ({report.when}, {report.duration:.0f} s)"
            )
            if report.failed:
                self._terminal.write_line(report.longreprtext[-4000:])


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    # The one that prints: not a process of xdist, which hands its reports over.
    if os.environ.get("CI") and terminal is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SaidAtOnce(terminal))
