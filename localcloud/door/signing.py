"""Signature Version 4 for the calls of this command to its own server, without boto3.

It is what AWS documents in "Create a signed AWS API request" (IAM user guide), for paths that need
no escaping. A signature proves that the caller has the key and does not carry it: a stranger who
listens on the port of a server that has ended learns nothing.
"""

import datetime as dt
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from localcloud.door.access_key import AccessKey

SERVICE: Final = "localcloud"
_REGION: Final = "us-east-1"
_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SIGNED: Final = "host;x-amz-content-sha256;x-amz-date"


@dataclass(frozen=True)
class Call:
    """A request to be signed; its path needs no escaping and has no query."""

    method: str
    host: str
    path: str
    body: bytes


def signed_headers(key: AccessKey, call: Call, now: dt.datetime) -> dict[str, str]:
    """Return the headers that sign ``call`` with ``key`` at ``now`` (UTC)."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{_REGION}/{SERVICE}/aws4_request"
    digest = hashlib.sha256(call.body).hexdigest()
    headers = f"host:{call.host}\nx-amz-content-sha256:{digest}\nx-amz-date:{stamp}\n"
    request = "\n".join([call.method, call.path, "", headers, _SIGNED, digest])
    text = "\n".join([_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    signature = hmac.new(_signing_key(key, scope), text.encode(), hashlib.sha256).hexdigest()
    return {
        "X-Amz-Date": stamp,
        "X-Amz-Content-SHA256": digest,
        "Authorization": (
            f"{_ALGORITHM} Credential={key.id}/{scope}, "
            f"SignedHeaders={_SIGNED}, Signature={signature}"
        ),
    }


def _signing_key(key: AccessKey, scope: str) -> bytes:
    derived = f"AWS4{key.secret}".encode()
    for part in scope.split("/"):
        derived = hmac.new(derived, part.encode(), hashlib.sha256).digest()
    return derived
