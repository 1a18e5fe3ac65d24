"""Asks the cloud, with boto3, what it knows of a device."""

import json
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509
from cryptography.x509.oid import NameOID

from scripts.demonstration.commands import CommandFailedError

Cloud: TypeAlias = Mapping[str, str]
"""The variables that lead to an account."""

_QUESTION: Final = "boto3: describe thing and certificate"
_REPORT: Final = "boto3: describe the registration task"
_AWS: Final = "Amazon Web Services"


@dataclass(frozen=True)
class Registered:
    """What the registry has of a device."""

    facts: Mapping[str, str]
    issuer: str


def registered(cloud: Cloud, thing_name: str, certificate_id: str) -> Registered:
    """Return the thing, its certificate and its policy.

    Raises:
        CommandFailedError: they are not what a provisioned device has.
    """
    with _asking(cloud, _QUESTION) as iot:
        thing = iot.describe_thing(thingName=thing_name)
        certificate = iot.describe_certificate(certificateId=certificate_id)
        description = certificate["certificateDescription"]
        arn, status = description["certificateArn"], description["status"]
        principals = iot.list_thing_principals(thingName=thing_name)["principals"]
        policies = iot.list_attached_policies(target=arn)["policies"]
    if status != "ACTIVE" or principals != [arn]:
        found = f"certificate {status}, attached to the thing: {principals}"
        raise CommandFailedError(_QUESTION, found, 1)
    issuer = issuer_of(description["certificatePem"])
    facts = {
        "thing": f"{thing['thingName']}, attributes {thing['attributes']}",
        "certificate": f"{certificate_id} {status}, attached to the thing",
        "issuer": issuer,
        "policy": ", ".join(policy["policyName"] for policy in policies),
    }
    return Registered(facts, issuer)


def issuer_of(pem: str) -> str:
    """Return who signed a certificate, as a person would call it."""
    issuer = x509.load_pem_x509_certificate(pem.encode()).issuer
    if _AWS in issuer.rfc4514_string():
        return "AWS IoT"
    names = issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else issuer.rfc4514_string()


def registration_report(cloud: Cloud, batch: str) -> Mapping[str, str]:
    """Return what the latest bulk registration says of itself, and of each device of ``batch``.

    Raises:
        CommandFailedError: it has no line for this batch.
    """
    with _asking(cloud, _REPORT) as iot:
        task_ids = iot.list_thing_registration_tasks()["taskIds"]
        tasks = [iot.describe_thing_registration_task(taskId=each) for each in task_ids]
        task = max(tasks, key=lambda each: each["creationDate"])
        report = {"taskId": task["taskId"], "reportType": "RESULTS"}
        links = iot.list_thing_registration_task_reports(**report)["resourceLinks"]
    devices = devices_in([line for link in links for line in _lines(link)], batch)
    if not devices:
        raise CommandFailedError(_REPORT, f"RESULTS has no line for {batch}", 1)
    counts = f"{task['successCount']} registered, {task['failureCount']} failed"
    return {"task": f"{task['status']}, {counts}", **devices}


def devices_in(lines: Iterable[Mapping[str, Any]], batch: str) -> Mapping[str, str]:
    """Return the thing of each line of RESULTS, and what became of it, for one ``batch``."""
    arns = [line["response"]["ResourceArns"] for line in lines]
    found = {_name(each["thing"]): f"certificate {_name(each['certificate'])}" for each in arns}
    return {name: text for name, text in sorted(found.items()) if name.startswith(batch)}


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]


def _lines(link: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(link) as report:  # noqa: S310 - a link of the local AWS
        return [json.loads(line) for line in report.read().splitlines() if line]


@contextmanager
def _asking(cloud: Cloud, question: str) -> Iterator[Any]:
    try:
        yield boto3.client(
            "iot",
            endpoint_url=cloud["AWS_ENDPOINT_URL"],
            region_name=cloud["AWS_DEFAULT_REGION"],
            aws_access_key_id=cloud["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=cloud["AWS_SECRET_ACCESS_KEY"],
            config=Config(proxies={}),
        )
    except (ClientError, BotoCoreError) as error:
        raise CommandFailedError(question, str(error), 1) from error
