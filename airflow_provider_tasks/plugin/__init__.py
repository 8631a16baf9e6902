"""Airflow's side: the pages of workers, nodes and executed notebooks in Airflow's UI."""
