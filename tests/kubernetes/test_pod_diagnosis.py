"""What recorded statuses, events and refusals are explained as; each file of `statuses/` says whence it is."""

from __future__ import annotations

import copy
import json
import random
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_tasks.runtime.outcome import Outcome
from airflow_provider_tasks.runtime.protocol import CATEGORIES
from airflow_provider_tasks.workers.diagnosis import diagnose
from airflow_provider_tasks.workers.pod_diagnosis import explain_refusal, startup_trouble
from tests.kubernetes.provoked_statuses import CASES, REFUSALS

FOLDER = Path(__file__).parent / "statuses"
RECORDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}
PODS = [name for name, record in RECORDS.items() if "pod" in record]


class Told(NamedTuple):
    """What a status is explained as: `start` is whether it keeps the pod from starting, and for good."""

    category: str
    retry: bool
    start: str
    summary: str
    advice: str


WAITS, FINAL, NONE = "waits", "final", ""
EXPECTED = {
    "beside-image-not-found": Told("image", False, FINAL, "the registry does not have it", "is not the worker's"),
    "beside-out-of-memory": Told("memory", True, NONE, "container 'proxy' of", "that container more memory"),
    "config-not-read-yet": Told("cluster", True, WAITS, "can't read yet what", "tries again"),
    "create-container-slow": Told("cluster", True, WAITS, "context deadline exceeded", "tries again by itself"),
    "deadline": Told("timeout", True, NONE, "ran into its time limit of 2 s", "Raise time_limit"),
    "deadline-while-pulling": Told("timeout", True, NONE, "before its worker had started (last event: Pul", "Raise"),
    "deleted": Told("killed", True, NONE, "on node localhost was deleted while its worker ran", "a drain of the node"),
    "deleted-after-its-end": Told("killed", True, NONE, "had ended and before its outcome was read", "new pod"),
    "deleted-before-its-start": Told("killed", True, WAITS, "was deleted before its worker had started", "new pod"),
    "deleting": Told("killed", True, NONE, "was deleted while its worker ran", "An administrator"),
    "disrupted-otherwise": Told("evicted", True, NONE, "the cluster ended pod disrupted-otherwise", "another node"),
    "drained": Told("evicted", True, NONE, "as when its node is drained", "safe-to-evict"),
    "evicted-at-admission": Told("evicted", True, NONE, "[DiskPressure]", "may find a better one"),
    "evicted-by-api": Told("killed", True, NONE, "was deleted while its worker ran", "a drain of the node"),
    "evicted-disk": Told("evicted", True, NONE, "low on resource: ephemeral-storage", "short of disk"),
    "evicted-memory": Told("evicted", True, NONE, "low on resource: memory", "larger worker_size"),
    "evicted-memory-old": Told("evicted", True, NONE, "exceeds its request of 1Gi", "larger worker_size"),
    "evicted-storage": Told("evicted", True, NONE, "exceeds the total limit of containers 4Mi", "write less"),
    "evicted-volume": Told("evicted", True, NONE, 'EmptyDir volume "work" exceeds the limit "4Mi"', "sizeLimit"),
    "evicting-memory": Told("evicted", True, NONE, "low on resource: memory", "larger worker_size"),
    "eviction-cancelled": Told("killed", True, NONE, "ended with exit code 3", "last lines of its output"),
    "exit-127": Told("image", False, NONE, "exit code 127", "Python 3.9 or newer as python3"),
    "exit-3": Told("killed", True, NONE, "ended with exit code 3 before it reported an outcome", "last lines of its"),
    "failed-otherwise": Told("cluster", True, NONE, "does not know pod level resources", "Trying again"),
    "image-backoff-not-found": Told("image", False, FINAL, "the registry does not have it", "Correct worker_image"),
    "image-denied": Told("image", False, FINAL, "does not have it, or refuses it", "image_pull_secrets"),
    "image-manifest-unknown": Told("image", False, FINAL, "the registry does not have it", "Correct worker_image"),
    "image-never-pulled": Told("image", False, FINAL, "imagePullPolicy is Never", "image_pull_policy"),
    "image-no-credentials": Told("image", False, FINAL, "no basic auth credentials", "image_pull_secrets"),
    "image-not-found": Told("image", False, FINAL, "the registry does not have it", "Correct worker_image"),
    "image-numeric-user": Told("configuration", False, FINAL, "user 'airflow' where a number", "run_as_root=True"),
    "image-other-processor": Told("image", False, FINAL, "not made for the processor of node", "architecture"),
    "image-pull-backoff": Told("image", True, FINAL, "no such host", "the cluster's nodes can reach it"),
    "image-pull-no-network": Told("image", True, WAITS, "no such host", "the cluster's nodes can reach it"),
    "image-rate-limit": Told("image", True, WAITS, "reached your pull rate limit", "may pull more often"),
    "image-registry-unavailable": Told("image", True, WAITS, "pull QPS exceeded", "Wait"),
    "image-signature": Told("image", False, FINAL, "no signature that the node accepts", "signed"),
    "image-unauthorized": Told("image", False, FINAL, "refuses it (unexpected status code", "image_pull_secrets"),
    "init-container": Told("configuration", True, NONE, "init container 'prepare' of", "pod_template_file"),
    "invalid-image-name": Told("image", False, FINAL, "repository name must be lowercase", "Correct worker_image"),
    "lost-node": Told("node_lost", True, NONE, "node localhost, which ran pod lost-node, st", "node_selector"),
    "missing-config-map": Told("configuration", False, FINAL, "ConfigMap 'absent', which its namespace", "Create"),
    "missing-key": Told("configuration", False, FINAL, "Secret 'settings', which has no key 'password'", "secrets"),
    "missing-secret": Told("configuration", False, FINAL, "Secret 'absent', which its namespace does not", "secrets"),
    "mount-attached-elsewhere": Told("unschedulable", True, WAITS, "volume 'pvc-1' of", "Wait until the pod that"),
    "mount-config-map": Told("configuration", False, FINAL, "map needs ConfigMap 'absent'", "volumes"),
    "mount-driver": Told("configuration", True, FINAL, "efs.csi.example.com not found", "Correct the volume"),
    "mount-key": Told("configuration", False, FINAL, "a Secret, which has no key 'tls.crt'", "volumes"),
    "mount-own-request": Told("cluster", True, WAITS, "its Secret 'mount-own-request-0'", "allowed to create"),
    "mount-own-runtime": Told("cluster", True, WAITS, "waits for its Secret 'airflow-worker-runtime-", "Secrets"),
    "mount-passed": Told("image", True, NONE, "still being pulled (last event: Pulling image", "startup_timeout"),
    "mount-secret": Told("configuration", False, FINAL, "needs Secret 'absent'", "Create or complete Secret 'absent'"),
    "mount-secret-at-first": Told("configuration", False, WAITS, "needs Secret 'absent'", "volumes"),
    "no-python": Told("image", False, NONE, "pause:1 of pod no-python has no python3", "has Python 3.9 or newer"),
    "no-python-old": Told("image", False, NONE, "has no python3", "has Python 3.9 or newer as python3"),
    "no-right-to-run": Told("image", False, NONE, "may not run /opt/python3 of the image", "run_as_root=True"),
    "no-seccomp-profile": Told("configuration", False, FINAL, "cannot load seccomp profile", "pod_override"),
    "node-container-unknown": Told("node_lost", True, NONE, "node worker-7, which ran pod node-co", "another node"),
    "node-gone-at-start": Told("node_lost", True, WAITS, "stopped answering before", "runs on another node"),
    "node-lost-old": Told("node_lost", True, NONE, "which ran pod node-lost-old, stopped answering", "another node"),
    "node-not-ready": Told("node_lost", True, NONE, "stopped answering", "another node"),
    "node-removed": Told("node_lost", True, NONE, "is gone from the cluster", "another node"),
    "node-shutdown": Told("node_lost", True, NONE, "was shut down", "spot"),
    "node-shutdown-old": Told("node_lost", True, NONE, "was shut down", "another node"),
    "node-shutdown-rejected": Told("node_lost", True, NONE, "was shut down", "another node"),
    "node-unknown-phase": Told("node_lost", True, NONE, "stopped answering", "another node"),
    "node-unreachable": Told("node_lost", True, NONE, "or was closed to it by a NoExecute taint", "another node"),
    "other-container": Told("payload", False, NONE, "container 'proxy' beside it ended with exit code 5", "runtime"),
    "other-processor": Told("image", False, NONE, "is made for another processor", "architecture"),
    "out-of-memory-at-start": Told("memory", False, NONE, "limit of 4Mi is too small", "larger worker_size"),
    "out-of-memory-largest": Told("memory", True, NONE, "its limit of 128 GiB", "worker_size (at least 256 GiB)"),
    "out-of-memory-limit": Told("memory", True, NONE, "its limit of 64 MiB", "worker_size ('X-Small' has 1 GiB)"),
    "out-of-memory-no-limit": Told("memory", True, NONE, "the node ran out of memory", "Choose a worker_size"),
    "preempted": Told("evicted", True, NONE, "a pod of higher priority (team-a/more-important)", "priority_class_name"),
    "preempted-by-kubelet": Told("evicted", True, NONE, "make room for a pod of higher priority", "priority_class"),
    "preempted-by-scheduler": Told("evicted", True, NONE, "make room for a pod of higher", "priority_class_name"),
    "pulling": Told("image", True, NONE, "its image is still being pulled", "startup_timeout"),
    "refused-credentials": Told("configuration", False, NONE, "does not know the user", "Renew"),
    "refused-invalid": Told("configuration", False, NONE, 'Invalid value: "a b"', "Mend the setting"),
    "refused-limit-range": Told("configuration", False, NONE, "is 1Gi, but limit is 2Gi", "a smaller worker_size"),
    "refused-namespace": Told("configuration", False, NONE, "no namespace 'no-such-team'", "namespace"),
    "refused-no-limit": Told("configuration", False, NONE, "say its limits.memory,requests.memory", "worker_size"),
    "refused-pod-security": Told("configuration", False, NONE, "'restricted:latest'", "run_as_root"),
    "refused-policy": Told("configuration", False, NONE, "policy 'no-latest' of the cluster", "rules"),
    "refused-priority": Told("configuration", False, NONE, "no PriorityClass 'urgent'", "priority_class_name"),
    "refused-quota": Told("unschedulable", False, NONE, "limits.memory: 2Gi asked for, 0 of 1Gi", "for this pod alone"),
    "refused-quota-used": Told("unschedulable", True, NONE, "pods: 1 asked for, 10 of 10 in use", "Wait until others"),
    "refused-role": Told("configuration", False, NONE, "'airflow' of the Kubernetes connection may not create", "Role"),
    "refused-security-policy": Told("configuration", False, NONE, "no PodSecurityPolicy", "run_as_root"),
    "refused-service-account": Told("configuration", False, NONE, "no ServiceAccount 'none'", "service_account_name"),
    "refused-terminating": Told("configuration", False, NONE, "'team-a' is being deleted", "another namespace"),
    "refused-too-many": Told("cluster", True, NONE, "answered 429: Too many requests", "Trying again"),
    "refused-webhook": Told("configuration", False, NONE, "'validation.gatekeeper.sh' of the cluster refuses", "rules"),
    "refused-webhook-down": Told("cluster", True, NONE, "'rules.example.com', which every pod", "administrator"),
    "refused-webhook-silent": Told("configuration", False, NONE, "'rules.example.com' of the cluster refuses", "rules"),
    "rejected-device": Told("unschedulable", True, NONE, "no healthy devices present", "Trying again"),
    "rejected-labels": Told("unschedulable", True, NONE, "not the labels that node_selector", "node_selector"),
    "rejected-memory": Told("unschedulable", True, NONE, "too little memory is free", "worker_size"),
    "rejected-pods": Told("unschedulable", True, NONE, "as many pods as allowed", "Trying again"),
    "root-image": Told("configuration", False, FINAL, "runs as root, and pod root-image may not", "run_as_root=True"),
    "run-container-error": Told("image", False, FINAL, "has no python3", "Python 3.9 or newer"),
    "sandbox": Told("configuration", False, FINAL, 'no runtime for "none" is configured', "runtimeClassName"),
    "sandbox-network": Told("cluster", True, WAITS, "no IP addresses available", "another node"),
    "scaled-down": Told("evicted", True, NONE, "the cluster removed the node", "safe-to-evict"),
    "sigkill": Told("killed", True, NONE, "ended with signal SIGKILL before", "a node short of memory"),
    "signal-number": Told("killed", True, NONE, "ended with signal SIGSEGV", "crashed"),
    "sigsegv": Told("killed", True, NONE, "ended with signal SIGSEGV", "made for the node's processor"),
    "sigterm": Told("killed", True, NONE, "ended with signal SIGTERM", "who sent the signal"),
    "start-error": Told("configuration", True, NONE, 'can\'t be started: chdir to cwd ("/nowhere")', "pod_override"),
    "still-running": Told("cluster", True, NONE, "still runs, as far as the cluster knows", "Trying again"),
    "succeeded": Told("payload", False, NONE, "ended well and reported no outcome", "before it could write one"),
    "unschedulable-affinity": Told("unschedulable", True, WAITS, "asked for (zone in a/b)", "Change affinity"),
    "unschedulable-claim": Told("configuration", False, WAITS, "PersistentVolumeClaim 'data', which", "volumes"),
    "unschedulable-claim-unbound": Told("unschedulable", True, WAITS, "2 of 2 without a volume", "storage class"),
    "unschedulable-cpu-and-memory": Told("unschedulable", True, WAITS, "cpu free (64 asked for), 1 of 1", "a smaller"),
    "unschedulable-gate": Told("unschedulable", True, WAITS, "holds it back", "A queue of the cluster"),
    "unschedulable-gpu": Told("unschedulable", True, WAITS, "too little nvidia.com/gpu free (1 asked", "tolerations"),
    "unschedulable-memory": Told("unschedulable", True, WAITS, "memory free (900Gi asked", "a smaller worker_size"),
    "unschedulable-no-nodes": Told("unschedulable", True, WAITS, "the cluster has none", "add nodes"),
    "unschedulable-no-scale-up": Told("unschedulable", True, WAITS, "the cluster adds none (pod didn't", "smaller"),
    "unschedulable-node-unwell": Told("unschedulable", True, WAITS, "1 of 3 short of disk, 2 of 3 not ans", "get well"),
    "unschedulable-preempting": Told("unschedulable", True, WAITS, "are leaving node worker-7 for it", "worker_size"),
    "unschedulable-selector": Told("unschedulable", True, WAITS, "labels asked for (pool=gpu)", "Change node_selector"),
    "unschedulable-strange": Told("unschedulable", True, WAITS, "queue team-a is closed", "Check node_selector"),
    "unschedulable-taint-old": Told("unschedulable", True, WAITS, "the taint dedicated=gpu, which", "tolerations"),
    "unschedulable-taints": Told("unschedulable", True, WAITS, "2 of 6 with the taint node-role", "an architecture"),
    "unschedulable-too-many-pods": Told("unschedulable", True, WAITS, "the cluster is adding a node", "Wait"),
    "unschedulable-volume-zone": Told("unschedulable", True, WAITS, "out of reach of a volume", "node_selector"),
}  # fmt: skip


def explained(record):
    """The diagnosis of a record for which the worker reported nothing."""
    if "refusal" in record:
        return explain_refusal(**record["refusal"])
    return diagnose(None, record["pod"], record["events"], deleted=record["deleted"])


@pytest.mark.parametrize("name", RECORDS)
def test_a_status_is_explained_with_its_cause_and_its_fix(name):
    diagnosis, expected = explained(RECORDS[name]), EXPECTED[name]
    assert (diagnosis.category, diagnosis.retry) == (expected.category, expected.retry)
    assert expected.summary in diagnosis.summary
    assert expected.advice in diagnosis.advice


@pytest.mark.parametrize("name", PODS)
def test_what_keeps_a_pod_from_starting_is_told_while_it_waits(name):
    record, expected = RECORDS[name], EXPECTED[name]
    trouble = startup_trouble(record["pod"], record["events"])
    assert ("" if trouble is None else FINAL if trouble.final else WAITS) == expected.start
    if trouble is not None and not record["deleted"]:
        told = (trouble.category, trouble.summary, trouble.advice, trouble.retry)
        assert told == explained(record), "who gives up waiting is told the same"


@pytest.mark.parametrize("name", RECORDS)
def test_an_explanation_is_a_line_that_needs_no_kubectl(name):
    diagnosis = explained(RECORDS[name])
    assert diagnosis.category in CATEGORIES
    assert "\n" not in diagnosis.summary + diagnosis.advice
    assert "kubectl" not in diagnosis.summary + diagnosis.advice
    assert "rpc error" not in diagnosis.summary
    assert not diagnosis.summary.endswith(".")
    assert diagnosis.advice.endswith(".")


@pytest.mark.parametrize("name", PODS)
def test_an_explanation_names_the_pod_or_its_image(name):
    pod = RECORDS[name]["pod"]
    summary = explained(RECORDS[name]).summary
    assert pod["metadata"]["name"] in summary or pod["spec"]["containers"][0]["image"] in summary


def test_every_status_is_expected_and_says_whence_it_is():
    assert set(RECORDS) == set(EXPECTED)
    assert {name for name, record in RECORDS.items() if record["recorded"]} >= {*CASES, *REFUSALS}
    for record in RECORDS.values():
        assert record["what"]
        assert record["from"]
        assert len(json.dumps(record)) < 5000


@pytest.mark.parametrize(
    ("words", "told", "fix"),
    [("1 node(s) didn't match node selector", "1 of 2 without the labels asked for", "node_selector"),
     ("2 node(s) didn't match the requested node name", "2 of 2 of another name than the one asked for", "nodeName"),
     ("2 node(s) didn't match the requested hostname", "2 of 2 of another name than the one asked for", "nodeName"),
     ("2 Insufficient ephemeral-storage", "2 of 2 with too little disk free", "ephemeral-storage in pod_override"),
     ("1 node(s) had taints that the pod didn't tolerate", "1 of 2 with a taint, which", "tolerations"),
     ("1 node(s) had untolerated taint(s)", "1 of 2 with a taint, which the pod does not tolerate", "tolerations"),
     ("1 node(s) had taint {node.kubernetes.io/unschedulable: }, that the pod didn't tolerate", "closed for", "Wait"),
     ("1 node(s) had untolerated taint {node.cloudprovider.kubernetes.io/uninitialized: true}", "not set up", "well"),
     ("2 node(s) were not ready", "2 of 2 not ready", "get well"),
     ("2 node(s) exceed max volume count", "2 of 2 with as many volumes as allowed", "Wait"),
     ("2 node(s) had no available volume zone", "2 of 2 out of reach of a volume", "the volume's zone"),
     ("2 node(s) didn't find available persistent volumes to bind", "without a volume for a Persist", "storage class"),
     ("2 node(s) didn't match pod topology spread constraints", "against the pod's topologySpread", "pod_override"),
     ("2 node(s) didn't match pod affinity/anti-affinity rules", "without the pods beside it", "affinity"),
     ("2 node(s) didn't have free ports for the requested pod ports", "with a port taken that", "hostPort"),
     ("2 node(s) were struck by lightning", "2 of 2 node(s) were struck by lightning", "Check node_selector")],
)  # fmt: skip
@pytest.mark.parametrize(
    "tail", [".", ". preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."]
)
def test_the_words_of_schedulers_old_and_new_are_understood(words, told, fix, tail):
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    condition["message"] = f"0/2 nodes are available: {words}{tail}"
    trouble = startup_trouble({"metadata": {"name": "a"}, "status": {"phase": "Pending", "conditions": [condition]}})
    assert trouble.category == "unschedulable"
    assert told in trouble.summary
    assert trouble.summary.count(" of 2") == 1
    assert fix in trouble.advice


def test_a_signal_without_a_name_is_told_by_its_number():
    record = copy.deepcopy(RECORDS["sigkill"])
    record["pod"]["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] = 128 + 40
    assert "ended with signal 40 before" in explained(record).summary


def test_a_node_that_came_back_is_not_lost():
    record = copy.deepcopy(RECORDS["node-not-ready"])
    record["events"].append({"reason": "Killing", "message": "Stopping", "lastTimestamp": "2026-11-22T00:10:00Z"})
    assert explained({**record, "deleted": True}).category == "killed"


def mounting(name, message, *, lasted, times=1):
    """A pod that waits for a mount which has failed for `lasted` seconds."""
    first, last = "2026-11-22T00:00:00Z", f"2026-11-22T00:{lasted // 60:02}:{lasted % 60:02}Z"
    event = {
        "reason": "FailedMount",
        "message": message,
        "count": times,
        "firstTimestamp": first,
        "lastTimestamp": last,
    }
    state = {"name": "worker", "state": {"waiting": {"reason": "ContainerCreating"}}}
    status = {"phase": "Pending", "containerStatuses": [state]}
    return startup_trouble({"metadata": {"name": name}, "spec": {"nodeName": "a"}, "status": status}, [event])


@pytest.mark.parametrize(("lasted", "final"), [(0, False), (29, False), (30, True), (3000, True)])
def test_a_missing_secret_is_given_half_a_minute_to_appear(lasted, final):
    trouble = mounting("a", 'MountVolume.SetUp failed for volume "x" : secret "s" not found', lasted=lasted)
    assert trouble.final is final


def test_events_without_times_are_counted():
    message = 'secret "s" not found'
    assert not mounting("a", message, lasted=0, times=6).final
    assert mounting("a", message, lasted=0, times=7).final


@pytest.mark.parametrize("secret", ["airflow-x-0", "airflow-x-12", "airflow-worker-runtime-0a1b"])
def test_the_workers_own_secrets_are_waited_for_however_long_it_takes(secret):
    message = f'MountVolume.SetUp failed for volume "request" : secret "{secret}" not found'
    assert mounting("airflow-x", message, lasted=4, times=4) is None
    assert mounting("airflow-x", message, lasted=3000, times=30).final is False


@pytest.mark.parametrize(
    "secret", ["airflow-x", "airflow-x-", "airflow-xy-0", "airflow-x-0-a", "airflow-worker-runtime-"]
)
def test_a_secret_of_a_like_name_is_none_of_the_workers_own(secret):
    assert mounting("airflow-x", f'secret "{secret}" not found', lasted=60).category == "configuration"


def test_events_of_an_earlier_pod_of_the_same_name_do_not_count():
    record = copy.deepcopy(RECORDS["mount-secret"])
    record["pod"]["metadata"]["uid"] = "new"
    for event in record["events"]:
        event["involvedObject"] = {"uid": "old"}
    assert startup_trouble(record["pod"], record["events"]) is None
    for event in record["events"]:
        event["involvedObject"] = {"uid": "new"}
    assert startup_trouble(record["pod"], record["events"]).final


def test_a_pod_that_runs_has_no_trouble_whatever_its_events_say():
    record = RECORDS["still-running"]
    assert startup_trouble(record["pod"], RECORDS["mount-secret"]["events"]) is None


def test_nothing_known_is_told_as_such():
    diagnosis = diagnose(None)
    assert (diagnosis.category, diagnosis.retry) == ("cluster", True)
    assert diagnosis.summary == "the worker's pod reported nothing, and the cluster does not know it"
    assert diagnose(None, deleted=True).category == "killed"
    assert startup_trouble(None) is None


KEYS = sorted(
    {key for record in RECORDS.values() for key in re.findall(r'"(\w+)":', json.dumps(record))}
    | {"uid", "series", "count", "lastObservedTime", "involvedObject", "signal"}
)
FOUND = sorted(
    {text for record in RECORDS.values() for text in json.dumps(record).split('"') if text and len(text) < 200}
)
TEXTS = st.text(st.characters()) | st.sampled_from(FOUND) | st.lists(st.sampled_from(FOUND), max_size=4).map(" ".join)
RUBBISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.datetimes().map(lambda time: time.isoformat()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | TEXTS, inner, max_size=5),
    max_leaves=30,
)


def check(outcome, pod, events, deleted):
    """Whatever comes in, an explanation comes out that a log and a database take."""
    diagnosis = diagnose(outcome, pod, events, deleted=deleted)
    trouble = startup_trouble(pod, events)
    for told in (diagnosis, trouble):
        assert told is None or told.category in CATEGORIES
        assert told is None or (told.summary and told.advice)
        assert told is None or "\0" not in told.summary.encode("utf-8").decode() + told.advice
        assert told is None or len(told.summary) < 10_000


OUTCOMES = st.none() | st.sampled_from(CATEGORIES).map(lambda category: Outcome("failure", category, "x", signal=9))


@given(outcome=OUTCOMES, pod=RUBBISH, events=RUBBISH, deleted=st.booleans())
def test_rubbish_is_explained_as_far_as_it_goes(outcome, pod, events, deleted):
    check(outcome, pod, events, deleted)


def spoil(value, rubbish, chance):
    """Put rubbish in places of JSON that `chance` chooses."""
    if chance.random() < 0.06:
        return chance.choice(rubbish)
    if isinstance(value, dict):
        return {key: spoil(item, rubbish, chance) for key, item in value.items()}
    return [spoil(item, rubbish, chance) for item in value] if isinstance(value, list) else value


@settings(max_examples=500)
@given(
    outcome=OUTCOMES, name=st.sampled_from(PODS), other=st.sampled_from(PODS), deleted=st.booleans(),
    rubbish=st.lists(RUBBISH, min_size=1, max_size=4), seed=st.integers(0, 2**32),
)  # fmt: skip
def test_a_status_with_rubbish_in_it_is_explained_as_far_as_it_goes(outcome, name, other, deleted, rubbish, seed):
    chance = random.Random(seed)
    pod, events = (spoil(RECORDS[of][key], rubbish, chance) for of, key in ((name, "pod"), (other, "events")))
    check(outcome, pod, events, deleted)


@given(code=st.integers(), message=RUBBISH)
def test_a_refusal_of_rubbish_is_explained_as_far_as_it_goes(code, message):
    diagnosis = explain_refusal(code, message)
    assert diagnosis.category in CATEGORIES
    assert diagnosis.summary
