"""A CA's key in AWS KMS: made there, never seen outside, asked for signatures only.

AWS KMS developer guide, "Asymmetric keys in AWS KMS", "Using aliases", "Deleting AWS KMS keys".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from factory.account.changes import Change, Outcome
from factory.account.cloud import MADE_BY_STATION, Cloud, Response, items, structure, text
from factory.account.tags import owned
from factory.errors import NOT_MADE_BY_STATION, NotInCloudError

KIND: Final = "KMS key"
_ALIAS: Final = "alias"
_USE: Final = "firstboot-signs-for"
_DAYS: Final = 7
"""How long AWS keeps a key that is to be deleted; the shortest that it allows."""


@dataclass(frozen=True)
class SigningKey:
    """A key on P-256 that signs, as AWS knows it."""

    arn: str
    public_key: bytes
    """SubjectPublicKeyInfo, in DER."""

    @property
    def key_id(self) -> str:
        """The key's id, which ends its ARN."""
        return self.arn.rpartition("/")[2]


def ensure_signing_key(cloud: Cloud, name: str) -> tuple[Change, SigningKey]:
    """Make the key that the alias ``name`` stands for, unless there is one that can sign.

    One that someone disabled, or had deleted, stays so, and another takes its place. A run that
    was cut between key and alias is completed: the key is found by its tag.

    Raises:
        NotMadeByStationError: someone else's key has the alias.
        CloudError: AWS did not answer, or said no.
    """
    found = _find(cloud, name)
    if found and _can_sign(found):
        return Change(KIND, name, Outcome.UNCHANGED), _signing_key(cloud, found)
    made = next(_without_alias(cloud, name), None) or _create(cloud, name)
    operation = "UpdateAlias" if found else "CreateAlias"
    cloud.call("kms", operation, AliasName=_alias(name), TargetKeyId=text(made, "KeyId"))
    note = f"the former one is {text(found, 'KeyState')}, and stays so" if found else ""
    return Change(KIND, name, Outcome.CREATED, note), _signing_key(cloud, made)


def remove_signing_key(cloud: Cloud, name: str) -> list[Change]:
    """Have the key deleted, and any that a run which was cut has left.

    AWS keeps it for seven days, in which it signs nothing and can be had back.

    Raises:
        NotMadeByStationError: someone else's key has the alias.
        CloudError: AWS did not answer, or said no.
    """
    found = _find(cloud, name)
    for key in [*([found] if found and _is_kept(found) else []), *_without_alias(cloud, name)]:
        cloud.call(
            "kms", "ScheduleKeyDeletion", KeyId=text(key, "KeyId"), PendingWindowInDays=_DAYS
        )
    if not found:
        return [Change(KIND, name, Outcome.ABSENT)]
    cloud.call("kms", "DeleteAlias", AliasName=_alias(name))
    return [Change(KIND, name, Outcome.REMOVED, f"AWS deletes it in {_DAYS} days")]


def _alias(name: str) -> str:
    return f"{_ALIAS}/{name}"


def _find(cloud: Cloud, name: str) -> Response | None:
    """Return the key behind the alias ``name``."""
    try:
        found = structure(cloud.call("kms", "DescribeKey", KeyId=_alias(name)), "KeyMetadata")
    except NotInCloudError:
        return None
    if not _is_ours(cloud, text(found, "KeyId")):
        raise NOT_MADE_BY_STATION.error(
            f"the {KIND} behind {_alias(name)} exists, but the station did not create it"
        )
    return found


def _without_alias(cloud: Cloud, name: str) -> Iterator[Response]:
    """Yield the keys that were made for ``name`` and never got their alias."""
    for page in cloud.pages("kms", "ListKeys"):
        for each in items(page, "Keys"):
            key_id = text(each, "KeyId")
            if (_USE, name) not in _tags(cloud, key_id):
                continue
            found = structure(cloud.call("kms", "DescribeKey", KeyId=key_id), "KeyMetadata")
            aliases = cloud.call("kms", "ListAliases", KeyId=key_id)
            if _can_sign(found) and not items(aliases, "Aliases"):
                yield found


def _create(cloud: Cloud, name: str) -> Response:
    tags = {**MADE_BY_STATION, _USE: name}
    made = cloud.call(
        "kms", "CreateKey", KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY",
        Description="Signs device certificates (Firstboot)",
        Tags=[{"TagKey": key, "TagValue": value} for key, value in tags.items()],
    )  # fmt: skip
    return structure(made, "KeyMetadata")


def _signing_key(cloud: Cloud, found: Response) -> SigningKey:
    answer = cloud.call("kms", "GetPublicKey", KeyId=text(found, "KeyId"))
    public_key = answer["PublicKey"]
    if not isinstance(public_key, bytes):
        raise TypeError("PublicKey is not bytes")  # AWS's model promises them
    return SigningKey(text(found, "Arn"), public_key)


def _can_sign(found: Response) -> bool:
    return found["KeyState"] == "Enabled"


def _is_kept(found: Response) -> bool:
    return found["KeyState"] != "PendingDeletion"


def _is_ours(cloud: Cloud, key_id: str) -> bool:
    return owned(dict(_tags(cloud, key_id)))


def _tags(cloud: Cloud, key_id: str) -> list[tuple[str, str]]:
    """Return the tags of a key; none of one that these credentials may not look at."""
    pages = cloud.pages("kms", "ListResourceTags", KeyId=key_id)
    tags = [tag for page in pages for tag in items(page, "Tags")]
    return [(text(tag, "TagKey"), text(tag, "TagValue")) for tag in tags]
