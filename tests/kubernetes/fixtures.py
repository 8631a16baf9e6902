"""The fixtures of the real cluster, for every `conftest.py` that wants them.

A conftest imports what it needs::

    from tests.kubernetes.fixtures import breaks_the_cluster, cluster, proxy, use_of_the_cluster  # noqa: F401
    from tests.kubernetes.fixtures import mark_kubernetes

    def pytest_collection_modifyitems(items):
        mark_kubernetes(items)

Everything that uses `cluster` gets the marker `kubernetes`; a test that may get it by `request.getfixturevalue` has to
carry the marker itself (``pytest.param(..., marks=pytest.mark.kubernetes)``). The marker decides who takes part in the
lock that `tests.kubernetes.faults` explains.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.kubernetes.cluster import TestCluster
from tests.kubernetes.faults import UP, ClusterLock, Faults
from tests.kubernetes.proxy import FaultyProxy

_LOCK = pytest.StashKey[ClusterLock]()
_CLUSTER = pytest.StashKey[TestCluster]()


def mark_kubernetes(items: list[pytest.Item]) -> None:
    """Give the marker `kubernetes` to the tests that use the cluster, and keep those that break it together."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "cluster" in names:
            item.add_marker(pytest.mark.kubernetes)
        if "breaks_the_cluster" in names:
            item.add_marker(pytest.mark.breaks_the_cluster)


def _lock(config: pytest.Config) -> ClusterLock:
    if _LOCK not in config.stash:
        config.stash[_LOCK] = ClusterLock(os.environ["TEST_KUBECONFIG"])
    return config.stash[_LOCK]


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TestCluster:
    """A namespace of this process's own in the real cluster; skips where TEST_KUBECONFIG is not set."""
    kubeconfig = os.environ.get("TEST_KUBECONFIG")
    if not kubeconfig:
        pytest.skip("TEST_KUBECONFIG is not set")
    config = request.config
    # One for the whole process, however many conftests import this fixture.
    if _CLUSTER not in config.stash:
        with _lock(config).shared():
            made = TestCluster(kubeconfig, tmp_path_factory.mktemp("cluster"))
            config.add_cleanup(made.close)
            config.stash[_CLUSTER] = made.__enter__()
    return config.stash[_CLUSTER]


@pytest.fixture(autouse=True)
def use_of_the_cluster(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep tests that use the cluster apart from one that breaks it; see `tests.kubernetes.faults`."""
    if request.node.get_closest_marker("kubernetes") is None or not os.environ.get("TEST_KUBECONFIG"):
        yield
        return
    lock = _lock(request.config)
    with lock.exclusive() if "breaks_the_cluster" in request.fixturenames else lock.shared():
        yield


@pytest.fixture
def breaks_the_cluster(use_of_the_cluster: None, cluster: TestCluster) -> Iterator[Faults]:
    """The cluster's own parts, to be killed, stopped and frozen; nobody else uses the cluster meanwhile."""
    if cluster.state is None or not UP.exists():
        pytest.skip("the cluster of TEST_KUBECONFIG is not one of shared/kube, whose parts tests may break")
    faults = Faults(cluster.state, cluster.admin)
    try:
        yield faults
    finally:
        faults.mend()


@pytest.fixture
def proxy(cluster: TestCluster) -> Iterator[FaultyProxy]:
    """A proxy in front of the API server; what uses `proxy.kubeconfig(cluster.token)` goes through it."""
    with FaultyProxy(cluster.kubeconfig) as started:
        yield started
