"""Ownership tokens look and end as they do on AWS.

AWS hands out some 460 characters, base64 of a JSON object with ``version`` and ``cipher``
(docs/aws-iot-facts.md, 2.3), good for one hour. When a token expires and its certificate
was neither activated nor attached to a policy or thing, AWS deletes the certificate (2.4;
developer guide, "Device provisioning MQTT API"). MiniStack's tokens have 64 characters, and it
forgets an expired token but keeps the certificate.
"""

import base64
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import Any, Final

from localcloud.broker.provisioning import Reply
from localcloud.gaps._support.stores import Store
from localcloud.seam import Seam

TOKEN_SECONDS: Final = 3600.0
_CIPHER_BYTES: Final = 233  # as in the one token whose inside was published
_VERSION: Final = "20191023"
_NEVER_REGISTERED: Final = "PENDING_ACTIVATION"


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still keeps the certificate of an expired token."""
    return "_certificates" not in iot["_drop_expired"].__code__.co_names


def close(iot: Seam) -> None:
    """Delete certificates with their tokens, and give keys made by AWS a token of AWS's shape."""
    drop_expired: Callable[[object], None] = iot["_drop_expired"]
    create: Callable[[str, str], Awaitable[Reply]] = iot["_fleet_create_keys_and_certificate"]

    def drop_expired_and_certificates(store: object) -> None:
        if store is iot["_ownership_tokens"]:
            if not _is_oldest_expired(store):
                return
            _delete_never_registered(iot)
        drop_expired(store)

    async def create_with_long_token(account: str, region: str) -> Reply:
        kind, document = await create(account, region)
        short = document.get("certificateOwnershipToken")
        if short is not None:
            tokens = iot["_ownership_tokens"]
            long = new_token()
            tokens.set_scoped(account, region, long, tokens.pop_scoped(account, region, short))
            document["certificateOwnershipToken"] = long
        return kind, document

    iot["_drop_expired"] = drop_expired_and_certificates
    iot["_fleet_create_keys_and_certificate"] = create_with_long_token


def new_token() -> str:
    """Return a token of AWS's shape; it means nothing but itself."""
    cipher = base64.b64encode(secrets.token_bytes(_CIPHER_BYTES)).decode()
    return base64.b64encode(
        json.dumps({"version": _VERSION, "cipher": cipher}, separators=(",", ":")).encode()
    ).decode()


def drop_expired(iot: Seam) -> None:
    """Delete every token older than an hour, and the certificates that were never registered."""
    iot["_drop_expired"](iot["_ownership_tokens"])


def age(iot: Seam, seconds: float) -> int:
    """Make every token ``seconds`` older, drop those that expire by it, return how many were."""
    records = iot["_ownership_tokens"].all_values()
    for record in records:
        record["expiration"] -= seconds
    drop_expired(iot)
    return len(records)


def _is_oldest_expired(store: Store) -> bool:
    """Tokens expire in the order of their making, so one look is enough, at each new token."""
    records = store._data  # noqa: SLF001 - as MiniStack itself does
    return any(record["expiration"] <= time.time() for record in islice(_silently(records), 1))


def _silently(records: dict[Any, dict[str, float]]) -> Iterable[dict[str, float]]:
    """Look at records without noting it: who changes nothing has nothing to be saved."""
    return dict.values(records)


def _delete_never_registered(iot: Seam) -> None:
    now = time.time()
    for (account, region, _token), record in iot["_ownership_tokens"].all_items():
        if record["expiration"] > now:
            continue
        certificate = iot["_certificates"].get_scoped(account, region, record["certificateId"])
        if (
            certificate
            and certificate["status"] == _NEVER_REGISTERED
            and not _attached(certificate)
        ):
            iot["_certificates"].pop_scoped(account, region, record["certificateId"])


def _attached(certificate: dict[str, object]) -> bool:
    return bool(certificate.get("attachedThings") or certificate.get("attachedPolicies"))
