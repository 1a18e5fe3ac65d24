"""A thing's attributes keep AWS's rules.

An attribute's name has at most 128 characters of ``a-zA-Z0-9_.,@/:#-``, its value at most 800 of
those and ``=[]``: no space. A thing without a type has three attributes at most, one with a type
fifty (botocore model of AttributePayload; service quotas; docs/aws-iot-facts.md, 3.6).
MiniStack takes any. It matters for provisioning: an organization called ``Example Corp`` in the
subject of a certificate, put into an attribute by a template, ends just-in-time provisioning.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from localcloud.gaps._support.rest import Response
from localcloud.gaps._support.template import Plan, thing_properties
from localcloud.seam import Seam

_NAME: Final = re.compile(r"[a-zA-Z0-9_.,@/:#-]{1,128}")
_VALUE: Final = re.compile(r"[a-zA-Z0-9_.,@/:#=\[\]-]{0,800}")
_MOST: Final = 3
_MOST_WITH_TYPE: Final = 50

Thing = Mapping[str, Any]


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still takes a value with a space."""
    name = "localcloud-probe"
    payload = {"attributePayload": {"attributes": {"a": "b c"}}}
    status: int = iot["_create_thing"](name, payload)[0]
    iot["_things"].pop(name, None)
    return status == 200


def close(iot: Seam) -> None:
    """Refuse attributes that break a rule, in every call that sets some."""
    create: Callable[[str, Thing], Response] = iot["_create_thing"]
    update: Callable[[str, Thing], Response] = iot["_update_thing"]
    apply: Callable[..., Awaitable[str | None]] = iot["_apply_provisioning_plan"]

    def refused(attributes: object, type_name: object) -> Response | None:
        error = attribute_error(attributes, typed=bool(type_name))
        if error is None:
            return None
        response: Response = iot["error_response_json"]("InvalidRequestException", error, 400)
        return response

    def create_thing(name: str, payload: Thing) -> Response:
        return refused(_given(payload), payload.get("thingTypeName")) or create(name, payload)

    def update_thing(name: str, payload: Thing) -> Response:
        thing: Thing = iot["_things"].get(name) or {}
        attributes = _given(payload)
        if (payload.get("attributePayload") or {}).get("merge"):
            attributes = {**thing.get("attributes", {}), **attributes}
        type_name = payload.get("thingTypeName") or thing.get("thingTypeName")
        return refused(attributes, type_name) or update(name, payload)

    async def apply_plan(plan: Plan, *rest: Any) -> str | None:
        properties = thing_properties(plan)
        thing: Thing = iot["_things"].get(properties.get("ThingName")) or {}
        type_name = properties.get("ThingTypeName") or thing.get("thingTypeName")
        error = attribute_error(properties.get("AttributePayload") or {}, typed=bool(type_name))
        if error:
            raise iot["_provisioning_failed"](error)
        return await apply(plan, *rest)

    iot["_create_thing"] = create_thing
    iot["_update_thing"] = update_thing
    iot["_apply_provisioning_plan"] = apply_plan


def attribute_error(attributes: object, *, typed: bool) -> str | None:
    """Say which rule ``attributes`` of a thing break, if any; ``typed``: the thing has a type."""
    if not isinstance(attributes, dict):
        return "attributes must be a map of strings"
    most = _MOST_WITH_TYPE if typed else _MOST
    if len(attributes) > most:
        return f"a thing {'with' if typed else 'without'} a type has at most {most} attributes"
    for name, value in attributes.items():
        if not _NAME.fullmatch(name):
            return _broken("key", name, _NAME)
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            return _broken("value", value, _VALUE)
    return None


def _given(payload: Thing) -> Thing:
    return (payload.get("attributePayload") or {}).get("attributes") or {}


def _broken(part: str, text: object, rule: re.Pattern[str]) -> str:
    return (
        "1 validation error detected: Value at 'attributePayload.attributes' failed to satisfy "
        f"constraint: Map {part} {text!r} must satisfy regular expression pattern: {rule.pattern}"
    )
