"""The authenticated HTTP client of one API server."""

from __future__ import annotations

import importlib
import ipaddress
import logging
import os
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_tasks import __version__
from airflow_provider_tasks.workers.failures import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx2

    from airflow_provider_tasks.workers.kubernetes.connection import Access

_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""Seconds of quiet until the peer is asked, seconds between two questions, and how many stay unanswered."""


def open_client(access: Access, *, keepalive: bool) -> httpx2.AsyncClient:
    """Return a client for the API server of ``access``.

    It opens as many connections as are asked for at once, and reads the body of every refusal.

    Args:
        access: the cluster and the user.
        keepalive: have the kernel ask quiet connections whether their peer is still there.

    Raises:
        ConfigurationError: a certificate or a key can't be read, or the proxy is of an unknown kind.

    """
    import httpx2
    from lightkube.config.client_adapter import user_auth, verify_cluster
    from lightkube.core.exceptions import ConfigError

    from airflow_provider_tasks.workers.kubernetes.credentials import Plugin, plugin_auth

    _quieten("httpx2")
    config = access.config
    assert config.user is not None
    try:
        context = verify_cluster(config.cluster, config.user, config.abs_file)
        if config.user.exec and not config.user.token and not config.user.token_file:
            auth: httpx2.Auth | None = plugin_auth(Plugin(access, context))
        else:
            auth = user_auth(config.user)
    except (OSError, ValueError, ConfigError) as error:  # ssl.SSLError is an OSError, base64's error a ValueError
        raise ConfigurationError(
            f"the certificates of the context {config.context_name!r} can't be read: {type(error).__name__}: {error}",
            "Check certificate-authority, client-certificate and client-key of the kubeconfig, and their -data.",
        ) from None
    server = config.cluster.server
    try:
        transport = httpx2.AsyncHTTPTransport(
            verify=context,
            # A log that is followed holds its connection for as long as its task runs.
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=20),
            proxy=access.cluster.get("proxy-url") or proxy_for(server, os.environ),
            socket_options=_socket_options() if keepalive else None,
        )
        return httpx2.AsyncClient(
            base_url=server,
            auth=auth,
            transport=transport,
            headers={"User-Agent": f"airflow-provider-tasks/{__version__}"},
            event_hooks={"response": [_read_refusal]},
        )
    except (ValueError, ImportError, httpx2.InvalidURL) as error:
        raise ConfigurationError(f"the API server {server} can't be reached through its proxy: {error}") from None


def preload() -> None:
    """Import what a client takes, which an event loop should not wait for."""
    for name in ("lightkube.config.client_adapter", "httpcore2"):
        importlib.import_module(name)


async def _read_refusal(response: httpx2.Response) -> None:
    if response.status_code >= 400:
        await response.aread()


def _quieten(name: str) -> None:
    """Keep a library from writing a line for each request into the log of a task."""
    logger = logging.getLogger(name)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)


def _socket_options() -> list[tuple[int, int, int]]:
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in _KEEPALIVE:  # not every system has each
        if (number := getattr(socket, name, None)) is not None:
            options.append((socket.IPPROTO_TCP, number, value))
    return options


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy that the environment names for ``url``: HTTPS_PROXY and its like, but for NO_PROXY.

    >>> proxy_for("https://10.96.0.1:443", {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".local,10.0.0.0/8"})
    >>> proxy_for("https://k.example.com", {"HTTPS_PROXY": "proxy:3128", "NO_PROXY": ".local,10.0.0.0/8"})
    'http://proxy:3128'

    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    environ = {key.lower(): value for key, value in sorted(environ.items()) if value}  # lower case is the stronger
    proxy = environ.get(f"{parts.scheme}_proxy") or environ.get("all_proxy")
    if not proxy or any(_is_spared(entry.strip(), host, port) for entry in environ.get("no_proxy", "").split(",")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_spared(entry: str, host: str, port: int | None) -> bool:
    if not entry:
        return False
    if entry == "*":
        return True
    address: Any = None
    try:
        address = ipaddress.ip_address(host)
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass  # a name, or a name with a port
    name, colon, number = entry.rpartition(":")
    if colon and number.isdigit():
        if port != int(number):
            return False
        entry = name
    entry = entry.lower().removeprefix("*").removeprefix(".")
    return host == entry or (address is None and host.endswith(f".{entry}"))
