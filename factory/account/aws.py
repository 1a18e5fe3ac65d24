"""AWS through boto3: the only module of the project that imports it.

Credentials, Region and endpoint come from boto3's own chain (environment, profile, SSO,
instance role; ``AWS_ENDPOINT_URL`` for the local AWS), so there is nothing to configure here
and nothing that could hold a secret.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, cached_property
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from device.errors import FirstbootError
from factory import errors
from factory.account.cloud import Account, Cloud, Response, Value, structure, text

if TYPE_CHECKING:
    import boto3
    from botocore.exceptions import ClientError

_log = logging.getLogger(__name__)


class _Paginator(Protocol):
    def paginate(self, **parameters: Value) -> Iterator[Response]: ...


class Client(Protocol):
    """The part of a boto3 client that is used by name; operations are looked up in it."""

    def get_paginator(self, operation_name: str) -> _Paginator:
        """Return what pages through a listing operation."""
        ...


ClientFactory = Callable[[str], Client]
"""Returns a client for a service (``iot``, ``iam``, ``sts``)."""


def clients_of(session: Mapping[str, str], endpoint_url: str | None = None) -> ClientFactory:
    """Return what makes clients of a boto3 session, which ``session`` describes in its words.

    One session for all of them: each new one reads AWS's endpoints again, in 0.1 s.
    ``endpoint_url`` is where the calls go; None leaves that to boto3's own chain.
    """
    one_at_a_time = Lock()  # boto3: clients are for any thread, sessions are not

    @cache
    def opened() -> "boto3.Session":
        with needs_extra():
            import boto3  # noqa: PLC0415 - costs 0.2 s, and `factory make` may not need it
            from botocore.session import Session  # noqa: PLC0415 - as boto3
        # Where the key is given, no profile counts that the shell names; it may not even exist.
        core = Session(_NO_PROFILE) if "aws_access_key_id" in session else None
        return boto3.Session(botocore_session=core, **session)

    def client(service: str) -> Client:
        from botocore.config import Config  # noqa: PLC0415 - as boto3

        # Told not to wait for ever.
        proxies: dict[str, str] | None = (
            {} if endpoint_url and _is_here(endpoint_url) else None
        )  # None: as the shell says
        patience = Config(
            connect_timeout=5, read_timeout=20, retries={"mode": "standard"}, proxies=proxies
        )
        with one_at_a_time:
            made: Client = opened().client(service, config=patience, endpoint_url=endpoint_url)
        return made

    return client


_NO_PROFILE: Final = {"profile": (None, None, None, None)}
"""How botocore is told that a variable of a session has no source."""


def _is_here(url: str) -> bool:
    """Whether ``url`` leads to this machine, which no proxy can reach."""
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}


class Aws:
    """A real AWS account, or the local AWS: the code is the same."""

    def __init__(self, clients: ClientFactory, endpoint_url: str | None = None) -> None:
        """Make nothing yet: clients are made when they are first needed."""
        self.client = cache(clients)
        """A boto3 client by the name of its service, for what the station itself never calls."""
        self.endpoint_url = endpoint_url
        """Where the calls go, if boto3's own chain is not asked."""

    @cached_property
    def account(self) -> Account:
        """Ask STS whose credentials these are, and IoT's client for the Region."""
        caller = self.call("sts", "GetCallerIdentity")
        with _errors_as_ours("iot:DescribeEndpoint"):
            region: str = self.client("iot").meta.region_name  # type: ignore[attr-defined] # boto3 has no types
        return Account(text(caller, "Account"), region, text(caller, "Arn").split(":")[1])

    def call(self, service: str, operation: str, **parameters: Value) -> Response:
        """Call ``operation`` of ``service``; see :class:`factory.account.cloud.Cloud`."""
        _log.debug("calling %s:%s", service, operation)
        with _errors_as_ours(f"{service}:{operation}"):
            method = getattr(self.client(service), _python_name(operation))
            response: Response = method(**parameters)
        return response

    def pages(self, service: str, operation: str, **parameters: Value) -> Iterator[Response]:
        """Yield the pages of ``operation``; see :class:`factory.account.cloud.Cloud`."""
        _log.debug("listing %s:%s", service, operation)
        with _errors_as_ours(f"{service}:{operation}"):
            paginator = self.client(service).get_paginator(_python_name(operation))
            yield from paginator.paginate(**parameters)


def acting_as(cloud: Cloud, role_arn: str) -> Aws:
    """Return the same account as a role sees it, for a quarter of an hour; nothing is stored.

    Raises:
        CloudDeniedError: these credentials may not assume the role.
        CloudError: AWS did not answer, or said no.
    """
    answer = cloud.call(
        "sts", "AssumeRole",
        RoleArn=role_arn, RoleSessionName="firstboot-station", DurationSeconds=900,
    )  # fmt: skip
    credentials = structure(answer, "Credentials")
    session = {
        "aws_access_key_id": text(credentials, "AccessKeyId"),
        "aws_secret_access_key": text(credentials, "SecretAccessKey"),
        "aws_session_token": text(credentials, "SessionToken"),
        "region_name": cloud.account.region,
    }
    url = cloud.endpoint_url if isinstance(cloud, Aws) else None
    return Aws(clients_of(session, url), url)


@contextmanager
def needs_extra() -> Iterator[None]:
    """Name the extra if a library is missing that only the station needs.

    Raises:
        ExtraMissingError: it is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise errors.EXTRA_MISSING.error(library=str(error.name)) from error


def _python_name(operation: str) -> str:
    from botocore import xform_name  # noqa: PLC0415 - not at import, as boto3

    name: str = xform_name(operation)
    return name


# What AWS's error codes mean for the person at the station. Codes: IoT, IAM and STS API
# references, "Common errors".
_BAD_CREDENTIALS = {
    "AuthFailure", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature",
    "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidSignatureException",
    "MissingAuthenticationToken", "MissingAuthenticationTokenException", "OptInRequired",
    "RequestExpired", "SignatureDoesNotMatch", "UnrecognizedClientException",
}  # fmt: skip
_DENIED = {
    "AccessDenied", "AccessDeniedException", "ForbiddenException", "UnauthorizedException",
    "UnauthorizedOperation",
}  # fmt: skip
_MISSING = {
    "NoSuchBucket", "NoSuchEntity", "NoSuchEntityException", "NoSuchTagSet", "NotFoundException",
    "ResourceNotFoundException",
}  # fmt: skip
_IN_USE = {"DeleteConflict", "DeleteConflictException"}
_LIMITS = {
    "LimitExceeded", "LimitExceededException", "ServiceQuotaExceededException",
    "VersionsLimitExceededException",
}  # fmt: skip
_BUSY = {
    "ConcurrentModification", "ConcurrentModificationException",
    "ConflictingResourceUpdateException", "RequestLimitExceeded", "Throttling",
    "ThrottlingException", "TooManyRequestsException",
}  # fmt: skip
_HTTP_TOO_MANY_REQUESTS = 429
_HTTP_SERVER_ERROR = 500


@contextmanager
def _errors_as_ours(action: str) -> Iterator[None]:
    """Turn every failure of the SDK inside the block into one of ``factory.errors``."""
    with needs_extra():
        from botocore import exceptions as sdk  # noqa: PLC0415 - not at import, as boto3
    try:
        yield
    except sdk.ClientError as error:
        raise _answered(action, error) from error
    except (sdk.HTTPClientError, sdk.ConnectionError, sdk.IncompleteReadError) as error:
        raise errors.CLOUD_NOT_REACHABLE.error(f"{action} got no answer: {error}") from error
    except (sdk.BotoCoreError, ValueError, RuntimeError) as error:
        # ValueError is botocore's for an AWS_ENDPOINT_URL that is no URL, and RuntimeError awscrt's
        # for an AWS_DEFAULT_REGION that is empty.
        raise errors.CLOUD_CONFIGURATION.error(f"{action} could not be called: {error}") from error


def _answered(action: str, error: "ClientError") -> FirstbootError:
    """Return our error for an answer of AWS that was not a yes."""
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "?")), str(details.get("Message", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _BAD_CREDENTIALS:
        return errors.CLOUD_CONFIGURATION.error(
            f"AWS rejected the credentials (or this machine's clock is wrong): {code}: {message}"
        )
    if code in _DENIED:
        return errors.CLOUD_DENIED.error(message, action=_denied_action(message) or action)
    if code in _LIMITS:
        return errors.CLOUD_LIMIT.error(f"{action} met a limit: {code}: {message}")
    if code in _BUSY or status == _HTTP_TOO_MANY_REQUESTS or status >= _HTTP_SERVER_ERROR:
        return errors.CLOUD_THROTTLED.error(f"{action} was put off: {code}: {message}")
    if code in _MISSING:
        return errors.NotInCloudError(action, code, message)
    row = errors.STILL_IN_USE if code in _IN_USE else errors.CLOUD_REJECTED
    return errors.CloudRejectedError(action, code, message, row=row)


def _denied_action(message: str) -> str | None:
    """Return the action that IAM names; it may be another one, such as iam:PassRole."""
    found = re.search(r"not authorized to perform: ([\w-]+:\w+)", message)
    return found[1] if found else None
