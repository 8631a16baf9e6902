"""Credentials from a plugin: a kubeconfig's ``exec``, in the versions v1 and v1beta1.

The protocol is https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_tasks.workers.failures import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Mapping

    import httpx2

    from airflow_provider_tasks.workers.kubernetes.connection import Access

_GROUP = "client.authentication.k8s.io"
_VERSIONS = (f"{_GROUP}/v1", f"{_GROUP}/v1beta1", f"{_GROUP}/v1alpha1")
_CLUSTER_FIELDS = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url", "disable-compression")
_TIME_LIMIT = 60.0
"""Seconds that a plugin may take."""


class Credential(NamedTuple):
    """What a plugin gave: a bearer ``token``, and whether a client certificate came too."""

    token: str | None
    has_certificate: bool


class Plugin:
    """The command of a kubeconfig's ``exec``, and what it gave last.

    Args:
        access: the context whose user has the plugin.
        context: takes the client certificate, if the plugin gives one.

    Raises:
        ConfigurationError: the plugin is of a version that is not known, or needs a terminal.

    """

    def __init__(self, access: Access, context: ssl.SSLContext) -> None:
        spec: Mapping[str, Any] = access.user["exec"]
        self._command: str = spec["command"]
        self._arguments = [str(argument) for argument in spec.get("args") or ()]
        self._hint: str = spec.get("installHint") or ""
        self._version: str = spec["apiVersion"]
        self._context = context
        if self._version not in _VERSIONS:
            raise ConfigurationError(
                f"the credential plugin {self._command!r} speaks {self._version!r}, "
                f"expected one of {', '.join(_VERSIONS)}"
            )
        if spec.get("interactiveMode") == "Always":
            raise ConfigurationError(
                f"the credential plugin {self._command!r} has interactiveMode: Always, and there is no terminal here",
                "Use credentials that nobody has to type.",
            )
        info: dict[str, Any] = {"interactive": False}
        if spec.get("provideClusterInfo"):
            info["cluster"] = _cluster_info(access.cluster)
        self._environment = {item["name"]: item["value"] for item in spec.get("env") or ()}
        self._environment["KUBERNETES_EXEC_INFO"] = json.dumps(
            {"apiVersion": self._version, "kind": "ExecCredential", "spec": info}
        )
        self._lock = asyncio.Lock()
        self._last: Credential | None = None

    async def credential(self, refused: Credential | None = None) -> Credential:
        """Return what the plugin gave; it runs where there is nothing yet, or only what was ``refused``.

        Raises:
            ConfigurationError: there is no such command, it fails, or gives no credentials.

        """
        async with self._lock:  # however many requests are refused at once, it runs once
            if self._last is None or self._last is refused:
                self._last = self._read(await self._run())
            return self._last

    async def _run(self) -> bytes:
        try:
            process = await asyncio.create_subprocess_exec(
                self._command,
                *self._arguments,
                env={**os.environ, **self._environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise ConfigurationError(
                f"the credential plugin {self._command!r} can't be started: {error.strerror}",
                self._hint or "Install it where Airflow runs, or name it by its path in the kubeconfig.",
            ) from None
        try:
            async with asyncio.timeout(_TIME_LIMIT):
                output, errors = await process.communicate()
        except TimeoutError:
            raise ConfigurationError(
                f"the credential plugin {self._command!r} took longer than {_TIME_LIMIT:g} s", retry=True
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode != 0:
            last = "".join(f"\n    {line}" for line in errors.decode(errors="replace").strip().splitlines()[-5:])
            raise ConfigurationError(
                f"the credential plugin {self._command!r} failed with exit code {process.returncode}{last}",
                self._hint or "Run it by hand where Airflow runs, as Airflow's user.",
                retry=True,
            )
        return output

    def _read(self, output: bytes) -> Credential:
        def unfit(what: str) -> ConfigurationError:
            return ConfigurationError(
                f"the credential plugin {self._command!r} gave {what}, expected an ExecCredential of {self._version}"
            )

        try:
            document = json.loads(output)
        except ValueError:
            raise unfit("no JSON") from None
        status = document.get("status") if isinstance(document, dict) else None
        if not isinstance(status, dict):
            raise unfit("no status")
        if document.get("apiVersion") != self._version:
            raise unfit(f"one of {document.get('apiVersion')!r}")
        token, certificate, key = (status.get(name) for name in ("token", "clientCertificateData", "clientKeyData"))
        if not token and not (certificate and key):
            raise unfit("neither a token nor a client certificate with its key")
        if certificate and key:
            import ssl

            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(f"{certificate}\n{key}\n")
                file.flush()
                try:
                    self._context.load_cert_chain(file.name)
                except ssl.SSLError:
                    raise unfit("a client certificate that can't be read") from None
        return Credential(token, bool(certificate))


def _cluster_info(cluster: Mapping[str, Any]) -> dict[str, Any]:
    info = {name: cluster[name] for name in _CLUSTER_FIELDS if name in cluster}
    if data := cluster.get("certificate-authority-data"):
        info["certificate-authority-data"] = data
    elif path := cluster.get("certificate-authority"):
        try:
            with open(path, "rb") as file:
                info["certificate-authority-data"] = base64.b64encode(file.read()).decode()
        except OSError as error:
            raise ConfigurationError(f"the cluster's certificate-authority can't be read: {error}") from None
    for extension in cluster.get("extensions") or ():
        if extension.get("name") == f"{_GROUP}/exec":
            info["config"] = extension.get("extension")
    return info


def plugin_auth(plugin: Plugin) -> httpx2.Auth:
    """Return what puts the plugin's credentials on each request, and runs it again when they are refused."""
    import httpx2

    class PluginAuth(httpx2.Auth):
        async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
            credential = await plugin.credential()
            response = yield _sign(request, credential)
            if response.status_code == 401:
                yield _sign(request, await plugin.credential(refused=credential))

    return PluginAuth()


def _sign(request: httpx2.Request, credential: Credential) -> httpx2.Request:
    if credential.token:
        request.headers["Authorization"] = f"Bearer {credential.token}"
    if credential.has_certificate and "upgrade" not in request.headers:
        # A connection that is kept keeps the certificate that it began with.
        request.headers["Connection"] = "close"
    return request
