"""Every request is signed, and every signature is checked: the root's too.

MiniStack checks the keys of IAM users and of STS sessions; it takes the root's key, and a request
without any key, at its word. AWS checks all (IAM user guide, "AWS Signature Version 4 for API
requests"). Here a request whose signature is missing or wrong is refused before MiniStack reads it.
What AWS serves unsigned (public buckets, function URLs, sign-in pages) is refused as well.

Importing this module imports MiniStack.
"""

import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, quote

from ministack import app as ministack_app
from ministack.core import iam_evaluator, responses, sigv4

from localcloud.door.callers import Headers
from localcloud.seam import Seam

_SIGV4: Final = "AWS4-HMAC-SHA256"
_SIGV2: Final = "AWS "
_HEX_DIGEST: Final = 64  # characters; other values of the header name how the body is signed
_LONGEST_LINK: Final = 7 * 24 * 3600  # seconds, of X-Amz-Expires: the IAM user guide's limit
_MISSING: Final = ("MissingAuthenticationToken", "Missing Authentication Token")
_UNSUPPORTED: Final = (
    "IncompleteSignature",
    "The request is not signed with AWS Signature Version 4.",
)

Failure = tuple[str, str]
"""AWS's error code, and its words."""
Response = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class SignedRequest:
    """A request as it arrived."""

    method: str
    raw_path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, scope: Any, body: bytes) -> "SignedRequest":
        """Return the request of an ASGI ``scope``."""
        raw_path = scope.get("raw_path") or quote(scope["path"]).encode()
        query = scope.get("query_string", b"").decode("utf-8", "replace")
        return cls(
            method=scope.get("method", "GET"),  # a WebSocket's upgrade is a GET
            raw_path=raw_path.decode("latin-1"),
            query=parse_qs(query, keep_blank_values=True),
            headers=_joined(scope["headers"]),
            body=body,
        )

    def first(self, name: str) -> str:
        """Return the first value of a query parameter, or nothing."""
        return self.query.get(name, [""])[0]


def failure(request: SignedRequest, now: dt.datetime) -> Failure | None:
    """Return why the signature of ``request`` is refused at ``now`` (UTC), or None."""
    authorization = request.headers.get("authorization", "")
    if authorization.startswith(_SIGV4):
        return _header_failure(request, now)
    if authorization.startswith(_SIGV2) or (
        not authorization and "AWSAccessKeyId" in request.query
    ):
        return _sigv2_failure(request)
    if authorization:
        return _UNSUPPORTED
    if "X-Amz-Signature" in request.query:
        return _query_failure(request, now)
    return _MISSING


class Signatures:
    """Checks the requests of one local AWS."""

    def __init__(self, clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:
        """Tell the time by ``clock`` (UTC): a signature is good for some minutes."""
        self._clock = clock

    def refusal(self, scope: Any, body: bytes, *, root_only: bool) -> Response | None:
        """Return AWS's answer to a request that is not signed by who may make it, or None."""
        request = SignedRequest.of(scope, body)
        why = failure(request, self._clock())
        if root_only:
            return _internal_refusal(why or _root_failure(request))
        return _refusal(scope["path"], request, why) if why else None


def _root_failure(request: SignedRequest) -> Failure | None:
    key_id = _key_id(request)
    credential = iam_evaluator.resolve_credential(key_id, _account(key_id))
    if getattr(credential, "principal_type", "") == "Root":
        return None
    return "AccessDenied", "This path is for the root's key only."


def _internal_refusal(why: Failure | None) -> Response | None:
    if why is None:
        return None
    document = {
        "error": f"{why[0]}: {why[1]}",
        "next_step": "Sign the request with the access key that localcloud env gives.",
    }
    return HTTPStatus.FORBIDDEN, {"content-type": "application/json"}, json.dumps(document).encode()


def _refusal(path: str, request: SignedRequest, why: Failure) -> Response:
    """Return the error in the protocol of the service that was meant."""
    app, headers = Seam(ministack_app), dict(request.headers)
    service = app["detect_service"](request.method, path, headers, dict(request.query))
    error = iam_evaluator.AuthError(*why)
    status, named, body = app["_credential_failure"](service, "", uuid.uuid4().hex, error, headers)
    return status, named, b"" if request.method == "HEAD" else _as_bytes(body)


def _as_bytes(body: str | bytes) -> bytes:
    return body if isinstance(body, bytes) else body.encode()


def _header_failure(request: SignedRequest, now: dt.datetime) -> Failure | None:
    signature = sigv4.parse_header_signature(request.headers)
    if isinstance(signature, tuple):
        return signature
    skewed: Failure | None = sigv4.request_time_failure(signature, now=now)
    token = request.headers.get("x-amz-security-token", "")
    return skewed or _body_failure(request) or _mismatch(request, signature, token, presigned=False)


def _query_failure(request: SignedRequest, now: dt.datetime) -> Failure | None:
    signature = sigv4.parse_query_signature(request.query)
    if isinstance(signature, tuple):
        return signature
    if request.first("X-Amz-Algorithm") != _SIGV4:
        return _UNSUPPORTED
    if _is_past(signature.amz_date, request.first("X-Amz-Expires"), now):
        return "AccessDenied", "Request has expired"
    return _mismatch(request, signature, request.first("X-Amz-Security-Token"), presigned=True)


def _is_past(signed_at: str, seconds: str, now: dt.datetime) -> bool:
    # Without X-Amz-Expires a signature in the query lives as long as one in a header.
    lifetime = seconds or "900"
    if not lifetime.isdecimal() or int(lifetime) > _LONGEST_LINK:
        return True
    try:
        return bool(sigv4.presigned_request_is_expired(signed_at, lifetime, now=now))
    except ValueError:
        return True


def _body_failure(request: SignedRequest) -> Failure | None:
    claimed = request.headers.get("x-amz-content-sha256", "")
    if len(claimed) != _HEX_DIGEST or claimed == hashlib.sha256(request.body).hexdigest():
        return None
    return (
        "XAmzContentSHA256Mismatch",
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    )


def _mismatch(
    request: SignedRequest, signature: Any, token: str, *, presigned: bool
) -> Failure | None:
    key_id = signature.access_key_id
    if "host" not in signature.signed_headers.split(";"):
        return _UNSUPPORTED
    credential = iam_evaluator.resolve_credential(key_id, _account(key_id), token)
    if not key_id or isinstance(credential, iam_evaluator.CredentialResolutionError):
        return _unknown(credential)
    found: Failure | None = sigv4.header_signature_failure(
        signature,
        credential.secret_access_key,
        request.method,
        request.raw_path,
        request.query,
        request.headers,
        request.body,
        presigned=presigned,
    )
    return found


def _sigv2_failure(request: SignedRequest) -> Failure | None:
    # The signature that boto3 gives S3's presigned URLs in us-east-1 unless it is told otherwise.
    key_id = _key_id(request)
    if not key_id:
        return _UNSUPPORTED
    bucket = Seam(ministack_app)["_extract_s3_vhost_bucket"](request.headers.get("host", ""))
    pinned = iam_evaluator.SignedRequest(
        key_id,
        request.method,
        request.raw_path,
        request.query,
        request.headers,
        sigv2=True,
        auth_path=f"/{bucket}{request.raw_path}" if bucket else request.raw_path,
    )
    checked = Seam(iam_evaluator)["_sigv2_check"](pinned, _account(key_id))
    if isinstance(checked, iam_evaluator.AuthError):
        return checked.code, checked.message
    return None


def _key_id(request: SignedRequest) -> str:
    found: str = Seam(ministack_app)["extract_access_key_id"](request.headers, request.query)
    return found


def _account(key_id: str) -> str:
    """Return the account of a key: its own number, its session's, its user's, or the usual."""
    session: str | None = Seam(responses)["_account_from_sts_session"](key_id)
    if session or (len(key_id) == 12 and key_id.isdecimal()):
        return session or key_id
    try:
        user: str | None = iam_evaluator.find_iam_access_key_account(key_id)
    except iam_evaluator.AmbiguousAccessKeyError:
        user = None
    return user or "000000000000"


def _unknown(credential: Any) -> Failure:
    if isinstance(credential, iam_evaluator.CredentialResolutionError):
        return credential.code, credential.message
    return "UnrecognizedClientException", "The security token included in the request is invalid."


def _joined(headers: Headers) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1").lower(), sigv4.decode_header_value(value)
        found[key] = f"{found[key]},{text}" if key in found else text
    return found
