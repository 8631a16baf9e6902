"""Airflow's side: the links of a task instance in Airflow's UI. Loaded with the operators, so it loads little."""
