#!/usr/bin/env python3
"""Verifies the vectors with nothing but Python's library and the openssl program.

    python3 verify.py [DIRECTORY]        (default: ../vectors)

What it does is what any verifier in any language must do (DSSE 1.0.2, RFC 8032, RFC 8017):
digest, strict JSON, payload type, PAE, signature, key statement, certificate path, hash chain.
Exit code 0: everything holds. 3: something does not; the first such thing is named.
"""
import base64
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

EVENT = "application/vnd.carnet.event.v1+json"
REQUEST = "application/vnd.carnet.request.v1+json"
KEY_STATEMENT = "application/vnd.carnet.key-statement.v1+json"
GENESIS = "0" * 64
# SubjectPublicKeyInfo of an Ed25519 key is this, then its 32 bytes (RFC 8410, section 4).
ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")
# The moment of the vectors, in Unix seconds: paths are judged as of then.
AT = "1795435200"


class Refused(Exception):
    pass


def check(holds, what):
    if not holds:
        raise Refused(what)
    print("ok  " + what)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def strict_json(text):
    """Duplicate keys and floats let two parsers read two things: refused."""

    def once(pairs):
        keys = [key for key, _ in pairs]
        if len(keys) != len(set(keys)):
            raise Refused("JSON: a key stands twice")
        return dict(pairs)

    def no_float(number):
        raise Refused("JSON: not a whole number: " + number)

    return json.loads(text, object_pairs_hook=once, parse_float=no_float, parse_constant=no_float)


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def pae(payload_type, payload):
    """DSSE 1.0.2, pre-authentication encoding: what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


class OpenSsl:
    """Signatures and paths by the openssl program, over files in one temporary directory."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)

    def put(self, name, data):
        file = self.directory / name
        file.write_bytes(data)
        return str(file)

    def put_pem(self, name, label, der):
        body = base64.encodebytes(der).decode()
        return self.put(name, f"-----BEGIN {label}-----\n{body}-----END {label}-----\n".encode())

    def run(self, *args):
        return subprocess.run(["openssl", *args], capture_output=True, check=False)

    def ed25519(self, raw_key, message, signature):
        key = self.put_pem("key.pem", "PUBLIC KEY", ED25519_SPKI + raw_key)
        files = ["-in", self.put("message", message), "-sigfile", self.put("signature", signature)]
        return self.run("pkeyutl", "-verify", "-pubin", "-inkey", key, "-rawin", *files).returncode == 0

    def rsa_pss(self, certificate, message, signature):
        leaf = self.put_pem("leaf.pem", "CERTIFICATE", certificate)
        key = self.put("leaf-key.pem", self.run("x509", "-in", leaf, "-noout", "-pubkey").stdout)
        options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32", "-sigopt", "rsa_mgf1_md:sha256"]
        files = ["-signature", self.put("signature", signature), self.put("message", message)]
        return self.run("dgst", "-sha256", "-verify", key, *options, *files).returncode == 0

    def path(self, root, chain):
        leaf, *above = [self.put_pem(f"chain-{i}.pem", "CERTIFICATE", der) for i, der in enumerate(chain)]
        between = [option for file in above for option in ("-untrusted", file)]
        anchor = self.put_pem("root.pem", "CERTIFICATE", root)
        return self.run("verify", "-x509_strict", "-attime", AT, "-CAfile", anchor, *between, leaf).returncode == 0


def open_envelope(vector, payload_type):
    """Digest, form and PAE of one vector; gives the parsed payload, what was signed, and the signature."""
    text = vector["envelope"]
    check(sha256(text.encode()) == vector["digest"], "digest of the envelope's exact bytes")
    envelope = strict_json(text)
    check(compact(envelope) == text and list(envelope) == ["payloadType", "payload", "signatures"], "the one spelling of an envelope")
    check(envelope["payloadType"] == payload_type, "payload type")
    check(len(envelope["signatures"]) == 1, "exactly one signature")
    payload = base64.b64decode(envelope["payload"], validate=True)
    signed = pae(payload_type, payload)
    check(signed.hex() == vector["pae"], "pre-authentication encoding")
    signature = envelope["signatures"][0]
    check(signature["keyid"] == vector["keyid"], "key id")
    return strict_json(payload.decode()), signed, base64.b64decode(signature["sig"], validate=True)


def verify(directory, openssl):
    load = lambda name: json.loads((directory / name).read_text())
    der = lambda text: base64.b64decode(text, validate=True)
    identity = load("identity.json")
    root = der(identity["root"])

    print("key-announced.json")
    first = load("key-announced.json")
    said, signed, signature = open_envelope(first, EVENT)
    data = said["data"]
    key = der(data["publicKey"])
    check(sha256(key) == data["keyid"] == first["keyid"], "the key id is the SHA-256 of the public key")
    check(openssl.ed25519(key, signed, signature), "signed by the key that it announces")
    chain = [der(one) for one in data["chain"]]
    check(openssl.path(root, chain), "certificate path of the broker")
    statement = ["KeyAnnounced", said["publisher"], said["audience"], data["keyid"], data["algorithm"], data["publicKey"], data["notBefore"]]
    stated = pae(KEY_STATEMENT, compact(statement).encode())
    check(openssl.rsa_pss(chain[0], stated, der(data["signature"])), "the X.509 identity vouches for the key")
    check(said["seq"] == "1" and said["prev"] == GENESIS, "first of its ledger")

    print("request.json")
    request = load("request.json")
    asked, signed, signature = open_envelope(request, REQUEST)
    chain = [der(one) for one in identity["scheduler"]["chain"]]
    check(sha256(chain[0]) == request["keyid"], "the key id is the SHA-256 of the certificate")
    check(openssl.path(root, chain), "certificate path of the scheduler")
    check(openssl.rsa_pss(chain[0], signed, signature), "signed by the scheduler")

    print("event.json")
    said, signed, signature = open_envelope(load("event.json"), EVENT)
    check(openssl.ed25519(key, signed, signature), "signed by the announced key")
    check(said["seq"] == "2" and said["prev"] == first["digest"], "chained to the first")
    check(compact(said["data"]["request"]["envelope"]) == request["envelope"], "carries the request as it was signed")
    check(asked["vm"] == said["data"]["vm"] and asked["target"] == said["data"]["target"], "intends what was asked")


def main():
    here = pathlib.Path(__file__).resolve().parent
    directory = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here.parent / "vectors"
    with tempfile.TemporaryDirectory() as scratch:
        try:
            verify(directory, OpenSsl(scratch))
        except (Refused, KeyError, ValueError) as refused:
            print(f"REFUSED  {refused}")
            return 3
    print("everything holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
