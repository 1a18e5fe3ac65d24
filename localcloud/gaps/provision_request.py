"""RegisterThing over MQTT: a request of the wrong kind is rejected, and a template's type counts.

``certificateOwnershipToken`` is a string and ``parameters`` a map of strings (developer guide,
"Device provisioning MQTT API"). Devices use templates of type FLEET_PROVISIONING; one of type JITP
belongs to a CA (same guide, "Just-in-time provisioning"; botocore model, TemplateType). MiniStack
drops parameters that are no map, and applies a template of either type. The words are ours.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from localcloud.broker.provisioning import Reply, rejected
from localcloud.seam import Seam

_JITP: Final = "JITP"


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still looks at no type."""
    return _JITP not in iot["_fleet_register_thing"].__code__.co_consts


def close(iot: Seam) -> None:
    """Look at the request and the template first."""
    register: Callable[..., Awaitable[Reply]] = iot["_fleet_register_thing"]

    async def fleet_register_thing(
        account: str, region: str, name: str, payload: bytes, connection: Any
    ) -> Reply:
        template = iot["_provisioning_templates"].get_scoped(account, region, name) or {}
        if template.get("type") == _JITP:
            text = f"Template {name} is of type {_JITP}, not FLEET_PROVISIONING."
            return rejected("InvalidTemplate", text)
        error = request_error(payload)
        if error:
            return rejected(*error)
        return await register(account, region, name, payload, connection)

    iot["_fleet_register_thing"] = fleet_register_thing


def request_error(payload: bytes) -> tuple[str, str] | None:
    """Return code and words of what is wrong with a request's kinds."""
    try:
        request = json.loads(payload)
    except (ValueError, RecursionError):
        return "InvalidPayload", "Message cannot be parsed"
    if not isinstance(request, dict):
        return "InvalidPayload", "Message cannot be parsed"
    token, parameters = request.get("certificateOwnershipToken"), request.get("parameters")
    if token is not None and not isinstance(token, str):
        return "InvalidPayload", "certificateOwnershipToken must be a string"
    if parameters is not None and not isinstance(parameters, dict):
        return "InvalidParameters", "parameters must be a map of strings"
    for name, value in (parameters or {}).items():
        if not isinstance(value, str):
            return "InvalidParameters", f"parameter {name} must be a string"
    return None
