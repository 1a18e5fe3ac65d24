"""The name that a device dials says which account and Region it means.

Each account has its endpoint, ``<prefix>-ats.iot.<region>.amazonaws.com``; the TLS client sends
it as server name (SNI), and only that account's registry counts: the same certificate may be
ACTIVE in several accounts and Regions, and a certificate of another account is refused (developer
guide, "Multi-account registration" and "Transport security"; docs/aws-iot-facts.md, 1.3,
5.2 and 5.9). MiniStack looks at the prefix for just-in-time registration only, never at the
Region, and refuses a certificate that is ACTIVE in several scopes whatever the device dials.

Here the names end in ``.localhost``, which no name server ever hands to the network (RFC 6761),
so a device that was left without its proxy (`localcloud.door.connect_tunnel`) cannot dial AWS by
mistake; names that end in ``.amazonaws.com`` count as well. DescribeEndpoint tells the name. Any
other name, such as ``localhost``, means whichever account the certificate is ACTIVE in, as in
MiniStack.
"""

import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final

from botocore.session import Session

from localcloud.gaps._support.rest import Response
from localcloud.gaps._support.scopes import Found, found_in_any_scope
from localcloud.seam import Seam

_DOMAINS: Final = ("localhost", "amazonaws.com")
_ENDPOINT: Final = re.compile(
    rf"(?P<prefix>[0-9a-z]+)-ats\.iot\.(?P<region>[0-9a-z-]+)\.({'|'.join(_DOMAINS)})"
)
_dialled: ContextVar[str] = ContextVar("dialled_server_name", default="")


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still decides without the server name whose certificate it is."""
    code = iot["_mtls_resolve_identity"].__code__
    return "server_name" not in code.co_varnames


def close(iot: Seam) -> None:
    """Let the dialled name choose the account and Region; serve every such name."""
    iot["_mtls_serve_conn"] = _remembering(iot)
    iot["_mtls_active_registrations"] = _in_scope(iot)
    iot["_mtls_refusal_reason"] = _without_a_search(iot)
    iot["_mtls_claim_scope"] = _claim_in_scope(iot)
    iot["_mtls_auto_registering_ca"] = _ca_in_scope(iot)
    iot["_mtls_server_cert_sans"] = _with_every_region(iot)
    iot["_describe_endpoint"] = _describing(iot)


def endpoint_name(iot: Seam, account: str, region: str) -> str:
    """Return the name to dial for ``account`` in ``region``."""
    return f"{iot['_endpoint_prefix'](account)}-ats.iot.{region}.{_DOMAINS[0]}"


def is_endpoint(name: str) -> bool:
    """Whether ``name`` is of the form of an account's endpoint."""
    return _ENDPOINT.fullmatch(name.lower().rstrip(".")) is not None


def _reaches(iot: Seam, name: str, account: str, region: str) -> bool:
    found = _ENDPOINT.fullmatch(name.lower().rstrip("."))
    if found is None:
        return True
    return (found["prefix"], found["region"]) == (iot["_endpoint_prefix"](account), region)


def _remembering(iot: Seam) -> Callable[..., Awaitable[None]]:
    serve: Callable[..., Awaitable[None]] = iot["_mtls_serve_conn"]

    async def serve_conn(reader: Any, writer: Any) -> None:
        # Each connection is served by a task of its own, so this is forgotten with it.
        name = iot["_mtls_server_names"].get(writer.get_extra_info("ssl_object"))
        _dialled.set(name or "")
        await serve(reader, writer)

    return serve_conn


def _in_scope(iot: Seam) -> Callable[..., list[Found]]:
    # MiniStack's looks at every certificate there is, at each connect.
    def active_registrations(certificate_id: str, status: str | None = "ACTIVE") -> list[Found]:
        return [
            (account, region, record)
            for account, region, record in found_in_any_scope(iot["_certificates"], certificate_id)
            if (status is None or record.get("status") == status)
            and _reaches(iot, _dialled.get(), account, region)
        ]

    return active_registrations


def _without_a_search(iot: Seam) -> Callable[[str], str]:
    tell: Callable[[str], str] = iot["_mtls_refusal_reason"]

    def refusal_reason(certificate_id: str) -> str:
        held = found_in_any_scope(iot["_certificates"], certificate_id)
        if len(held) > 1:
            return tell(certificate_id)
        return f"status {held[0][2].get('status')!r}" if held else "not registered"

    return refusal_reason


def _claim_in_scope(iot: Seam) -> Callable[[str], tuple[str, str, str] | None]:
    find: Callable[[str], tuple[str, str, str] | None] = iot["_mtls_claim_scope"]

    def claim_scope(certificate_id: str) -> tuple[str, str, str] | None:
        found = find(certificate_id)
        return found if found and _reaches(iot, _dialled.get(), *found[:2]) else None

    return claim_scope


def _ca_in_scope(iot: Seam) -> Callable[..., dict[str, Any] | None]:
    find: Callable[..., dict[str, Any] | None] = iot["_mtls_auto_registering_ca"]

    def auto_registering_ca(
        account: str, region: str, ca_id: str | None, server_name: str | None = None
    ) -> dict[str, Any] | None:
        if not _reaches(iot, server_name or "", account, region):
            return None
        return find(account, region, ca_id, server_name)

    return auto_registering_ca


def _with_every_region(iot: Seam) -> Callable[[], tuple[list[str], list[str]]]:
    sans: Callable[[], tuple[list[str], list[str]]] = iot["_mtls_server_cert_sans"]
    regions: list[str] = Session().get_available_regions("iot")
    wildcards = [f"*.iot.{region}.{domain}" for region in regions for domain in _DOMAINS]

    def server_cert_sans() -> tuple[list[str], list[str]]:
        names, addresses = sans()
        return [*names, *(name for name in wildcards if name not in names)], addresses

    return server_cert_sans


def _describing(iot: Seam) -> Callable[[dict[str, str]], Response]:
    describe: Callable[[dict[str, str]], Response] = iot["_describe_endpoint"]

    def describe_endpoint(query: dict[str, str]) -> Response:
        if query.get("endpointType", "iot:Data-ATS") != "iot:Data-ATS":
            return describe(query)
        name = endpoint_name(iot, iot["get_account_id"](), iot["get_region"]())
        response: Response = iot["json_response"]({"endpointAddress": name})
        return response

    return describe_endpoint
