"""What an account holds, asked with boto3: one line of words for each resource."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import boto3
from botocore.config import Config

from scripts.demonstration.cloud import issuer_of

Holdings = Mapping[str, str]
"""What each resource is, by kind and name."""

_ENDING: Final = re.compile(r" [0-9a-f]{8}$")
"""Of a CA's name: drawn at random."""
_ACCOUNT_AND_REGION: Final = re.compile(r"\d{12}-[a-z0-9-]+$")


class Registry:
    """One account and Region, as its owner sees it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Ask with what ``localcloud env`` says."""
        self._session = boto3.Session(
            environment["AWS_ACCESS_KEY_ID"],
            environment["AWS_SECRET_ACCESS_KEY"],
            region_name=environment["AWS_DEFAULT_REGION"],
        )
        self._url = environment["AWS_ENDPOINT_URL"]
        self._client = cache(self._make_client)
        self._iot = self._client("iot")

    def _make_client(self, service: str) -> Any:
        return self._session.client(service, endpoint_url=self._url, config=Config(proxies={}))

    def holdings(self) -> Holdings:
        """Return everything that provisioning is about."""
        found: dict[str, str] = {}
        for name, words in (
            *self._rules(),
            *self._groups(),
            *self._roles(),
            *self._stored(),
            *self._identities(),
        ):
            found[name] = f"{found[name]}; {words}" if name in found else words
        return found

    def owners(self) -> Mapping[str, str]:
        """Return the thing of each certificate, by its id, that is attached to one."""
        names = [thing["thingName"] for thing in self._iot.list_things()["things"]]
        return {
            principal.rpartition("/")[2]: name
            for name in names
            for principal in self._iot.list_thing_principals(thingName=name)["principals"]
        }

    def _rules(self) -> Iterator[tuple[str, str]]:
        for policy in self._iot.list_policies()["policies"]:
            yield f"IoT policy `{policy['policyName']}`", "there"
        for template in self._iot.list_provisioning_templates()["templates"]:
            name = template["templateName"]
            found = self._iot.describe_provisioning_template(templateName=name)
            hook = ", with a hook" if "preProvisioningHook" in found else ""
            state = "enabled" if found["enabled"] else "not enabled"
            kind = found.get("type", "FLEET_PROVISIONING")
            yield f"template `{name}`", f"{kind}, {state}{hook}"
        for rule in self._iot.list_topic_rules()["rules"]:
            yield f"topic rule `{rule['ruleName']}`", "off" if rule["ruleDisabled"] else "on"
        for ca in self._iot.list_ca_certificates()["certificates"]:
            yield "CA certificate", self._ca(ca["certificateId"])

    def _signing_key(self, key_id: str) -> str:
        found = self._client("kms").describe_key(KeyId=key_id)["KeyMetadata"]
        return f"{found['KeySpec']}, {found['KeyUsage']}"

    def _ca(self, certificate_id: str) -> str:
        answer = self._iot.describe_ca_certificate(certificateId=certificate_id)
        ca = answer["certificateDescription"]
        config = answer.get("registrationConfig") or {}
        template = f", template `{config['templateName']}`" if "templateName" in config else ""
        registers = f"auto-registration {ca['autoRegistrationStatus']}"
        return f"{ca['status']}, {ca['certificateMode']}, {registers}{template}"

    def _identities(self) -> Iterator[tuple[str, str]]:
        for each in self._iot.list_things()["things"]:
            yield f"thing `{each['thingName']}`", self._thing(each["thingName"])
        for each in self._iot.list_certificates()["certificates"]:
            described = self._iot.describe_certificate(certificateId=each["certificateId"])
            yield self._certificate(described["certificateDescription"])

    def _thing(self, name: str) -> str:
        thing = self._iot.describe_thing(thingName=name)
        attributes = [f"{k}={v}" for k, v in sorted(thing.get("attributes", {}).items())]
        groups = self._iot.list_thing_groups_for_thing(thingName=name)["thingGroups"]
        words = [f"`{attribute}`" for attribute in attributes]
        words += [f"group `{group['groupName']}`" for group in groups]
        if thing.get("billingGroupName"):
            words.append(f"billing group `{thing['billingGroupName']}`")
        return ", ".join(words) or "there"

    def _certificate(self, described: Mapping[str, Any]) -> tuple[str, str]:
        arn = described["certificateArn"]
        policies = self._iot.list_attached_policies(target=arn)["policies"]
        attached = self._iot.list_principal_things_v2(principal=arn)["principalThingObjects"]
        words = [
            described["status"],
            f"signed by {_ENDING.sub('', issuer_of(described['certificatePem']))}",
        ]
        words += [f"policy `{policy['policyName']}`" for policy in policies]
        words += [each["thingPrincipalType"] for each in attached]
        owners = ", ".join(f"`{each['thingName']}`" for each in attached) or "no thing"
        return f"certificate of {owners}", ", ".join(words)

    def _groups(self) -> Iterator[tuple[str, str]]:
        for group in self._iot.list_thing_groups()["thingGroups"]:
            yield f"thing group `{group['groupName']}`", "there"
        for group in self._iot.list_billing_groups()["billingGroups"]:
            yield f"billing group `{group['groupName']}`", "there"

    def _roles(self) -> Iterator[tuple[str, str]]:
        iam = self._client("iam")
        for name in (role["RoleName"] for role in iam.list_roles()["Roles"]):
            managed = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
            inline = iam.list_role_policies(RoleName=name)["PolicyNames"]
            yield f"role `{name}`", ", ".join([*(each["PolicyName"] for each in managed), *inline])

    def _stored(self) -> Iterator[tuple[str, str]]:
        tables, buckets = self._client("dynamodb"), self._client("s3")
        for provider in self._iot.list_certificate_providers()["certificateProviders"]:
            yield f"certificate provider `{provider['certificateProviderName']}`", "there"
        for alias in self._client("kms").list_aliases()["Aliases"]:
            if "TargetKeyId" in alias:  # AWS's own have none until they are used
                yield f"KMS key `{alias['AliasName']}`", self._signing_key(alias["TargetKeyId"])
        for function in self._client("lambda").list_functions()["Functions"]:
            yield f"Lambda `{function['FunctionName']}`", function["Runtime"]
        for name in tables.list_tables()["TableNames"]:
            items = tables.scan(TableName=name)["Items"]
            yield f"table `{name}`", ", ".join(_item(item) for item in items) or "empty"
        for bucket in buckets.list_buckets()["Buckets"]:
            objects = buckets.list_objects_v2(Bucket=bucket["Name"]).get("Contents", [])
            name = _ACCOUNT_AND_REGION.sub("ACCOUNT-REGION", bucket["Name"])
            yield f"bucket `{name}`", f"{len(objects)} file(s)" if objects else "empty"


def _item(item: Mapping[str, Any]) -> str:
    """Return the names of an item's fields, and the value of its key alone: one may be secret."""
    others = [name for name in sorted(item) if name != "SerialNumber"]
    return f"`{item['SerialNumber']['S']}`" + "".join(f" with {name}" for name in others)
