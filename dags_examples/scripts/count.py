"""Counts the words of the parameter ``text``."""

import os

from words import count

from airflow_provider_tasks import set_result

if __name__ == "__main__":
    set_result(count(os.environ["text"]))
