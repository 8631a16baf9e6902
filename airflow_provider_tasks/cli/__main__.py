"""``python -m airflow_provider_tasks.cli`` is ``airflow-tasks``."""

import sys

from airflow_provider_tasks.cli.command import main

if __name__ == "__main__":
    sys.exit(main())
