"""A certificate can be attached to one thing exclusively.

``thingPrincipalType=EXCLUSIVE_THING`` in AttachThingPrincipal, or ``ThingPrincipalType`` in a
template's Certificate resource: the certificate belongs to that thing and to no other until it
is detached, and thing policy variables resolve for it under any client id. The two V2 lists tell
the type (developer guide, "Associating an AWS IoT thing to an MQTT client connection"; botocore
model; docs/aws-iot-facts.md, 3.2 and 6). The words of the refusal are ours.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from localcloud.broker.policies import EXCLUSIVE_MARK
from localcloud.gaps._support.rest import (
    Answer,
    RefusedError,
    Request,
    Response,
    is_unserved,
    page,
    serve,
)
from localcloud.gaps._support.template import Plan, certificate_properties, thing_properties
from localcloud.seam import Seam

EXCLUSIVE: Final = "EXCLUSIVE_THING"
_SHARED: Final = "NON_EXCLUSIVE_THING"

Certificate = dict[str, Any]


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still does not list the type of an attachment."""
    return is_unserved(iot, "GET", "/principals/things-v2")


def close(iot: Seam) -> None:
    """Keep exclusive attachments, and list them; the broker's policies see them."""
    iot["_handle_thing_principals"] = _attach_and_detach(iot)
    iot["_apply_provisioning_plan"] = _apply_plan(iot)

    async def list_principals(request: Request) -> Answer:
        thing = _known(iot["_things"].get(request.parts["thingName"]), "thing")
        certificates = [_of_arn(iot, arn) for arn in thing.get("principals", [])]
        kinds = [_kind(found, thing["thingName"]) for found in certificates]
        found = zip(thing.get("principals", []), kinds, strict=True)
        return _listed(request, "thingPrincipalObjects", "principal", list(found))

    async def list_things(request: Request) -> Answer:
        principal = request.query.get("principal", "")
        certificate = _known(_of_arn(iot, principal), "principal")
        names = [arn.rpartition("/")[2] for arn in certificate.get("attachedThings", [])]
        found = [(name, _kind(certificate, name)) for name in names]
        return _listed(request, "principalThingObjects", "thingName", found)

    serve(
        iot,
        {
            "GET /things/{thingName}/principals-v2": list_principals,
            "GET /principals/things-v2": list_things,
        },
    )


def _attach_and_detach(iot: Seam) -> Callable[..., Response]:
    handle: Callable[..., Response] = iot["_handle_thing_principals"]

    def handle_thing_principals(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, str]
    ) -> Response:
        thing = path.split("/")[2]
        certificate = _of_arn(iot, headers.get("x-amzn-principal", "")) or {}
        kind = query.get("thingPrincipalType", _SHARED)
        error = _conflict(certificate, thing, kind) if method == "PUT" else None
        if error:
            refused: Response = iot["error_response_json"]("InvalidRequestException", error, 400)
            return refused
        response = handle(method, path, headers, body, query)
        if response[0] == 200 and method == "PUT":
            _mark(iot, certificate, thing, kind)
        if method == "DELETE" and certificate.get(EXCLUSIVE_MARK) == thing:
            _mark(iot, certificate, thing, _SHARED)
        return response

    return handle_thing_principals


def _apply_plan(iot: Seam) -> Callable[..., Awaitable[str | None]]:
    apply: Callable[..., Awaitable[str | None]] = iot["_apply_provisioning_plan"]

    async def apply_plan(plan: Plan, certificate: Certificate, role_arn: str) -> str | None:
        properties = certificate_properties(plan)
        kind = properties.get("ThingPrincipalType", _SHARED)
        error = _conflict(certificate, thing_properties(plan).get("ThingName"), kind)
        if error:
            raise iot["_provisioning_failed"](error)
        thing = await apply(plan, certificate, role_arn)
        if thing is not None:
            _mark(iot, certificate, thing, kind)
        return thing

    return apply_plan


def _conflict(certificate: Mapping[str, Any], thing: str | None, kind: str) -> str | None:
    owner = certificate.get(EXCLUSIVE_MARK)
    if owner not in {None, thing}:
        return f"The certificate is attached to thing {owner} exclusively; detach it first."
    others = [arn.rpartition("/")[2] for arn in certificate.get("attachedThings", [])]
    if kind == EXCLUSIVE and any(other != thing for other in others):
        return f"The certificate is attached to {', '.join(others)}: it cannot be exclusive."
    return None


def _mark(iot: Seam, certificate: Certificate, thing: str, kind: str) -> None:
    certificate[EXCLUSIVE_MARK] = thing if kind == EXCLUSIVE else None
    iot["_certificates"][certificate["certificateId"]] = certificate


def _kind(certificate: Mapping[str, Any] | None, thing: str) -> str:
    return EXCLUSIVE if certificate and certificate.get(EXCLUSIVE_MARK) == thing else _SHARED


def _of_arn(iot: Seam, arn: str) -> Certificate | None:
    certificate: Certificate | None = iot["_certificates"].get(arn.rpartition("/")[2])
    return certificate


def _known(found: Mapping[str, Any] | None, what: str) -> Mapping[str, Any]:
    if found is None:
        message = f"The {what} does not exist in your account"
        raise RefusedError("ResourceNotFoundException", message, 404)
    return found


def _listed(request: Request, member: str, name: str, found: list[tuple[str, str]]) -> Answer:
    wanted = request.query.get("thingPrincipalType")
    kept = [(item, kind) for item, kind in found if wanted in {None, kind}]
    shown, token = page(request, kept)
    objects = [{name: item, "thingPrincipalType": kind} for item, kind in shown]
    return {member: objects, "nextToken": token}
