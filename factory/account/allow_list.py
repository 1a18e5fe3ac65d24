"""The devices that were made, in DynamoDB, where the station's Lambdas look them up.

One table for all methods, keyed by serial number. JITR's Lambda notes in an entry which
certificate uses it; the claim's hook finds the key there that a device proves to hold.
"""

import time
from typing import Final

from factory.account.changes import Change, Outcome
from factory.account.cloud import Cloud, Response, Value, items, structure, text
from factory.account.propagation import Sleep, wait_until
from factory.account.tags import USED_BY, check_owned, station_tags, users_in
from factory.errors import SERIAL_NUMBER_TAKEN, NotInCloudError

TABLE: Final = "firstboot-allow-list"
KIND: Final = "allow-list (DynamoDB)"
_KEY: Final = "SerialNumber"
_TAKEN_BY: Final = "CertificateId"
"""Noted by ``lambdas/jitr_activate.py``."""


def ensure_table(cloud: Cloud, user: str, sleep: Sleep = time.sleep) -> Change:
    """Make the table, or note that ``user`` needs it, too.

    Raises:
        NotMadeByStationError: someone else's table has this name.
        CloudError: AWS did not answer, or said no.
    """
    table = _find(cloud)
    if table is None:
        cloud.call(
            "dynamodb", "CreateTable", TableName=TABLE, BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": _KEY, "AttributeType": "S"}],
            KeySchema=[{"AttributeName": _KEY, "KeyType": "HASH"}], Tags=station_tags(user),
        )  # fmt: skip
        wait_until(f"the table {TABLE}", lambda: _is_active(cloud), sleep)
        return Change(KIND, TABLE, Outcome.CREATED)
    wait_until(f"the table {TABLE}", lambda: _is_active(cloud), sleep)
    arn = text(table, "TableArn")
    if user in users_in(_tags(cloud, arn)):
        return Change(KIND, TABLE, Outcome.UNCHANGED)
    tag: Value = {"Key": f"{USED_BY}{user}", "Value": "method"}
    cloud.call("dynamodb", "TagResource", ResourceArn=arn, Tags=[tag])
    return Change(KIND, TABLE, Outcome.UPDATED, f"now for {user}, too")


def remove_table(cloud: Cloud, user: str) -> Change:
    """Delete the table with its entries, unless another method needs it.

    Raises:
        NotMadeByStationError: someone else's table has this name.
        CloudError: AWS did not answer, or said no.
    """
    table = _find(cloud)
    if table is None:
        return Change(KIND, TABLE, Outcome.ABSENT)
    arn = text(table, "TableArn")
    users = users_in(_tags(cloud, arn))
    if others := users - {user}:
        if user in users:
            cloud.call("dynamodb", "UntagResource", ResourceArn=arn, TagKeys=[f"{USED_BY}{user}"])
        return Change(KIND, TABLE, Outcome.KEPT, f"still needed: {', '.join(sorted(others))}")
    cloud.call("dynamodb", "DeleteTable", TableName=TABLE)
    return Change(KIND, TABLE, Outcome.REMOVED)


def allow(cloud: Cloud, serial_number: str, certificate_id: str) -> Change:
    """Put ``serial_number`` on the list, for the device with this certificate.

    Raises:
        SerialNumberTakenError: the Lambda has given it to another certificate.
        NotInCloudError: there is no list: the method was not prepared here.
        CloudError: AWS did not answer, or said no.
    """
    key: Value = {_KEY: {"S": serial_number}}
    found = cloud.call("dynamodb", "GetItem", TableName=TABLE, Key=key, ConsistentRead=True)
    if "Item" in found:
        taken = structure(structure(found, "Item"), _TAKEN_BY).get("S", certificate_id)
        if taken != certificate_id:
            raise SERIAL_NUMBER_TAKEN.error(
                serial_number=serial_number, certificate_id=str(taken), table=TABLE
            )
        return Change("allow-list entry", serial_number, Outcome.UNCHANGED)
    cloud.call("dynamodb", "PutItem", TableName=TABLE, Item=key)
    return Change("allow-list entry", serial_number, Outcome.CREATED)


def allow_with_proof(cloud: Cloud, serial_number: str, proof_key: bytes) -> None:
    """Put ``serial_number`` on the list with the key that its device proves to hold.

    A device that is made again has a new key, which takes the place of the old one.

    Raises:
        NotInCloudError: there is no list: the hook was not prepared here.
        CloudError: AWS did not answer, or said no.
    """
    cloud.call(
        "dynamodb", "UpdateItem", TableName=TABLE, Key={_KEY: {"S": serial_number}},
        UpdateExpression="SET ProofKey = :key",
        ExpressionAttributeValues={":key": {"B": proof_key}},
    )  # fmt: skip


def release(cloud: Cloud, serial_number: str) -> None:
    """Forget which certificate has taken ``serial_number``, so that another device may.

    Raises:
        NotInCloudError: there is no list here.
        CloudError: AWS did not answer, or said no.
    """
    cloud.call(
        "dynamodb", "UpdateItem", TableName=TABLE, Key={_KEY: {"S": serial_number}},
        UpdateExpression=f"REMOVE {_TAKEN_BY}",
    )  # fmt: skip


def _find(cloud: Cloud) -> Response | None:
    try:
        table = structure(cloud.call("dynamodb", "DescribeTable", TableName=TABLE), "Table")
    except NotInCloudError:
        return None
    check_owned(KIND, TABLE, _tags(cloud, text(table, "TableArn")))
    return table


def _tags(cloud: Cloud, arn: str) -> list[Response]:
    pages = cloud.pages("dynamodb", "ListTagsOfResource", ResourceArn=arn)
    return [tag for page in pages for tag in items(page, "Tags")]


def _is_active(cloud: Cloud) -> bool:
    table = structure(cloud.call("dynamodb", "DescribeTable", TableName=TABLE), "Table")
    return table["TableStatus"] == "ACTIVE"
