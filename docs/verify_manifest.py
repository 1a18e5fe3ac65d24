"""Check a manifest: python3 verify_manifest.py MANIFEST SIGNER.crt (needs only cryptography)."""

import base64
import json
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils


def decoded(text: str) -> bytes:
    data = base64.urlsafe_b64decode(text + "==")
    if base64.urlsafe_b64encode(data).rstrip(b"=") != text.encode():
        raise ValueError("this base64url has another spelling")
    return data


with open(sys.argv[1], "rb") as manifest, open(sys.argv[2], "rb") as certificate:
    entries, signer = json.load(manifest), x509.load_pem_x509_certificate(certificate.read())
for entry in entries:
    payload, r_and_s = json.loads(decoded(entry["payload"])), decoded(entry["signature"])
    r, s = (int.from_bytes(half, "big") for half in (r_and_s[:32], r_and_s[32:]))
    signed = f"{entry['protected']}.{entry['payload']}".encode()
    signer.public_key().verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    if [*entry] != ["payload", "protected", "header", "signature"] or entry["header"] != {
        "uniqueId": payload["uniqueId"]
    }:
        raise ValueError("the header, which is not signed, was changed")
print(f"{len(entries)} devices, every entry is as it was signed")
