"""What the API server's refusals mean, and an exception for each that a caller handles differently."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_tasks.workers.failures import BY_CATEGORY, ClusterError, ConfigurationError, WorkerError
from airflow_provider_tasks.workers.pod_diagnosis import explain_refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

ROLE_ADVICE = "Give it the Role of docs/kubernetes.md, which holds the least that is needed."
RETRIED = frozenset({429, 500, 502, 503, 504})
"""Statuses of an API server that may answer otherwise in a while."""


class RefusedError(ClusterError):
    """The API server refused a request, and what to make of it is the caller's to say.

    Attributes:
        status: the HTTP status.
        reason: the API's word for it, as ``NotFound``.
        message: the API server's own words.

    """

    may_pass = False

    def __init__(self, summary: str, advice: str = "", *, status: int = 0, reason: str = "", message: str = "") -> None:
        super().__init__(summary, advice)
        self.status = status
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.summary, self.advice), dict(self.__dict__)


class AlreadyExistsError(RefusedError):
    """There is an object of this name already."""


class NotFoundError(RefusedError):
    """There is no such object."""


class GoneError(RefusedError):
    """The API server no longer knows what happened since this resource version."""


class StreamCutError(ClusterError):
    """A stream ended before its end: the connection was cut, or was silent for too long."""


class Ask(NamedTuple):
    """What is asked of the API server: ``verb`` and ``resource`` are those of a Role.

    ``namespace`` is empty where the whole cluster is asked about.
    """

    verb: str
    resource: str
    namespace: str
    server: str
    name: str = ""

    @property
    def words(self) -> str:
        """What is asked, to be read after ``to``."""
        name = f" {self.name}" if self.name else ""
        place = f"the namespace {self.namespace!r}" if self.namespace else "the cluster"
        return f"{self.verb} {self.resource}{name} in {place}"


class Status(NamedTuple):
    """The API's own ``Status`` object: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/."""

    code: int
    reason: str
    message: str
    details: Mapping[str, Any]

    @classmethod
    def of(cls, document: object, code: int = 0, text: str = "") -> Status:
        """Read one that may be none; ``text`` is what there is instead of a message."""
        found = document if isinstance(document, dict) else {}
        details = found.get("details")
        return cls(
            int(found.get("code") or code),
            str(found.get("reason") or ""),
            str(found.get("message") or text).strip()[:2000],
            details if isinstance(details, dict) else {},
        )

    @classmethod
    def of_body(cls, code: int, body: bytes) -> Status:
        """Read the body of a refusal."""
        try:
            document = json.loads(body)
        except ValueError:
            return cls.of(None, code, body[:500].decode(errors="replace"))
        return cls.of(document, code)


def explain(ask: Ask, status: Status) -> WorkerError:
    """Return the exception that a final refusal comes to."""
    what = f"{ask.server} refused to {ask.words}: {status.code} {status.reason}".rstrip()
    said = f"{what}: {status.message}" if status.message else what
    kinds: dict[int, type[RefusedError]] = {404: NotFoundError, 410: GoneError}
    if status.reason == "AlreadyExists":
        kinds[409] = AlreadyExistsError
    if status.code == 401:
        return ConfigurationError(
            f"{ask.server} refused the credentials (401 Unauthorized), asked to {ask.verb} {ask.resource}",
            "The token or the certificate is wrong or has expired: renew it in the connection or in the kubeconfig.",
        )
    if status.code == 403 and _is_for_want_of_a_role(status):
        return ConfigurationError(
            f"{ask.server} does not allow to {ask.words}: {status.message or '403 Forbidden'}",
            f'Its user needs the verb "{ask.verb}" on "{ask.resource}" there. {ROLE_ADVICE}',
        )
    if ask.verb == "create" and ask.resource == "pods" and status.code in (400, 403, 422):
        refusal = explain_refusal(status.code, status.message)
        return BY_CATEGORY[refusal.category](refusal.summary, refusal.advice, retry=refusal.retry)
    if status.code == 403:
        return ConfigurationError(said, "The cluster's own rules refuse it: change what is asked, or the rules.")
    if status.code == 404 and ask.verb == "create" and status.details.get("kind") == "namespaces":
        return ConfigurationError(
            f"there is no namespace {ask.namespace!r} in {ask.server}",
            "Create it, or set another one in the connection, in [worker_tasks] or in WorkerConfig.",
        )
    if status.code in (400, 422) and ask.verb == "create" and ask.resource != "pods/exec":
        return ConfigurationError(said, "Mend the setting that the message names.")
    if status.code in kinds or status.code in (400, 409):
        kind = kinds.get(status.code, RefusedError)
        return kind(said, status=status.code, reason=status.reason, message=status.message)
    return ClusterError(said, "Check that the server is a Kubernetes API server, and what stands in front of it.")


def _is_for_want_of_a_role(status: Status) -> bool:
    # Admission says 403 too, of what a Role allows: a quota, Pod Security, a service account that is not there.
    return not status.message or " cannot " in status.message or "forbidden by" in status.message.lower()


def explain_tls(ask: Ask, error: BaseException) -> WorkerError | None:
    """Return the exception for a failure of TLS that trying again does not mend; None where it is something else."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ConfigurationError(
                f"the certificate of {ask.server} is not to be trusted: {cause.verify_message}",
                "Set the cluster's certificate-authority (or tls-server-name) in the kubeconfig, or its server.",
            )
        if isinstance(cause, ssl.SSLError) and cause.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
            return ConfigurationError(
                f"{ask.server} does not speak TLS: {cause.reason}",
                "Check the cluster's server: its port, and http or https.",
            )
    return None


def describe(error: BaseException) -> str:
    """Return what is at the bottom of ``error``, in a line."""
    *_, last = _causes(error)
    name = type(last).__name__
    return f"{name}: {last}" if str(last) else name


def _causes(error: BaseException) -> list[BaseException]:
    chain = [error]
    while len(chain) < 20:
        last = chain[-1]
        if isinstance(last, BaseExceptionGroup):
            following: BaseException | None = last.exceptions[0]
        else:
            following = last.__cause__ or last.__context__
        if following is None or following in chain:
            break
        chain.append(following)
    return chain
