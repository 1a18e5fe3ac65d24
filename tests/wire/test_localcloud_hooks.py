"""Pre-provisioning hooks: what a template's Lambda is told, and what its answer does."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_registry import (
    DEVICE_POLICY,
    THINGS_REGISTRATION,
    make_role,
    mark,
    template,
)
from tests.wire.localcloud_sdk import (
    Credential,
    IdentityV2,
    RejectedError,
    add_certificate,
    claim_policy,
    mqtt5_client,
    new_csr,
)

pytestmark = pytest.mark.wire

HANDLER = """
import json

def handler(event, context):
    "Do what the device asks for: its parameter Answer is this hook's answer."
    answer = json.loads(event["parameters"]["Answer"])
    if answer == "everything":
        seen = ",".join(sorted(event)) + "=" + event["clientId"]
        return {"allowProvisioning": True, "parameterOverrides": {"Seen": seen}}
    if answer == "raise":
        raise ValueError("a bug")
    return answer
"""


@pytest.fixture(scope="module")
def iot(local_cloud: LocalCloud) -> Any:
    return local_cloud.client("iot")


@pytest.fixture(scope="module")
def function(local_cloud: LocalCloud) -> str:
    """The hook; AWS IoT may invoke it."""
    code, name = io.BytesIO(), mark("hook")
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("hook.py", HANDLER)
    functions = local_cloud.client("lambda")
    made = functions.create_function(
        FunctionName=name, Runtime="python3.12", Handler="hook.handler", Timeout=30,
        Role=make_role(local_cloud, service="lambda"), Code={"ZipFile": code.getvalue()},
    )  # fmt: skip
    functions.add_permission(
        FunctionName=name, StatementId="iot", Action="lambda:InvokeFunction",
        Principal="iot.amazonaws.com",
    )  # fmt: skip
    return str(made["FunctionArn"])


@pytest.fixture(scope="module")
def hooked(local_cloud: LocalCloud, iot: Any, function: str) -> tuple[str, Credential]:
    """A template with the hook, and a claim for it."""
    name = mark("template")
    iot.create_provisioning_template(
        templateName=name, enabled=True,
        provisioningRoleArn=make_role(local_cloud, THINGS_REGISTRATION),
        preProvisioningHook={"targetArn": function, "payloadVersion": "2020-04-01"},
        templateBody=template(
            {"ThingName": {"Ref": "SerialNumber"}, "AttributePayload": {"seen": {"Ref": "Seen"}}},
            {"PolicyDocument": DEVICE_POLICY},
            parameters=("SerialNumber", "Answer"),
            Parameters={"Seen": {"Type": "String", "Default": "nothing"}},
        ),
    )  # fmt: skip
    return name, add_certificate(local_cloud, claim_policy(name))


@pytest.fixture
def serial() -> str:
    return mark("SN")


@pytest.fixture
def ask(
    local_cloud: LocalCloud, hooked: tuple[str, Credential], serial: str
) -> Iterator[Callable[[object], None]]:
    """Ask for registration again and again, with one token, for an answer of the hook."""
    name, claim = hooked
    with mqtt5_client(local_cloud, claim, f"claim-{serial}") as client:
        identity = IdentityV2(client)
        token = identity.create_from_csr(new_csr(serial)[0]).certificate_ownership_token
        yield lambda answer: identity.register(name, token, serial, Answer=json.dumps(answer))


def attributes(iot: Any, serial: str) -> dict[str, str]:
    return dict(iot.describe_thing(thingName=serial)["attributes"])


def test_it_is_told_everything_and_may_override_a_parameter(
    iot: Any, ask: Callable[[object], None], serial: str
) -> None:
    ask("everything")

    told = (
        "certificateId,certificatePem,claimCertificateId,clientId,parameters,templateArn"
        f"=claim-{serial}"
    )
    assert attributes(iot, serial) == {"seen": told}


@pytest.mark.parametrize(
    ("answer", "rejection"),
    [
        ({"allowProvisioning": False}, (403, "AccessDenied")),
        ({"allowProvisioning": None}, (400, "InvalidResult")),
        ({}, (400, "InvalidResult")),
        (None, (400, "InvalidResult")),
        ({"allowProvisioning": True, "parameterOverrides": ["a"]}, (400, "InvalidResult")),
        ("raise", (400, "InvocationError")),
    ],
)
def test_what_is_no_yes_makes_nothing_and_the_token_stays_good(
    iot: Any, ask: Callable[[object], None], serial: str, answer: object, rejection: tuple[int, str]
) -> None:
    with pytest.raises(RejectedError) as rejected:
        ask(answer)

    assert (rejected.value.status_code, rejected.value.error_code) == rejection
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_thing(thingName=serial)
    ask({"allowProvisioning": True})
    assert attributes(iot, serial) == {"seen": "nothing"}


@pytest.mark.parametrize("kind", ["JITP", "FLEET_PROVISIONING"])
def test_a_hook_goes_with_a_fleet_and_a_lambda_that_may_be_invoked(
    local_cloud: LocalCloud, iot: Any, function: str, kind: str
) -> None:
    nobodys = function if kind == "JITP" else function + "-that-is-not-there"
    problem = "not supported for template type: JITP" if kind == "JITP" else "Access denied"
    with pytest.raises(ClientError, match=problem):
        iot.create_provisioning_template(
            templateName=mark("template"), type=kind,
            provisioningRoleArn=make_role(local_cloud, THINGS_REGISTRATION),
            preProvisioningHook={"targetArn": nobodys, "payloadVersion": "2020-04-01"},
            templateBody=template(
                {"ThingName": "any"}, {"PolicyDocument": DEVICE_POLICY}, parameters=()
            ),
        )  # fmt: skip
