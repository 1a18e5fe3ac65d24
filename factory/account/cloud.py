"""What the station needs of AWS, as a type: one gate for every call.

Everything that the station does in the cloud goes through :meth:`Cloud.call`, so that
errors are told apart in one place and a test can stop the station between any two calls.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

Value = str | int | bool | bytes | datetime | None | list["Value"] | Mapping[str, "Value"]
"""A value in a request or response, as botocore (de)serialises it."""

Response = Mapping[str, Value]
"""A parsed response; its shape is in AWS's API reference under the operation's name."""

MADE_BY_STATION: Mapping[str, str] = {"made-by": "firstboot-station"}
"""The tag that tells what ``prepare`` made from what was there before."""


@dataclass(frozen=True)
class Account:
    """Where the calls go: an AWS account in one Region."""

    account_id: str
    region: str
    partition: str = "aws"

    @property
    def placeholders(self) -> Mapping[str, str]:
        """The values of ``@partition``, ``@region`` and ``@account`` in config/."""
        return {"partition": self.partition, "region": self.region, "account": self.account_id}

    @property
    def words(self) -> str:
        """Name the account and its Region as one word, ``ACCOUNT:REGION``."""
        return f"{self.account_id}:{self.region}"

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in this account, such as ``iot``, ``rule/NAME``.

        Source: IAM user guide, "IAM ARNs": those of IAM name no Region.
        """
        region = "" if service == "iam" else self.region
        return f"arn:{self.partition}:{service}:{region}:{self.account_id}:{resource}"

    def managed_policy_arn(self, name: str) -> str:
        """Return the ARN of a policy that AWS itself keeps for everybody."""
        return f"arn:{self.partition}:iam::aws:policy/{name}"

    def __str__(self) -> str:
        """Name the account for a person."""
        return f"account {self.account_id}, {self.region}"


class Cloud(Protocol):
    """An AWS account, as far as the station sees it."""

    @property
    def account(self) -> Account:
        """The account that the credentials belong to (one call to STS)."""
        ...

    def call(self, service: str, operation: str, **parameters: Value) -> Response:
        """Call ``operation`` (AWS's spelling, for example ``CreatePolicy``).

        Raises:
            CloudError: the matching subclass of it; ``NotInCloudError`` for a missing resource.
        """
        ...

    def pages(self, service: str, operation: str, **parameters: Value) -> Iterator[Response]:
        """Call a listing ``operation`` until AWS has no more pages.

        Raises:
            CloudError: as for ``call``.
        """
        ...


def text(response: Response, key: str) -> str:
    """Return the text under ``key``; AWS's model promises that it is there."""
    value = response[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} is {type(value).__name__}, not text")
    return value


def items(response: Response, key: str) -> list[Response]:
    """Return the structures listed under ``key``; none if AWS left the list out."""
    value = response.get(key)
    listed = value if isinstance(value, list) else []
    return [item for item in listed if isinstance(item, Mapping)]


def listed(
    cloud: Cloud, service: str, operation: str, key: str, **parameters: Value
) -> list[Response]:
    """Return the structures under ``key`` of every page of a listing.

    Raises:
        CloudError: as for :meth:`Cloud.call`.
    """
    pages = cloud.pages(service, operation, **parameters)
    return [each for page in pages for each in items(page, key)]


def names(response: Response, key: str) -> list[str]:
    """Return the texts listed under ``key``; none if AWS left the list out."""
    value = response.get(key)
    listed = value if isinstance(value, list) else []
    return [item for item in listed if isinstance(item, str)]


def structure(response: Response, key: str) -> Response:
    """Return the structure under ``key``; an empty one if AWS left it out."""
    value = response.get(key)
    return value if isinstance(value, Mapping) else {}
