"""Whatever AWS or the SDK says, the person at the station gets a cause and a next step."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from botocore import exceptions as sdk

from device.errors import ExitCode, FirstbootError, Row
from factory import errors
from factory.account.aws import Aws
from factory.account.certificates import certificates_since
from factory.account.cloud import Account, Response, Value, items, names, structure, text
from factory.account.provisioning_templates import Template, ensure_template
from tests.support.errors import raises
from tests.support.hang import SECONDS


class Failing:
    """A boto3 client whose every operation ends in one error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def create_policy(self, **parameters: Value) -> Response:
        raise self.error

    def get_paginator(self, operation_name: str) -> "Failing":
        assert operation_name == "list_policies"
        return self

    def paginate(self, **parameters: Value) -> Iterator[Response]:
        raise self.error


def aws_that_fails(cause: Exception) -> Aws:
    return Aws(lambda _: Failing(cause))


def answer(code: str, message: str = "words of AWS", status: int = 400) -> sdk.ClientError:
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return sdk.ClientError(response, "CreatePolicy")


ANSWERS = [
    (answer("UnrecognizedClientException", status=403), errors.CLOUD_CONFIGURATION, 3),
    (answer("ExpiredToken", status=403), errors.CLOUD_CONFIGURATION, 3),
    (answer("SignatureDoesNotMatch", status=403), errors.CLOUD_CONFIGURATION, 3),
    (answer("AccessDenied", status=403), errors.CLOUD_DENIED, 4),
    (answer("UnauthorizedException", status=401), errors.CLOUD_DENIED, 4),
    (answer("LimitExceededException", status=410), errors.CLOUD_LIMIT, 4),
    (answer("VersionsLimitExceededException", status=409), errors.CLOUD_LIMIT, 4),
    (answer("ThrottlingException"), errors.CLOUD_THROTTLED, 5),
    (answer("Whatever", status=429), errors.CLOUD_THROTTLED, 5),
    (answer("InternalFailureException", status=500), errors.CLOUD_THROTTLED, 5),
    (answer("DeleteConflictException", status=409), errors.STILL_IN_USE, 5),
    (answer("NoSuchEntity", status=404), errors.NOT_IN_CLOUD, 1),
    (answer("ResourceNotFoundException", status=404), errors.NOT_IN_CLOUD, 1),
    (answer("MalformedPolicyException"), errors.CLOUD_REJECTED, 1),
    (sdk.NoCredentialsError(), errors.CLOUD_CONFIGURATION, 3),
    (sdk.PartialCredentialsError(provider="env", cred_var="x"), errors.CLOUD_CONFIGURATION, 3),
    (sdk.ProfileNotFound(profile="p"), errors.CLOUD_CONFIGURATION, 3),
    (sdk.NoRegionError(), errors.CLOUD_CONFIGURATION, 3),
    (ValueError("Invalid endpoint: x"), errors.CLOUD_CONFIGURATION, 3),
    (sdk.EndpointConnectionError(endpoint_url="http://h"), errors.CLOUD_NOT_REACHABLE, 5),
    (sdk.ConnectTimeoutError(endpoint_url="http://h"), errors.CLOUD_NOT_REACHABLE, 5),
    (sdk.ReadTimeoutError(endpoint_url="http://h"), errors.CLOUD_NOT_REACHABLE, 5),
    (sdk.SSLError(endpoint_url="http://h", error="e"), errors.CLOUD_NOT_REACHABLE, 5),
]


def named(value: object) -> str | None:
    if isinstance(value, sdk.ClientError):
        return str(value.response["Error"]["Code"])
    return type(value).__name__ if isinstance(value, Exception) else None


@pytest.mark.parametrize(("cause", "expected", "exit_code"), ANSWERS, ids=named)
@pytest.mark.parametrize(
    "use",
    [
        lambda aws: aws.call("iot", "CreatePolicy"),
        lambda aws: next(aws.pages("iot", "ListPolicies")),
    ],
    ids=["call", "pages"],
)
def test_every_failure_has_its_own_error_and_exit_code(
    cause: Exception,
    expected: Row,
    exit_code: int,
    use: Callable[[Aws], object],
) -> None:
    with raises(expected) as raised:
        use(aws_that_fails(cause))
    assert raised.value.exit_code == ExitCode(exit_code)
    assert raised.value.next_step


def test_failure_to_make_a_client_is_ours_too() -> None:
    def no_region(service: str) -> Failing:
        raise sdk.NoRegionError

    with raises(errors.CLOUD_CONFIGURATION, match="region"):
        Aws(no_region).call("iot", "CreatePolicy")


def denied(message: str) -> FirstbootError:
    aws = aws_that_fails(answer("AccessDenied", message, 403))
    with raises(errors.CLOUD_DENIED) as raised:
        aws.call("iot", "CreatePolicy")
    return raised.value


def test_denial_names_the_action_that_was_called() -> None:
    error = denied("no")
    assert error.fields["action"] == "iot:CreatePolicy"
    assert "iot:CreatePolicy" in error.next_step


def test_denial_names_the_action_that_iam_names() -> None:
    error = denied("User: arn:aws:iam::1:user/u is not authorized to perform: iam:PassRole on x")
    assert error.fields["action"] == "iam:PassRole"


def test_importing_the_station_does_not_load_the_sdk() -> None:
    code = "import sys, factory.cli; sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=SECONDS)
    assert done.returncode == 0


class Iam:
    """An account where a new role takes a while to become known to AWS IoT."""

    account = Account("123456789012", "eu-west-1")

    def __init__(self, refusals: int, message: str) -> None:
        self.refusals = refusals
        self.message = message
        self.created = False

    def call(self, service: str, operation: str, **parameters: Value) -> Response:
        if operation == "DescribeProvisioningTemplate":
            raise errors.NotInCloudError("iot:x", "ResourceNotFoundException", "none")
        assert operation == "CreateProvisioningTemplate"
        if self.refusals:
            self.refusals -= 1
            raise errors.CloudRejectedError("iot:x", "InvalidRequestException", self.message)
        self.created = True
        return {}

    def pages(self, service: str, operation: str, **parameters: Value) -> Iterator[Response]:
        raise NotImplementedError


def waited(cloud: Iam) -> list[float]:
    pauses: list[float] = []
    ensure_template(cloud, Template("t", "{}", "arn"), sleep=pauses.append)
    return pauses


NOT_KNOWN_YET = "The provisioning role cannot be assumed by AWS IoT"


def test_a_new_role_is_waited_for() -> None:
    cloud = Iam(3, NOT_KNOWN_YET)
    assert waited(cloud) == [1, 2, 4]
    assert cloud.created


def test_a_role_that_never_becomes_known_is_an_error_in_the_end() -> None:
    with pytest.raises(errors.CloudRejectedError, match="cannot be assumed"):
        waited(Iam(100, NOT_KNOWN_YET))


def test_another_refusal_is_not_waited_for() -> None:
    cloud = Iam(1, "the template body is invalid")
    with pytest.raises(errors.CloudRejectedError, match="body is invalid"):
        waited(cloud)
    assert cloud.refusals == 0


def test_account_is_read_from_the_credentials_once() -> None:
    class Sts:
        calls = 0
        meta = type("Meta", (), {"region_name": "cn-north-1"})

        def get_caller_identity(self) -> Response:
            Sts.calls += 1
            return {"Account": "210987654321", "Arn": "arn:aws-cn:iam::210987654321:user/u"}

        def get_paginator(self, operation_name: str) -> Failing:
            raise NotImplementedError

    aws = Aws(lambda _: Sts())
    assert aws.account == aws.account == Account("210987654321", "cn-north-1", "aws-cn")
    assert Sts.calls == 1


@pytest.mark.parametrize("read", [names, items, structure])
def test_what_aws_leaves_out_reads_as_empty(read: Callable[[Response, str], object]) -> None:
    assert not read({}, "missing")


def test_text_that_is_none_is_a_bug_and_says_which() -> None:
    with pytest.raises(TypeError, match="policyName is int"):
        text({"policyName": 1}, "policyName")


class Pages:
    """Certificates as AWS lists them: newest first, page by page."""

    account = Account("123456789012", "eu-west-1")

    def __init__(self, *pages: list[int]) -> None:
        self.listed = pages
        self.read = 0

    def call(self, service: str, operation: str, **parameters: Value) -> Response:
        raise NotImplementedError

    def pages(self, service: str, operation: str, **parameters: Value) -> Iterator[Response]:
        assert parameters == {"ascendingOrder": False}
        for page in self.listed:
            self.read += 1
            certificates: list[Value] = [
                {"certificateId": str(day), "creationDate": day_of(day)} for day in page
            ]
            yield {"certificates": certificates}


def day_of(day: int) -> datetime:
    return datetime(2026, 11, day, tzinfo=UTC)


def test_search_for_a_certificate_ends_where_the_older_ones_begin() -> None:
    cloud = Pages([9, 8], [7, 6], [5, 4])
    assert list(certificates_since(cloud, day_of(7))) == ["9", "8", "7"]
    assert cloud.read == 2


def test_search_for_a_certificate_ends_with_the_last_page() -> None:
    assert list(certificates_since(Pages([9], [8]), day_of(1))) == ["9", "8"]


def test_creation_date_that_is_none_is_a_bug_and_says_so() -> None:
    class Odd(Pages):
        def pages(self, service: str, operation: str, **parameters: Value) -> Iterator[Response]:
            yield {"certificates": [{"certificateId": "1", "creationDate": "today"}]}

    with pytest.raises(TypeError, match="creationDate is str"):
        list(certificates_since(Odd(), day_of(1)))
