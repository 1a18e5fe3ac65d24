"""Check a manifest: python3 verify_manifest.py MANIFEST SIGNER.crt (needs only cryptography)."""

import json
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils


def decoded(text: str) -> bytes:
    if urlsafe_b64encode(data := urlsafe_b64decode(text + "==")).rstrip(b"=") != text.encode():
        raise ValueError("this base64url has another spelling")
    return data


NAMES = ["payload", "protected", "header", "signature"]
with open(sys.argv[1], "rb") as manifest, open(sys.argv[2], "rb") as certificate:
    entries, signer = json.load(manifest), x509.load_pem_x509_certificate(certificate.read())
for entry in entries:
    protected, payload = (json.loads(decoded(entry[name])) for name in ("protected", "payload"))
    signature = decoded(entry["signature"])
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    signed = f"{entry['protected']}.{entry['payload']}".encode()
    signer.public_key().verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    expected = {"uniqueId": payload["uniqueId"]}, signer.fingerprint(hashes.SHA256())
    if (entry["header"], decoded(protected["x5t#S256"])) != expected or [*entry] != NAMES:
        raise ValueError("the header, which is not signed, or the signer's certificate was changed")
print(f"{len(entries)} devices, every entry is as it was signed")
