"""RegisterThing over REST, ``POST /things``: single thing provisioning.

The caller sends a template body and parameters, and gets the certificate's PEM and the ARN of
each resource by its logical name (developer guide, "Single thing provisioning"; botocore model;
docs/aws-iot-facts.md, 1.7 and 4.4). ConflictingResourceUpdateException never comes here:
AWS raises it for two updates at the same moment, and here one request is served after the other.
"""

from collections.abc import Mapping
from typing import Final

from localcloud.gaps._support.registration import (
    THE_CALLER,
    parse_template,
    register_thing,
    trust_the_caller,
)
from localcloud.gaps._support.rest import Answer, RefusedError, Request, is_unserved, serve
from localcloud.seam import Seam

_LONGEST_NAME: Final = 2048  # characters, botocore model
_LONGEST_VALUE: Final = 4096


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still does not know the path."""
    return is_unserved(iot, "POST", "/things")


def close(iot: Seam) -> None:
    """Serve RegisterThing."""
    trust_the_caller(iot)

    async def serve_register_thing(request: Request) -> Answer:
        body = parse_template(request.body.get("templateBody"))
        parameters = check_parameters(request.body.get("parameters"))
        made = await register_thing(iot, body, parameters, THE_CALLER)
        return {"certificatePem": made.certificate_pem, "resourceArns": made.resource_arns}

    serve(iot, {"POST /things": serve_register_thing})


def check_parameters(given: object) -> Mapping[str, str]:
    """Return the parameters of a request.

    Raises:
        RefusedError: they are no map of strings, or one is too long.
    """
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise RefusedError("InvalidRequestException", "parameters must be a map of strings")
    for name, value in given.items():
        if not isinstance(value, str):
            raise RefusedError("InvalidRequestException", f"parameter {name} must be a string")
        if len(name) > _LONGEST_NAME or len(value) > _LONGEST_VALUE:
            raise RefusedError("InvalidRequestException", f"parameter {name[:80]} is too long")
    return given
