"""RegisterThing over REST, ``POST /things``: single thing provisioning.

The caller sends a template body and parameters, and gets the certificate's PEM and the ARN of
each resource by its logical name (developer guide, "Single thing provisioning"; botocore model;
docs/aws-iot-facts.md, 1.7 and 4.4). ConflictingResourceUpdateException never comes here:
AWS raises it for two updates at the same moment, and here one request is served after the other.
"""

from localcloud.gaps._support.registration import (
    THE_CALLER,
    check_parameters,
    parse_template,
    register_thing,
    trust_the_caller,
)
from localcloud.gaps._support.rest import Answer, Request, is_unserved, serve
from localcloud.seam import Seam


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
