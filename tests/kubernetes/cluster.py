"""The cluster that `TEST_KUBECONFIG` names, as tests see it: a namespace of one's own, with the least Role in it.

Code under test gets `cluster.kubeconfig`, which may do what `docs/kubernetes/role.yaml` allows, and nothing else. A
test that has to look at the cluster, or to do something to it, uses `cluster.admin`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

if TYPE_CHECKING:
    import httpx2
    from lightkube.config.kubeconfig import SingleConfig

ROLE = Path(__file__).parents[2] / "docs" / "kubernetes" / "role.yaml"
SERVICE_ACCOUNT = "airflow-tasks"
"""The service account of `role.yaml`."""

TESTS = "airflow-provider-tasks/tests"
"""The label of every namespace that tests make."""

MADE_BY = "airflow-provider-tasks/made-by"
"""The annotation that says which process made the namespace."""

_NOT_IN_A_NAMESPACE = {"Namespace", "Node", "PriorityClass", "ClusterRole", "ClusterRoleBinding", "PersistentVolume"}

Manifest = dict[str, Any]
Labels = Mapping[str, str] | str
Found = TypeVar("Found")


class AuditMark(NamedTuple):
    """A place in the audit log; see :meth:`TestCluster.audit_mark`."""

    inode: int
    offset: int


class AdminError(Exception):
    """The API server refused what the admin asked for; `status` is its HTTP status."""

    def __init__(self, what: str, status: int, body: str) -> None:
        super().__init__(f"{what}: {status} {body}")
        self.status = status


def wait_until(condition: Callable[[], Found], at_most: float = 60, what: str = "") -> Found:
    """Call `condition` until what it gives is true, and give that; `at_most` seconds, then an ``AssertionError``."""
    deadline = time.monotonic() + at_most
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {at_most:g} s: {what or 'what the test waits for'}; it was {found!r}")
        time.sleep(0.05)
    return found


def config_of(kubeconfig: str | os.PathLike[str]) -> SingleConfig:
    """The current context of a kubeconfig file."""
    from lightkube.config.kubeconfig import KubeConfig

    config = KubeConfig.from_file(os.fspath(kubeconfig)).get()
    assert config is not None
    return config


def client_of(kubeconfig: str | os.PathLike[str], timeout: float = 30) -> httpx2.Client:
    """A plain HTTP client of the API server, authenticated as a kubeconfig file says."""
    import httpx2
    from lightkube.config.client_adapter import Client, ConnectionParams

    return Client(config_of(kubeconfig), ConnectionParams(timeout=httpx2.Timeout(timeout), trust_env=False))


class Admin:
    """What tests ask the cluster and do to it, as its admin, in the tests' namespace."""

    def __init__(self, kubeconfig: str, namespace: str) -> None:
        self.namespace = namespace
        self._client = client_of(kubeconfig)

    def close(self) -> None:
        self._client.close()

    def request(self, method: str, path: str, *, body: object = None, **query: object) -> httpx2.Response:
        """Send one request and give the reply; a GET waits up to 60 s for an API server that is down.

        Raises:
            AdminError: the reply is no success.

        """
        import httpx2

        deadline = time.monotonic() + 60
        params = {name: str(value) for name, value in query.items() if value is not None}
        while True:
            try:
                reply = self._client.request(method, path, json=body, params=params)
            except httpx2.TransportError:
                if method != "GET" or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
                continue
            if reply.is_success:
                return reply
            raise AdminError(f"{method} {path}", reply.status_code, reply.text)

    def objects(
        self, kind: str, labels: Labels | None = None, *, api_version: str = "v1", **query: object
    ) -> list[Manifest]:
        """All objects of a kind, those with these labels; `query` goes into the URL as it is."""
        if isinstance(labels, Mapping):
            labels = ",".join(f"{name}={value}" for name, value in labels.items())
        reply = self.request("GET", self.path(kind, api_version=api_version), labelSelector=labels, **query)
        return list(reply.json()["items"])

    def get(self, kind: str, name: str, *, api_version: str = "v1") -> Manifest | None:
        """One object; None where there is none of that name."""
        try:
            return dict(self.request("GET", self.path(kind, name, api_version=api_version)).json())
        except AdminError as error:
            if error.status == 404:
                return None
            raise

    def pods(self, labels: Labels | None = None) -> list[Manifest]:
        return self.objects("Pod", labels)

    def pod(self, name: str) -> Manifest | None:
        return self.get("Pod", name)

    def secrets(self, labels: Labels | None = None) -> list[Manifest]:
        """The Secrets of the namespace, but for the tokens that old servers make for its service accounts."""
        found = self.objects("Secret", labels)
        return [secret for secret in found if secret["type"] != "kubernetes.io/service-account-token"]

    def events(self, name: str | None = None) -> list[Manifest]:
        """The events of the namespace, those of the object of this name."""
        return self.objects("Event", fieldSelector=name and f"involvedObject.name={name}")

    def log(self, name: str, **query: object) -> bytes:
        """What a pod wrote, as bytes; `query` as in the API: ``timestamps="true"``, ``tailLines=10``."""
        return self.request("GET", f"{self.path('Pod', name)}/log", **query).content

    def create(self, manifest: Manifest) -> Manifest:
        """Create any object, in the namespace of the tests unless it names another."""
        namespace = manifest.get("metadata", {}).get("namespace")
        path = self.path(manifest["kind"], api_version=manifest["apiVersion"], namespace=namespace)
        return dict(self.request("POST", path, body=manifest).json())

    def delete(self, kind: str, name: str, *, grace: int | None = None, api_version: str = "v1") -> None:
        """Delete an object if it is there; `grace` is in seconds, 0 is at once, None what the object says."""
        try:
            self.request("DELETE", self.path(kind, name, api_version=api_version), gracePeriodSeconds=grace)
        except AdminError as error:
            if error.status != 404:
                raise

    def path(self, kind: str, name: str = "", *, api_version: str = "v1", namespace: str | None = None) -> str:
        """The path of a kind of objects, or of one: ``path("Pod", "a")``."""
        root = f"/api/{api_version}" if api_version == "v1" else f"/apis/{api_version}"
        if kind not in _NOT_IN_A_NAMESPACE:
            root += f"/namespaces/{namespace or self.namespace}"
        plural = (
            f"{kind.lower()[:-1]}ies" if kind.endswith("y") else kind.lower() + ("es" if kind.endswith("s") else "s")
        )
        return f"{root}/{plural}" + (f"/{name}" if name else "")

    wait_until = staticmethod(wait_until)


class TestCluster:
    """A namespace of its own in a real cluster, with the Role of `docs/`, for as long as the ``with`` block runs.

    Attributes:
        kubeconfig: path of a kubeconfig for the service account of `role.yaml`: what all code under test uses.
        namespace: the namespace, also the one of the kubeconfig's context.
        token: the service account's token, as `kubeconfig` has it.
        user: the name under which the API server knows it.
        image: a worker image with Python 3.11, `TEST_KUBERNETES_IMAGE`.
        image_notebook: one with papermill and Jupyter, `TEST_KUBERNETES_IMAGE_NOTEBOOK`; None where there is none.
        image_313: a worker image with Python 3.13, `TEST_KUBERNETES_IMAGE_3_13`; None where there is none.
        admin: the admin, for assertions.
        state: the folder of a cluster that `shared/kube/up` started (its `run` and `log`); None for any other cluster.

    """

    __test__ = False

    def __init__(self, admin_kubeconfig: str, folder: Path) -> None:
        self._admin_kubeconfig = admin_kubeconfig
        self._folder = folder
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        self.namespace = f"tests-{os.getpid()}-{worker}-{secrets.token_hex(3)}"
        self.kubeconfig = str(folder / f"{self.namespace}.kubeconfig")
        self.user = f"system:serviceaccount:{self.namespace}:{SERVICE_ACCOUNT}"
        self.token = ""
        self.image = os.environ.get("TEST_KUBERNETES_IMAGE", "docker.io/local/python:3.11")
        self.image_notebook = os.environ.get("TEST_KUBERNETES_IMAGE_NOTEBOOK")
        self.image_313 = os.environ.get("TEST_KUBERNETES_IMAGE_3_13")
        self.admin = Admin(admin_kubeconfig, self.namespace)
        state = Path(os.environ.get("KUBE_DIR") or Path(admin_kubeconfig).resolve().parent)
        self.state = state if (state / "run" / "kube-apiserver.pid").exists() else None

    def __enter__(self) -> Self:
        try:
            self._sweep()
            self._make_namespace()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Delete the namespace, without waiting until it is gone; calling it twice is allowed."""
        import httpx2

        with contextlib.suppress(AdminError, httpx2.TransportError, RuntimeError):
            self._delete_namespace(self.namespace)
        self.admin.close()

    def client(self) -> httpx2.Client:
        """A plain HTTP client of the API server that may do what code under test may; close it."""
        return client_of(self.kubeconfig)

    def kubectl(self, *args: str) -> str:
        """What `kubectl` says to the admin, in the tests' namespace: ``kubectl("get", "pod", name, "-o", "yaml")``."""
        program = shutil.which("kubectl")
        if program is None:
            raise RuntimeError("there is no kubectl on the PATH: install one (Debian: kubernetes-client)")
        argv = [program, "--kubeconfig", self._admin_kubeconfig, "--namespace", self.namespace, *args]
        ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert ran.returncode == 0, f"kubectl {' '.join(args)}: {ran.stderr}"
        return ran.stdout

    def audit_mark(self) -> AuditMark:
        """Where the audit log ends now: `audit(since=…)` gives what comes after."""
        status = self._audit_log().stat()
        return AuditMark(status.st_ino, status.st_size)

    def audit(self, since: AuditMark) -> list[Manifest]:
        """The audit log's lines about what the service account asked for since a mark, in order of their replies.

        A request that is still open (a watch, a log that is followed) has no line until it ends.
        """
        fence = f"audit-{secrets.token_hex(8)}"
        self.admin.get("ConfigMap", fence)
        lines = wait_until(lambda: self._audit_lines(since, fence), what="the audit log")
        return [line for line in lines if line["user"]["username"] == self.user]

    def requests(self, since: AuditMark) -> list[str]:
        """What the service account asked for since a mark, in words: ``["create pods", "get pods/log"]``."""
        said = []
        for line in self.audit(since):
            about = line.get("objectRef", {})
            resource = "/".join(filter(None, [about.get("resource"), about.get("subresource")]))
            said.append(f"{line['verb']} {resource or line['requestURI']}")
        return said

    def assert_nothing_left(self, labels: Labels, at_most: float = 200) -> None:
        """Assert that no pod and no Secret with these labels is there, or that they go within `at_most` seconds.

        Secrets are removed by the cluster's garbage collector, which is slow when its controllers have just started
        or when many objects go at once.
        """

        def is_left() -> list[str]:
            return [
                f"{kind} {found['metadata']['name']} {found.get('status', {}).get('phase', '')}".strip()
                for kind, objects in (("Pod", self.admin.pods(labels)), ("Secret", self.admin.secrets(labels)))
                for found in objects
            ]

        deadline = time.monotonic() + at_most
        while left := is_left():
            assert time.monotonic() < deadline, f"left behind: {', '.join(left)}"
            time.sleep(0.1)

    def _sweep(self) -> None:
        """Remove the namespaces of test processes of this machine that ended without doing so."""
        host, own = socket.gethostname(), os.getpid()
        for namespace in self.admin.objects("Namespace", TESTS):
            where, _, pid = namespace["metadata"].get("annotations", {}).get(MADE_BY, "").rpartition("/")
            if where == host and int(pid) != own and not os.path.exists(f"/proc/{pid}"):
                with contextlib.suppress(AdminError):
                    self._delete_namespace(namespace["metadata"]["name"])

    def _make_namespace(self) -> None:
        import yaml

        about = {"name": self.namespace, "labels": {TESTS: ""}}
        about["annotations"] = {MADE_BY: f"{socket.gethostname()}/{os.getpid()}"}
        self.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": about})
        for manifest in yaml.safe_load_all(ROLE.read_text()):
            for about_namespace in (manifest["metadata"], *manifest.get("subjects", [])):
                about_namespace["namespace"] = self.namespace
            self.admin.create(manifest)
        account = self.admin.path("ServiceAccount", SERVICE_ACCOUNT)
        ask = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 24 * 3600},
        }
        self.token = self.admin.request("POST", f"{account}/token", body=ask).json()["status"]["token"]
        self._write_kubeconfig()
        # The admission of pods refuses them until the controllers have made it.
        wait_until(lambda: self.admin.get("ServiceAccount", "default"), what="the default service account")

    def _write_kubeconfig(self) -> None:
        config = config_of(self._admin_kubeconfig)
        cluster = {"server": config.cluster.server}
        authority = config.cluster.certificate_auth_data
        if not authority and config.cluster.certificate_auth:
            content = Path(config.abs_file(config.cluster.certificate_auth)).read_bytes()
            authority = base64.b64encode(content).decode()
        if authority:
            cluster["certificate-authority-data"] = authority
        write_kubeconfig(Path(self.kubeconfig), cluster, self.token, self.namespace)

    def _delete_namespace(self, name: str) -> None:
        # A pod would have its grace period, and the namespace would be there for as long.
        self.admin.request("DELETE", self.admin.path("Pod", namespace=name), gracePeriodSeconds=0)
        self.admin.request("DELETE", self.admin.path("Namespace", name))

    def _audit_log(self) -> Path:
        assert self.state is not None, "only a cluster of shared/kube has an audit log to read"
        return self.state / "log" / "audit.log"

    def _audit_lines(self, since: AuditMark, fence: str) -> list[Manifest]:
        """All lines since the mark, or none as long as the request for `fence` is not among them."""
        current = self._audit_log()
        content = b""
        # When the log is full it gets another name, and a new one takes its place.
        for path in sorted(current.parent.glob("audit-*.log")):
            if path.stat().st_ino == since.inode:
                content = path.read_bytes()[since.offset :]
        fresh = current.read_bytes()
        content += fresh[since.offset :] if current.stat().st_ino == since.inode else fresh
        if f"/configmaps/{fence}".encode() not in content:
            return []
        return [json.loads(line) for line in content.splitlines() if line.endswith(b"}")]


def write_kubeconfig(path: Path, cluster: dict[str, str], token: str, namespace: str) -> None:
    """Write a kubeconfig file of one context, readable by its owner alone."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": cluster}],
        "users": [{"name": "tests", "user": {"token": token}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests", "namespace": namespace}}],
        "current-context": "tests",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(document, indent=1))
