"""What all tests share: an Airflow home that is nobody's, and Hypothesis without a clock."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

from hypothesis import HealthCheck, settings

# Before anything imports Airflow, which makes its home when it is imported.
_home = tempfile.mkdtemp(prefix="airflow-provider-tasks-tests-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ["AIRFLOW_HOME"] = _home
for _name in [name for name in os.environ if name.startswith("AIRFLOW__")]:
    del os.environ[_name]
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = os.path.join(_home, "dags")
os.environ["AIRFLOW__WORKER_TASKS__CACHE_FOLDER"] = os.path.join(_home, "cache")
os.makedirs(os.path.join(_home, "dags"))

# A busy machine must not fail a test.
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")
