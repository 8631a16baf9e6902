"""The cluster takes the manifests, and in a pod of theirs a worker has what it needs and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tasks.runtime.pod import PARTS, RUNTIME, WORK
from airflow_provider_tasks.workers.kubernetes.identity import Identity
from airflow_provider_tasks.workers.sizes import WorkerSize
from tests.kubernetes.cluster import TestCluster, wait_until
from tests.kubernetes.test_pod import MANIFESTS, manifest, with_worker


@pytest.mark.parametrize("path", sorted(MANIFESTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_cluster_takes_every_manifest_and_all_that_is_in_it(cluster: TestCluster, path: Path) -> None:
    import yaml

    sent = yaml.safe_load(path.read_text())
    taken = cluster.admin.request("POST", cluster.admin.path("Pod"), body=sent, dryRun="All").json()
    # What an API server does not know it leaves out, and says nothing.
    assert missing(sent, taken) == []


def missing(sent: Any, taken: Any, place: str = "") -> list[str]:
    """The places of `sent` that are not in `taken`, to which the API server added its own defaults."""
    if isinstance(sent, dict):
        return [
            fault for key, item in sent.items() for fault in missing(item, (taken or {}).get(key), f"{place}.{key}")
        ]
    if isinstance(sent, list):
        pairs = zip(sent, [*(taken or ()), *[None] * len(sent)], strict=False)
        return [fault for index, (one, other) in enumerate(pairs) for fault in missing(one, other, f"{place}[{index}]")]
    return [] if sent == taken else [f"{place}: sent {sent!r}, taken {taken!r}"]


WRITES = f"""
import getpass, os, tempfile
os.makedirs(os.environ["TMPDIR"])
for name in ("{WORK}/file", os.path.expanduser("~/other"), tempfile.mkstemp()[1]):
    with open(name, "w") as file:
        file.write("written")
    assert name.startswith("{WORK}/"), name
for name in ("/file", "/tmp/file", "{PARTS}/part-000", "{RUNTIME}"):
    try:
        open(name, "a")
    except OSError:
        pass
    else:
        raise AssertionError(name + " can be written")
print(os.getuid(), os.getgid(), os.getcwd(), getpass.getuser())
print(open("{PARTS}/part-000").read(), open("{RUNTIME}").read())
print([line.split()[1] for line in open("/proc/self/status") if line.startswith(("NoNewPrivs", "Seccomp:", "CapBnd"))])
print(os.path.exists("/var/run/secrets/kubernetes.io"))
"""

IS_ROOT = """
import os, socket, subprocess
os.chown("/usr/share", 1234, 1234)
os.chmod("/usr/share", 0o4755)
assert os.stat("/usr/share").st_uid == 1234
child = subprocess.Popen(["sleep", "60"], user=1234, group=1234, extra_groups=[])
assert os.stat(f"/proc/{child.pid}").st_uid == 1234
child.kill()
print(os.getuid(), child.wait(), os.environ["USER"])
open("/airflow/scratch/file", "w").close()
try:
    socket.sethostname("x")
except OSError as error:
    print(error.strerror)
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("NoNewPrivs")])
"""


def run_in(cluster: TestCluster, folder: Path, dag_id: str, code: str, config: dict[str, Any]) -> list[str]:
    """Run Python code in a pod with these settings, and give its output."""
    identity = Identity("airflow", dag_id, "manual__1", "count")
    config = {"worker_image": cluster.image, "image_pull_policy": "IfNotPresent", **config}
    made = manifest(folder, config, identity=identity, command=["python3", "-I", "-S", "-c", code],
                    runtime_secret=f"{dag_id}-runtime", size=WorkerSize(memory=128 * 2**20))  # fmt: skip
    for name, key in ((f"{dag_id}-runtime", "runtime.pyz"), (f"{identity.name}-0", "part-000")):
        metadata = {"name": name}
        cluster.admin.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {key: key}})
    cluster.admin.create(made)
    ended = wait_until(lambda: has_ended(cluster, identity.name), what="the end of the pod")
    output = cluster.admin.log(identity.name).decode()
    assert ended["status"]["phase"] == "Succeeded", output
    cluster.admin.delete("Pod", identity.name, grace=0)
    return output.splitlines()


def has_ended(cluster: TestCluster, name: str) -> dict[str, Any] | None:
    found = cluster.admin.get("Pod", name)
    return found if found and found["status"]["phase"] in ("Succeeded", "Failed") else None


def test_a_worker_can_write_where_it_should_with_a_read_only_root_file_system(
    cluster: TestCluster, tmp_path: Path
) -> None:
    override = with_worker(securityContext={"readOnlyRootFilesystem": True})
    lines = run_in(cluster, tmp_path, "pod-writes", WRITES, {"pod_override": override})
    assert lines == [
        "50000 50000 /airflow/scratch worker",
        "part-000 runtime.pyz",
        "['0000000000000000', '1', '2']",
        "False",
    ]


def test_root_can_do_what_apt_does_and_no_more(cluster: TestCluster, tmp_path: Path) -> None:
    lines = run_in(cluster, tmp_path, "pod-root", IS_ROOT, {"run_as_root": True})
    assert lines == ["0 -9 root", "Operation not permitted", "['1']"]


def test_a_variable_comes_out_of_a_secret(cluster: TestCluster, tmp_path: Path) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "database"}}
    cluster.admin.create({**secret, "stringData": {"password": "swordfish"}})
    code = "import os; print(os.environ['DB_PASSWORD'])"
    assert run_in(cluster, tmp_path, "pod-secret", code, {"secrets": {"DB_PASSWORD": "database/password"}}) == [
        "swordfish"
    ]
