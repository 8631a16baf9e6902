"""What people ask of a cluster beyond the namespace of the workers; no task needs any of it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_provider_tasks.workers.failures import ConfigurationError
from airflow_provider_tasks.workers.kubernetes.answers import Ask, NotFoundError, RefusedError
from airflow_provider_tasks.workers.kubernetes.api import Api
from airflow_provider_tasks.workers.kubernetes.server import Call, Object

if TYPE_CHECKING:
    from collections.abc import Iterator

_AT_ONCE = 500
"""Nodes that the API server gives in one answer."""


class WholeCluster(Api):
    """A cluster as a person sees it, and one namespace of it; see :class:`Api` for the arguments.

    Every method raises what those of :class:`Api` do, so a ``ConfigurationError`` where the user may not ask.
    """

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return self._server.url

    async def version(self) -> str:
        """Return the version of the API server, which everybody may ask whose credentials are good."""
        found = await self._server.json(Call(Ask("get", "version", "", self.server), "GET", "/version"))
        return str(found.get("gitVersion") or "unknown")

    async def has_namespace(self) -> bool | None:
        """Whether the namespace is there; None where the user may not ask."""
        if not await self.may("get", "namespaces"):
            return None
        ask = Ask("get", "namespaces", "", self.server, self.namespace)
        try:
            await self._server.json(Call(ask, "GET", f"/api/v1/namespaces/{quote(self.namespace, safe='')}"))
        except NotFoundError:
            return False
        return True

    async def may(self, verb: str, resource: str) -> bool:
        """Whether the user may do this in the namespace; ``resource`` is as in a Role, ``pods/exec``."""
        kind, _, part = resource.partition("/")
        about = {"namespace": self.namespace, "verb": verb, "group": "", "resource": kind}
        if part:
            about["subresource"] = part
        if kind == "namespaces":
            about["name"] = self.namespace
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": about},
        }
        ask = Ask("create", "selfsubjectaccessreviews", "", self.server)
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = await self._server.json(Call(ask, "POST", path, body=review))
        return (answer.get("status") or {}).get("allowed") is True

    async def list_nodes(self, labels: str | None = None) -> list[Object]:
        """Return the nodes of the cluster, those with these labels.

        Raises:
            ConfigurationError: the user may not list them, as one with the least Role may not.

        """
        nodes: list[Object] = []
        wanted = {"labelSelector": labels} if labels else {}
        more: dict[str, str] = {}
        with _explained():
            while True:
                ask = Ask("list", "nodes", "", self.server)
                params = {"limit": str(_AT_ONCE), **wanted, **more}
                found = await self._server.json(Call(ask, "GET", "/api/v1/nodes", tuple(params.items())))
                nodes += found.get("items") or []
                token = (found.get("metadata") or {}).get("continue")
                if not token:
                    return nodes
                more = {"continue": str(token)}


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Say who may list nodes, where this user may not, and that a selector is wrong."""
    try:
        yield
    except RefusedError as error:
        if error.status != 400:
            raise
        raise ConfigurationError(error.summary, "Mend the selector, as zone=north,gpu.") from None
    except ConfigurationError as error:
        if "does not allow" not in error.summary:
            raise
        raise ConfigurationError(
            error.summary,
            "Nodes belong to the whole cluster, and the Role of Airflow does not reach them. Use the connection of "
            'somebody with a ClusterRole that has the verb "list" on "nodes": see "A node file of a cluster" in '
            "docs/kubernetes.md.",
        ) from None
