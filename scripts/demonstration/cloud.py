"""Asks the cloud, with boto3, what it knows of a device."""

from collections.abc import Mapping
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from scripts.demonstration.commands import CommandFailedError

_QUESTION: Final = "boto3: describe thing and certificate"


def registered(cloud: Mapping[str, str], thing_name: str, certificate_id: str) -> Mapping[str, str]:
    """Return the thing, its certificate and its policy, from the ``cloud`` of these variables.

    Raises:
        CommandFailedError: they are not what a provisioned device has.
    """
    iot: Any = boto3.client(
        "iot",
        endpoint_url=cloud["AWS_ENDPOINT_URL"],
        region_name=cloud["AWS_DEFAULT_REGION"],
        aws_access_key_id=cloud["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=cloud["AWS_SECRET_ACCESS_KEY"],
        config=Config(proxies={}),
    )
    try:
        thing = iot.describe_thing(thingName=thing_name)
        certificate = iot.describe_certificate(certificateId=certificate_id)
        description = certificate["certificateDescription"]
        arn, status = description["certificateArn"], description["status"]
        principals = iot.list_thing_principals(thingName=thing_name)["principals"]
        policies = iot.list_attached_policies(target=arn)["policies"]
    except (ClientError, BotoCoreError) as error:
        raise CommandFailedError(_QUESTION, str(error), 1) from error
    if status != "ACTIVE" or principals != [arn]:
        found = f"certificate {status}, attached to the thing: {principals}"
        raise CommandFailedError(_QUESTION, found, 1)
    return {
        "thing": f"{thing['thingName']}, attributes {thing['attributes']}",
        "certificate": f"{certificate_id} {status}, attached to the thing",
        "policy": ", ".join(policy["policyName"] for policy in policies),
    }
