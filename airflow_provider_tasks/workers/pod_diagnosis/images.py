"""Why a container's image can't be had or can't be run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_provider_tasks.workers.pod_diagnosis.facts import find, shortened, text, without_rpc
from airflow_provider_tasks.workers.pod_diagnosis.records import Trouble

if TYPE_CHECKING:
    from airflow_provider_tasks.workers.pod_diagnosis.facts import Facts, State

_OTHER_PROCESSOR = "Choose a worker_image for the node's processor, or give the Node the architecture of the image."
_OVERRIDE = "Correct what pod_override or pod_template_file says of the container."

# What a registry or the network says when asking again may help.
_PASSING = (
    r"no such host|server misbehaving|dial tcp|i/o timeout|timed? ?out|deadline exceeded|connection re(?:fused|set)|"
    r"TLS handshake|unexpected EOF|internal server error|bad gateway|"
    r"service unavailable|no space left|context canceled"
)
_TOO_MANY = r"too ?many ?requests|rate limit|QPS exceeded"
_NO_ACCESS = (
    r"unauthorized|denied|forbidden|no basic auth|authentication required|insufficient_scope|authorization failed|"
    r"invalid username|token has expired"
)
_NOT_THERE = r"not found|manifest unknown|name unknown|does not exist"
_NO_PLATFORM = r"no match for platform|no matching manifest|no image found .*for architecture"


def image_of(state: State, facts: Facts) -> str:
    """Return the image of a container as the pod's spec names it."""
    return (
        shortened(text(facts.container(state.name).get("image")))
        or find(r'image "([^"]+)"', state.message)
        or "(unknown)"
    )


def image_trouble(state: State, facts: Facts) -> Trouble | None:
    """Say why a container that waits has no image; None where it waits for something else."""
    image = image_of(state, facts)
    match state.reason:
        case "InvalidImageName":
            return _image(f"{image!r} is no name of an image: {_end_of(state.message)}", "Correct worker_image.")
        case "ErrImageNeverPull":
            summary = f"the image {image} of {facts.pod} is not on its node, and imagePullPolicy is Never"
            advice = "Set image_pull_policy to IfNotPresent, or choose a worker_image that the node has."
            return _image(summary, advice)
        case "ErrImagePull" | "ImagePullBackOff" | "RegistryUnavailable":
            return _not_pulled(state, facts)
        case "SignatureValidationFailed":
            summary = (
                f"the image {image} of {facts.pod} has no signature that the node accepts: {_end_of(state.message)}"
            )
            return _image(summary, "Choose a worker_image that is signed as the cluster wants it.")
        case "ImageInspectError" | "ErrImageInspect":
            summary = f"the image {image} on node {facts.node} can't be read: {_end_of(without_rpc(state.message))}"
            return _image(summary, "Trying again may take another node.", retry=True)
    return None


def start_error(state: State, facts: Facts) -> Trouble:
    """Explain why a container was made and could not be started."""
    message = without_rpc(state.message)
    image, program = image_of(state, facts), find(r'exec: \\?"([^"\\]+)', message) or "python3"
    if "OOM-killed" in message:
        limit = facts.amount("memory", "limits", state.name)
        summary = f"the memory limit{f' of {limit}' if limit else ''} is too small for {facts.pod} to start"
        return Trouble("memory", summary, "Give it a larger worker_size.", final=True, retry=False)
    if "exec format error" in message:
        return _image(f"the image {image} of {facts.pod_on_node} is made for another processor", _OTHER_PROCESSOR)
    if re.search(r"executable file not found|(?:exec|stat)\b.*: no such file or directory", message):
        advice = "Choose a worker_image that has Python 3.9 or newer as python3."
        return _image(f"the image {image} of {facts.pod} has no {program}", advice)
    if re.search(r"exec: .*permission denied", message):
        summary = f"the user of {facts.pod} may not run {program} of the image {image}"
        return _image(summary, "Choose another worker_image, or set run_as_root=True.")
    told = shortened(re.sub(r"^.*(?:unable to start container process|process caused): ", "", message)) or state.reason
    summary = f"container {state.name!r} of {facts.pod_on_node} can't be started: {told}"
    return Trouble("configuration", summary, _OVERRIDE, final=True, retry=True)


def _image(summary: str, advice: str, *, final: bool = True, retry: bool = False) -> Trouble:
    return Trouble("image", summary, advice, final=final, retry=retry)


def _not_pulled(state: State, facts: Facts) -> Trouble:
    image, answer = image_of(state, facts), _answer(state, facts)
    # Names of images may hold any of the words.
    words = re.sub(r'"[^"]*"|\S*/\S*', " ", answer).replace("i o timeout", "timeout")
    whose = f"the image {image} of {facts.pod}"
    if re.search(_NO_PLATFORM, words, re.IGNORECASE):
        return _image(f"{whose} is not made for the processor of node {facts.node}", _OTHER_PROCESSOR)
    if re.search(_TOO_MANY, words, re.IGNORECASE):
        summary = f"{whose} can't be pulled: {_end_of(answer)}"
        advice = "Wait, or give image_pull_secrets of an account that may pull more often."
        return _image(summary, advice, final=state.reason == "ImagePullBackOff", retry=True)
    passing = state.reason == "RegistryUnavailable" or re.search(_PASSING, words, re.IGNORECASE)
    if not passing and re.search(_NO_ACCESS, words, re.IGNORECASE):
        may_lack = "does not have it, or refuses it" if re.search(_NOT_THERE, words, re.IGNORECASE) else "refuses it"
        summary = f"{whose} can't be pulled: the registry {may_lack} ({_end_of(answer)})"
        return _image(summary, "Correct worker_image, or give image_pull_secrets that may pull it.")
    if not passing and re.search(_NOT_THERE, words, re.IGNORECASE):
        return _image(f"{whose} can't be pulled: the registry does not have it", "Correct worker_image.")
    summary = f"{whose} can't be pulled{f': {_end_of(answer)}' if answer else ''}"
    advice = "Check that worker_image names the right registry, and that the cluster's nodes can reach it."
    return _image(summary, advice, final=state.reason == "ImagePullBackOff", retry=True)


def _answer(state: State, facts: Facts) -> str:
    """Return what the registry or the network said."""
    if state.reason != "ImagePullBackOff":
        return without_rpc(state.message)
    # Newer kubelets append the answer; older ones say only that they wait, and have told it in an event before.
    told = find(r'": \w+: (.*)', state.message)
    events = (event.message for event in reversed(facts.events) if event.message.startswith("Failed to pull image"))
    return without_rpc(told or next(events, ""))


def _end_of(message: str) -> str:
    """Return the end of a message that tells the way to the cause first, each part after a colon."""
    return shortened(": ".join(message.rsplit(": ", 2)[-2:]), 200)
