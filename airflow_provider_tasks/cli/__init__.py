"""``airflow-tasks``: tasks, workers, nodes and the installation, from a shell; a module for each subject."""
