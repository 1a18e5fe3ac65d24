"""AWS deletes a thing type five minutes after it was deprecated; the local AWS does not wait."""

import json
from collections.abc import Iterator

from device.errors import ExitCode
from factory.account.cloud import MADE_BY_STATION, Account, Response, Value
from factory.account.template_resources import remove_named
from factory.errors import STILL_IN_USE, CloudRejectedError
from tests.support.errors import raises

TEMPLATE = json.dumps({"Resources": {"thing": {"Properties": {"ThingTypeName": "a-type"}}}})


class Slow:
    """A cloud with a thing type that was deprecated just now."""

    account = Account("1", "eu-west-1")

    def __init__(self) -> None:
        self.calls: list[str] = []

    def call(self, service: str, operation: str, **parameters: Value) -> Response:
        self.calls.append(operation)
        if operation == "DeleteThingType":
            raise CloudRejectedError("iot:DeleteThingType", "InvalidRequestException", "wait")
        deprecated = "DeprecateThingType" in self.calls
        return {"thingTypeArn": "arn", "thingTypeMetadata": {"deprecated": deprecated}}

    def pages(self, service: str, operation: str, **parameters: Value) -> Iterator[Response]:
        tags: list[Value] = [{"Key": key, "Value": text} for key, text in MADE_BY_STATION.items()]
        yield {"tags": tags}


def test_type_that_aws_does_not_delete_yet_is_a_matter_of_minutes() -> None:
    cloud = Slow()
    for _ in range(2):
        with raises(STILL_IN_USE) as raised:
            remove_named(cloud, TEMPLATE, "a-method")
        assert raised.value.exit_code is ExitCode.TRY_LATER
        assert "five minutes" in raised.value.next_step
    assert cloud.calls.count("DeprecateThingType") == 1
