"""Why the API server does not take a pod."""

from __future__ import annotations

import re

from airflow_provider_tasks.workers.pod_diagnosis.facts import find, shortened, text
from airflow_provider_tasks.workers.pod_diagnosis.records import ADVICE, Diagnosis
from airflow_provider_tasks.workers.quantities import parse_quantity

_RULES = (
    "The cluster's own rules refuse it: change the setting, in WorkerConfig or pod_override, or have the rules changed."
)
_SECURITY = (
    "Leave out of run_as_root, volumes and pod_override what the namespace does not allow, or take another namespace."
)


def explain_refusal(code: int, message: object) -> Diagnosis:
    """Explain why the API server did not take a pod.

    Args:
        code: the HTTP status.
        message: the ``message`` of the Status that came with it.

    >>> explain_refusal(403, 'pods "a" is forbidden: no PriorityClass with name urgent was found').summary
    "the cluster has no PriorityClass 'urgent'"

    """
    said = text(message)
    # The pod's name is Airflow's own; what follows it is the reason.
    reason = re.sub(r"^.*? is (?:forbidden|invalid): (?:: )?", "", said)
    if "failed calling webhook" in said:
        webhook = find(r'failed calling webhook "([^"]+)"', said)
        summary = f"the admission webhook {webhook!r}, which every pod of the cluster must pass, does not answer"
        return Diagnosis("cluster", summary, "Its administrator has to mend it; trying again may find it well.", True)
    if code not in (400, 401, 403, 404, 422):
        told = f": {shortened(said)}" if said else ""
        return Diagnosis("cluster", f"the cluster's API answered {code}{told}", *ADVICE["cluster"])
    return (
        _by_quota(reason)
        or _by_policy(reason)
        or _by_name(reason)
        or _by_role(code, said)
        or _refused(f"the cluster refuses the pod: {shortened(reason, 500) or code}", ADVICE["configuration"][0])
    )


def _refused(summary: str, advice: str) -> Diagnosis:
    return Diagnosis("configuration", summary, advice, retry=False)


def _by_quota(reason: str) -> Diagnosis | None:
    quota = find(r"exceeded quota: ([^,\s]+)", reason)
    if quota:
        amounts = [_amounts(find(rf"{word}: (\S+?)(?:, \w+:|$)", reason)) for word in ("requested", "used", "limited")]
        requested, used, limited = amounts
        each = [
            f"{name}: {amount} asked for, {used.get(name, '?')} of {limited[name]} in use"
            for name, amount in requested.items()
            if name in limited
        ]
        fits = all(_fits(amount, limited.get(name, "")) for name, amount in requested.items())
        summary = f"quota {quota!r} of the namespace has no room for the pod ({'; '.join(each) or shortened(reason)})"
        advice = (
            "Wait until others have ended, choose a smaller worker_size, or have the quota raised."
            if fits
            else "Choose a smaller worker_size, or have the quota raised: it is too small for this pod alone."
        )
        return Diagnosis("unschedulable", summary, advice, retry=fits)
    quota = find(r"failed quota: ([^:\s]+)", reason)
    if quota:
        wanted = find(r"must specify ([^;]+)", reason)
        summary = f"quota {quota!r} of the namespace wants every pod to say its {shortened(wanted) or 'amounts'}"
        return _refused(summary, "Choose a worker_size, which says them, or say them in pod_override.")
    limit = find(r"(?:maximum|minimum) \S+ usage per (?:Container|Pod) is .*", reason)
    limit = limit or find(r".* limit to request ratio per .*", reason)
    if limit:
        summary = f"a LimitRange of the namespace refuses the pod: {shortened(limit)}"
        larger = limit.startswith("minimum")
        return _refused(
            summary, f"Choose a {'larger' if larger else 'smaller'} worker_size, or have the range changed."
        )
    return None


def _by_policy(reason: str) -> Diagnosis | None:
    level = find(r'violates PodSecurity "([^"]+)"', reason)
    if level:
        why = find(r'violates PodSecurity "[^"]+": (.*)', reason)
        return _refused(f"the namespace holds pods to {level!r} (Pod Security): {shortened(why, 500)}", _SECURITY)
    if "pod security policy" in reason or "no providers available to validate pod" in reason:
        return _refused(f"no PodSecurityPolicy of the cluster allows the pod: {shortened(reason, 500)}", _SECURITY)
    webhook = find(r'admission webhook "([^"]+)" denied the request', reason)
    if webhook:
        why = find(r"denied the request(?:: (.*)| without explanation)", reason)
        told = f": {shortened(why, 500)}" if why else ""
        return _refused(f"the admission webhook {webhook!r} of the cluster refuses the pod{told}", _RULES)
    policy = find(r"ValidatingAdmissionPolicy '([^']+)'", reason)
    if policy:
        why = find(r"denied request: (.*)", reason)
        return _refused(f"policy {policy!r} of the cluster refuses the pod: {shortened(why or reason, 500)}", _RULES)
    return None


def _by_name(reason: str) -> Diagnosis | None:
    name = find(r"no PriorityClass with name (\S+) was found", reason)
    if name:
        return _refused(f"the cluster has no PriorityClass {name!r}", "Correct priority_class_name.")
    name = find(r'serviceaccount "([^"]+)" not found', reason)
    if name:
        advice = "Create it, or correct service_account_name."
        return _refused(f"the namespace has no ServiceAccount {name!r}", advice)
    name = find(r'(?:RuntimeClass|runtimeclass\S*) "([^"]+)" not found', reason)
    if name:
        return _refused(f"the cluster has no RuntimeClass {name!r}", "Correct runtimeClassName in pod_override.")
    name = find(r'namespaces "([^"]+)" not found', reason)
    if name:
        return _refused(f"the cluster has no namespace {name!r}", "Create it, or correct namespace.")
    name = find(r"unable to create new content in namespace (\S+) because it is being terminated", reason)
    if name:
        return _refused(f"the namespace {name!r} is being deleted", "Take another namespace.")
    return None


def _by_role(code: int, said: str) -> Diagnosis | None:
    user = find(r'User "([^"]+)" cannot ', said)
    if user:
        what = find(r'cannot (\w+ resource "[^"]+")', said).replace(" resource", "").replace('"', "")
        namespace = find(r'in the namespace "([^"]+)"', said)
        where = f" in the namespace {namespace!r}" if namespace else ""
        summary = f"the user {user!r} of the Kubernetes connection may not {what or 'do this'}{where}"
        return _refused(summary, "Bind the Role of the documentation to it, or correct namespace.")
    if code == 401:
        return _refused("the cluster does not know the user of the Kubernetes connection", "Renew its credentials.")
    return None


def _amounts(listed: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in listed.split(",") if "=" in part)


def _fits(amount: str, limit: str) -> bool:
    try:
        return parse_quantity(amount) <= parse_quantity(limit)
    except ValueError:
        return True
