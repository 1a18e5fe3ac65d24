"""What a certificate may do: which policies count, and what they say.

The policies of the certificate count. So do those of a thing's groups and of the groups above them,
if the certificate is attached to the thing and the client id is the thing's name (developer guide,
"AWS IoT Core policies" and "Static thing groups"; docs/aws-iot-facts.md, 6). An explicit Deny wins,
whichever policy has it. A certificate that is attached to a thing exclusively has that thing's
variables under any client id (developer guide, "Associating an AWS IoT thing to an MQTT client
connection").
"""

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ministack.core.iam_evaluator import EvalContext, evaluate, parse_policy_document

from localcloud.broker.policy_variables import Context, filled, variables_of
from localcloud.seam import Seam

EXCLUSIVE_MARK: Final = "localcloudExclusiveThing"
"""Where a certificate's record names the thing that it is attached to exclusively."""
_CLIENT_ID: Final = "iot:clientid"
_THING_NAME: Final = "iot:connection.thing.thingname"

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Principal:
    """A certificate that asks for something: where, and with which variables."""

    place: tuple[str, str]
    """Account and Region."""
    certificate_id: str
    context: Context
    template: str | None = None
    """The provisioning template, if the certificate is a claim that AWS IoT made for it."""

    def arn(self, resource: str) -> str:
        """Return the ARN of ``resource``, such as ``topic/a``, where the certificate is."""
        account, region = self.place
        return f"arn:aws:iot:{region}:{account}:{resource}"

    def thing_name(self) -> str | None:
        """Return the thing whose groups count: its name has to be the client id."""
        name = self.context.get(_THING_NAME)
        return name if name == self.context.get(_CLIENT_ID) else None


class Policies:
    """The policies of a registry, as they are now."""

    def __init__(self, iot: Seam) -> None:
        """Read the records of ``iot``."""
        self._iot = iot

    def principal(
        self, place: tuple[str, str], certificate_id: str, client_id: str, template: str | None
    ) -> Principal:
        """Return who a connection is to the policies."""
        certificate = self._record("_certificates", place, certificate_id) or {}
        name = certificate.get(EXCLUSIVE_MARK) or client_id
        thing = self._record("_things", place, name)
        if thing and thing["thingArn"] not in certificate.get("attachedThings", []):
            thing = None
        context = variables_of(client_id, certificate, thing)
        return Principal(place, certificate_id, context, template)

    def documents(self, principal: Principal) -> tuple[str, ...]:
        """Return the policies that count for ``principal``; a claim has its template's own."""
        if principal.template is not None:
            return (self._iot["_provisioning_claim_policy"](principal.template),)
        place, certificate_id = principal.place, principal.certificate_id
        names = self.names(place, certificate_id, principal.thing_name())
        found = (self._record("_policies", place, name) for name in names)
        return tuple(document_of(policy) for policy in found if policy)

    def names(
        self, place: tuple[str, str], certificate_id: str, thing_name: str | None
    ) -> list[str]:
        """Return the policies of a certificate, and of the groups of a thing if one is given."""
        certificate = self._record("_certificates", place, certificate_id) or {}
        holders = [certificate, *self._groups(place, thing_name)]
        names = [name for holder in holders for name in holder.get("attachedPolicies", [])]
        return list(dict.fromkeys(names))

    def _groups(self, place: tuple[str, str], thing_name: str | None) -> Iterator[Record]:
        """Yield each group of a thing, then the groups above it."""
        thing = self._record("_things", place, thing_name) or {}
        for name in thing.get("thingGroupNames", []):
            group = self._record("_thing_groups", place, name)
            while group:
                yield group
                above = (group.get("thingGroupMetadata") or {}).get("parentGroupName")
                group = self._record("_thing_groups", place, above)

    def _record(self, store: str, place: tuple[str, str], name: str | None) -> Record | None:
        found: Record | None = self._iot[store].get_scoped(*place, name)
        return found


def document_of(policy: Record) -> str:
    """Return the default version of a policy."""
    return str(policy["versions"][policy["defaultVersionId"]]["document"])


def decide(principal: Principal, action: str, resource_arn: str, documents: Iterable[str]) -> str:
    """Return what ``documents`` say of an action: ``Allow``, ``Deny`` or ``ImplicitDeny``."""
    account, region = principal.place
    asked = EvalContext(
        principal_arn=principal.arn(f"cert/{principal.certificate_id}"),
        principal_type="Certificate",
        principal_account=account,
        action=action,
        resource_arn=resource_arn,
        region=region,
        service_context=dict(principal.context),
    )
    statements = [_statements(filled(document, principal.context)) for document in documents]
    return str(evaluate(asked, statements).decision)


@functools.lru_cache(maxsize=1024)
def _statements(document: str) -> Any:
    return parse_policy_document(document)
