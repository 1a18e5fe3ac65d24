"""A certificate's status changes as AWS lets it, and connections follow.

UpdateCertificate to PENDING_ACTIVATION or PENDING_TRANSFER is refused, those are set by AWS only;
"once a certificate is revoked, its status can't be changed" (developer guide, "Revoke a client
certificate"); and devices that are connected with a certificate which is not ACTIVE any more are
disconnected "within a few minutes" (botocore model of UpdateCertificate;
docs/aws-iot-facts.md, 1.0 and 5.9), here after some seconds that can be set. MiniStack takes
any status, and a connection lives on. The words of the refusals are ours.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from localcloud.broker.link import EndError
from localcloud.broker.packets import Reason
from localcloud.gaps._support.rest import Response
from localcloud.seam import Seam
from localcloud.settings import Settings

_SET_BY_AWS: Final = ("PENDING_ACTIVATION", "PENDING_TRANSFER")
_PATH: Final = "/certificates/"
_PROBE: Final = "localcloud-probe"


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still takes a status that only AWS sets."""
    certificates = iot["_certificates"]
    certificates[_PROBE] = {"certificateId": _PROBE, "status": "INACTIVE"}
    query = {"newStatus": _SET_BY_AWS[0]}
    status: int = iot["_handle_certificate"]("PUT", _PATH + _PROBE, b"", query)[0]
    certificates.pop(_PROBE, None)
    return status == 200


def close(iot: Seam, settings: Settings) -> None:
    """Refuse what AWS refuses; end the connections of what is not ACTIVE any more."""
    handle: Callable[[str, str, bytes, Mapping[str, str]], Response] = iot["_handle_certificate"]
    tasks: set[asyncio.Task[None]] = set()  # the loop keeps no reference of its own

    def handle_certificate(
        method: str, path: str, body: bytes, query: Mapping[str, str]
    ) -> Response:
        certificate_id = path.removeprefix(_PATH)
        record = iot["_certificates"].get(certificate_id) or {}
        refusal = _refusal(record, query.get("newStatus", "")) if method == "PUT" else None
        if refusal:
            refused: Response = iot["error_response_json"](*refusal)
            return refused
        response = handle(method, path, body, query)
        if record and method != "GET":
            scope = (iot["get_account_id"](), iot["get_region"]())
            wait = settings.disconnect_seconds
            task = asyncio.get_running_loop().create_task(
                _disconnect(iot, scope, certificate_id, wait)
            )
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        return response

    iot["_handle_certificate"] = handle_certificate


def _refusal(record: Mapping[str, Any], wanted: str) -> tuple[str, str, int] | None:
    if wanted in _SET_BY_AWS:
        return "InvalidRequestException", f"{wanted} is set by AWS IoT only", 400
    if record.get("status") == "REVOKED" != wanted:
        message = "The status of a revoked certificate cannot be changed"
        return "CertificateStateException", message, 406
    return None


async def _disconnect(
    iot: Seam, scope: tuple[str, str], certificate_id: str, seconds: float
) -> None:
    await asyncio.sleep(seconds)
    record = iot["_certificates"].get_scoped(*scope, certificate_id) or {}
    if record.get("status") == "ACTIVE":
        return
    for (account, region, _client), session in list(iot["_connected_clients"].items()):
        if (account, region) == scope and session.certificate_id == certificate_id:
            text = f"certificate {certificate_id} is not ACTIVE any more"
            await session.close(EndError(Reason.NOT_AUTHORIZED, text, "AUTH_ERROR"))
