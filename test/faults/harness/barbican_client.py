"""OpenStack's own client (Debian's python3-barbicanclient) does what standard input asks, and prints what it saw as JSON."""

import json
import socket
import sys

from barbicanclient import client as barbican
from barbicanclient import exceptions
from keystoneauth1 import session as ks
from keystoneauth1 import token_endpoint
from keystoneauth1.identity import v3

asked = json.load(sys.stdin)

# The broker's certificate has a name, and this machine no name server for it.
resolve = socket.getaddrinfo
names = asked.get("names", {})
socket.getaddrinfo = lambda host, *rest, **more: resolve(names.get(host, host), *rest, **more)


def auth():
    if "keystone" in asked:
        return v3.ApplicationCredential(**asked["keystone"])
    return token_endpoint.Token(asked["endpoint"], asked["token"]) if "token" in asked else None


session = ks.Session(
    auth=auth(),
    verify=asked.get("ca", True),
    cert=tuple(asked["cert"]) if "cert" in asked else None,
    additional_headers=asked.get("headers", {}),
)
options = {name: asked[name] for name in ("endpoint", "project_id") if name in asked}
client = barbican.Client(session=session, **options)

FIELDS = "name status secret_type algorithm bit_length mode expiration created updated content_types".split()


def told(secret):
    return {"ref": secret.secret_ref, **{name: plain(getattr(secret, name)) for name in FIELDS}}


def plain(value):
    return value.isoformat() if hasattr(value, "isoformat") else value


def walk(limit):
    pages, offset = [], 0
    while page := client.secrets.list(limit=limit, offset=offset):
        pages.append([secret.secret_ref for secret in page])
        offset += limit
    return pages


def raw(path, version):
    return client.client.get(path, headers={"OpenStack-API-Version": "key-manager " + version})


STEPS = {
    "total": lambda: client.secrets.total(),
    "list": lambda **filters: [told(secret) for secret in client.secrets.list(**filters)],
    "walk": walk,
    "get": lambda ref: told(client.secrets.get(ref)),
    "payload": lambda ref: bool(client.secrets.get(ref).payload),
    "metadata": lambda ref: client.client.get("secrets/%s/metadata" % ref.split("/")[-1])["metadata"],
    "raw": raw,
    "store": lambda: client.secrets.create(name="foreign", payload=b"0" * 32).store(),
    "delete": lambda ref: client.secrets.delete(ref),
    "containers": lambda: len(client.containers.list()),
    "orders": lambda: len(client.orders.list()),
    "versions": lambda url: session.get(url, authenticated=False).json(),
}


def run(step, arguments):
    try:
        return {"value": STEPS[step](**arguments)}
    except (exceptions.HTTPAuthError, exceptions.HTTPClientError, exceptions.HTTPServerError) as refused:
        return {"refused": type(refused).__name__, "status": getattr(refused, "status_code", 401), "text": str(refused)}


json.dump([run(step, arguments) for step, arguments in asked["steps"]], sys.stdout)
