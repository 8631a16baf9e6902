from airflow.sdk import Variable  # a worker has no Airflow, and has no use for this line

FACTOR = 10


def times(number: int) -> int:
    return number * FACTOR


def default_variable() -> object:
    return Variable
