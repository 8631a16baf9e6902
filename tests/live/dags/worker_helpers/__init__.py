"""Modules beside the DAG files, which a worker can't import."""
