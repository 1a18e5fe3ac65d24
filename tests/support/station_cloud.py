"""What the station's tests need of a cloud: accounts of their own, cuts, a look at everything."""

from collections.abc import Callable, Iterator

from factory.account.aws import Aws, Client
from factory.account.cloud import Account, Cloud, Response, Value, items, names, structure, text
from tests.wire.conftest import LocalCloud, client_of

ACCOUNT = "210987654321"
"""An account that only the station's tests use. The local AWS takes 12 digits as its root key."""

REGION = "eu-central-1"

_READS = ("Describe", "Get", "List")


class PowerCutError(BaseException):
    """The station's plug was pulled; no handler for errors may swallow it."""


def aws_of(
    local: LocalCloud, region: str = REGION, account: str = ACCOUNT, secret: str = ""
) -> Aws:
    """Return the station's view of ``account`` (or access key) in ``region``."""

    def client(service: str) -> Client:
        secret_key = secret or local.environment["AWS_SECRET_ACCESS_KEY"]
        made: Client = client_of(service, local.api_url, account, secret_key, region)
        return made

    return Aws(client)


class CutCloud:
    """A cloud that is there until the station's ``cut_at``-th change, counted from 1.

    With ``reply_lost`` the change is made and the answer lost; without, it is never sent.
    """

    def __init__(self, cloud: Cloud, cut_at: int = 0, *, reply_lost: bool = False) -> None:
        self._cloud = cloud
        self._cut_at = cut_at
        self._reply_lost = reply_lost
        self.changes: list[str] = []

    @property
    def account(self) -> Account:
        return self._cloud.account

    def call(self, service: str, operation: str, **parameters: Value) -> Response:
        if operation.startswith(_READS):
            return self._cloud.call(service, operation, **parameters)
        self.changes.append(operation)
        is_cut = len(self.changes) == self._cut_at
        if is_cut and not self._reply_lost:
            raise PowerCutError
        response = self._cloud.call(service, operation, **parameters)
        if is_cut:
            raise PowerCutError
        return response

    def pages(self, service: str, operation: str, **parameters: Value) -> Iterator[Response]:
        return self._cloud.pages(service, operation, **parameters)


class MeddledCloud:
    """A cloud in which someone changes one parameter of an operation on its way."""

    def __init__(
        self, cloud: Cloud, operation: str, parameter: str, change: Callable[[Value], Value]
    ) -> None:
        self._cloud = cloud
        self._meddled = operation, parameter
        self._change = change

    @property
    def account(self) -> Account:
        return self._cloud.account

    def call(self, service: str, operation: str, **parameters: Value) -> Response:
        meddled, name = self._meddled
        if operation == meddled:
            parameters[name] = self._change(parameters[name])
        return self._cloud.call(service, operation, **parameters)

    def pages(self, service: str, operation: str, **parameters: Value) -> Iterator[Response]:
        return self._cloud.pages(service, operation, **parameters)


def contents(cloud: Cloud) -> dict[str, dict[str, object]]:
    """Return everything in the account that a station could touch, by kind and name."""
    return {
        "roles": _roles(cloud),
        "policies": _policies(cloud),
        "templates": _templates(cloud),
        "certificates": _certificates(cloud),
        "things": _things(cloud),
        "groups": _listed(cloud, "ListThingGroups", "thingGroups", "groupName"),
        "billing groups": _listed(cloud, "ListBillingGroups", "billingGroups", "groupName"),
        "types": _listed(cloud, "ListThingTypes", "thingTypes", "thingTypeName"),
        "buckets": _buckets(cloud),
        "CAs": _listed(cloud, "ListCACertificates", "certificates", "certificateId"),
        "rules": _listed(cloud, "ListTopicRules", "rules", "ruleName"),
        "functions": _functions(cloud),
        "certificate providers": _certificate_providers(cloud),
        "KMS aliases": _kms_aliases(cloud),
        "log groups": _log_groups(cloud),
        "tables": dict.fromkeys(names(cloud.call("dynamodb", "ListTables"), "TableNames")),
    }


def keys_that_can_sign(cloud: Cloud) -> int:
    """Return how many keys in the account are enabled; one that is to be deleted is not."""
    pages = cloud.pages("kms", "ListKeys")
    ids = [text(key, "KeyId") for page in pages for key in items(page, "Keys")]
    found = [structure(cloud.call("kms", "DescribeKey", KeyId=each), "KeyMetadata") for each in ids]
    return [each["KeyState"] for each in found].count("Enabled")


def _certificate_providers(cloud: Cloud) -> dict[str, object]:
    listed = items(cloud.call("iot", "ListCertificateProviders"), "certificateProviders")
    return {text(each, "certificateProviderName"): None for each in listed}


def _kms_aliases(cloud: Cloud) -> dict[str, object]:
    pages = cloud.pages("kms", "ListAliases")
    listed = [alias for page in pages for alias in items(page, "Aliases")]
    return {text(each, "AliasName"): each.get("TargetKeyId") for each in listed}


def _functions(cloud: Cloud) -> dict[str, object]:
    pages = cloud.pages("lambda", "ListFunctions")
    listed = [function for page in pages for function in items(page, "Functions")]
    return {text(each, "FunctionName"): each["CodeSha256"] for each in listed}


def _log_groups(cloud: Cloud) -> dict[str, object]:
    pages = cloud.pages("logs", "DescribeLogGroups")
    listed = [group for page in pages for group in items(page, "logGroups")]
    return {text(each, "logGroupName"): None for each in listed}


def _listed(cloud: Cloud, operation: str, key: str, name: str) -> dict[str, object]:
    pages = cloud.pages("iot", operation)
    return {text(each, name): None for page in pages for each in items(page, key)}


def _buckets(cloud: Cloud) -> dict[str, object]:
    return {text(each, "Name"): None for each in items(cloud.call("s3", "ListBuckets"), "Buckets")}


def _roles(cloud: Cloud) -> dict[str, object]:
    roles = [role for page in cloud.pages("iam", "ListRoles") for role in items(page, "Roles")]
    found: dict[str, object] = {}
    for name in (text(role, "RoleName") for role in roles):
        role = structure(cloud.call("iam", "GetRole", RoleName=name), "Role")
        attached = cloud.call("iam", "ListAttachedRolePolicies", RoleName=name)
        found[name] = (
            role["AssumeRolePolicyDocument"],
            sorted(text(tag, "Key") for tag in items(role, "Tags")),
            [text(policy, "PolicyArn") for policy in items(attached, "AttachedPolicies")],
            names(cloud.call("iam", "ListRolePolicies", RoleName=name), "PolicyNames"),
        )
    return found


def _policies(cloud: Cloud) -> dict[str, object]:
    pages = cloud.pages("iot", "ListPolicies")
    listed = [text(each, "policyName") for page in pages for each in items(page, "policies")]
    return {
        name: text(cloud.call("iot", "GetPolicy", policyName=name), "policyDocument")
        for name in listed
    }


def _templates(cloud: Cloud) -> dict[str, object]:
    pages = cloud.pages("iot", "ListProvisioningTemplates")
    listed = [text(each, "templateName") for page in pages for each in items(page, "templates")]
    described = {
        name: cloud.call("iot", "DescribeProvisioningTemplate", templateName=name)
        for name in listed
    }
    return {name: (each["templateBody"], each["enabled"]) for name, each in described.items()}


def _certificates(cloud: Cloud) -> dict[str, object]:
    pages = cloud.pages("iot", "ListCertificates")
    listed = [each for page in pages for each in items(page, "certificates")]
    return {
        text(each, "certificateId"): (each["status"], _policies_of(cloud, each)) for each in listed
    }


def _policies_of(cloud: Cloud, certificate: Response) -> list[str]:
    pages = cloud.pages("iot", "ListAttachedPolicies", target=certificate["certificateArn"])
    return [text(policy, "policyName") for page in pages for policy in items(page, "policies")]


def _things(cloud: Cloud) -> dict[str, object]:
    pages = cloud.pages("iot", "ListThings")
    listed = [text(each, "thingName") for page in pages for each in items(page, "things")]
    return {
        name: names(cloud.call("iot", "ListThingPrincipals", thingName=name), "principals")
        for name in listed
    }
