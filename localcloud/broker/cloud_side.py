"""What the broker asks the rest of the cloud: registry, policies, rules, retained messages.

It is the whole of what the broker knows of MiniStack.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # it is imported before the gap modules, which import the broker
    from localcloud.seam import Seam

_EVENT_GROUPS: Final = {"subscribed": "subscriptions", "unsubscribed": "subscriptions"}

UNFORESEEN: Final = (TypeError, LookupError, ValueError, AttributeError, RecursionError)
"""What MiniStack raises on values that it did not expect."""
_LOG: Final = logging.getLogger("localcloud.broker")

Context = Mapping[str, str]
"""The policy variables of a connection, by their names in lower case."""
Reply = tuple[str, dict[str, object]]


class CloudSide:
    """MiniStack behind the names that the broker uses."""

    def __init__(self, iot: "Seam") -> None:
        """Reach MiniStack by ``iot``."""
        self._iot = iot

    def policy_context(
        self, account: str, region: str, certificate_id: str, client_id: str
    ) -> Context:
        """Return the policy variables of a connection."""
        context: Context = self._iot["_mqtt_policy_context"](
            account, region, certificate_id, client_id
        )
        return context

    def certificate_may(  # noqa: PLR0913, PLR0917  (who, where, what)
        self,
        place: tuple[str, str],
        certificate_id: str,
        context: Context,
        action: str,
        resource: str,
        template: str | None,
    ) -> bool:
        """Whether the certificate's policies, or those of a claim of ``template``, allow it."""
        arguments = (*place, certificate_id, context, action, resource, template)
        return bool(self._iot["_mqtt_policy_allows"](*arguments))

    def policies_of(
        self, place: tuple[str, str], certificate_id: str, template: str | None
    ) -> tuple[str, ...]:
        """Return what `certificate_may` judges by; while it is the same, so is the judgement."""
        if template is not None:
            return (template,)
        certificates, policies = self._iot["_certificates"], self._iot["_policies"]
        record = certificates.get_scoped(*place, certificate_id) or {}
        attached = [
            policies.get_scoped(*place, name) for name in record.get("attachedPolicies", [])
        ]
        return tuple(
            policy["versions"][policy["defaultVersionId"]]["document"]
            for policy in attached
            if policy
        )

    def signer_may(
        self, place: tuple[str, str], credential: tuple[str, str], action: str, resource: str
    ) -> bool:
        """Whether the IAM policies of who signed a WebSocket request allow it."""
        return bool(self._iot["_mqtt_iam_allows"](*place, credential, action, resource))

    def is_writable(self, topic: str) -> bool:
        """Whether a client may publish to a topic as far as it is reserved."""
        return bool(self._iot["_reserved_topic_publish_allowed"](topic))

    def is_readable(self, topic_filter: str) -> bool:
        """Whether a client may subscribe to a filter as far as it is reserved."""
        return bool(self._iot["_reserved_filter_subscribe_allowed"](topic_filter))

    def claim_is_over(self, certificate_id: str) -> bool:
        """Whether the provisioning claim with this certificate has expired."""
        return self._iot["_mtls_claim_scope"](certificate_id) is None

    def provisioning_request(self, topic: str) -> tuple[str, str | None] | None:
        """Return operation and template of a fleet provisioning request, if it is one."""
        found: tuple[str, str | None] | None = self._iot["_parse_fleet_provisioning_topic"](topic)
        return found

    async def provision(
        self,
        place: tuple[str, str],
        operation: str,
        template: str | None,
        payload: bytes,
        connection: Mapping[str, str],
    ) -> Reply:
        """Answer a fleet provisioning request; an unexpected error becomes an InternalFailure."""
        answer: Callable[..., Awaitable[Reply]] = self._iot["_fleet_provisioning_reply"]
        try:
            async with self._iot["publishing_events"]():
                return await answer(*place, operation, template, payload, connection)
        except UNFORESEEN:
            _LOG.exception("%s failed", operation)
            text = "The local AWS failed; its log says why"
            failure: Reply = self._iot["_fleet_rejected"]("InternalFailure", text, 500)
            return failure

    async def publish_event(self, place: tuple[str, str], topic: str, event: object) -> None:
        """Publish to ``$aws/events``."""
        await self._iot["_publish_event"](*place, topic, event)

    def source_ip(self) -> str:
        """Return the address of the client that is served now."""
        return str(self._iot["_publish_source_ip"].get())

    def retained(self, place: tuple[str, str], topic: str) -> Any:
        """Return the retained message of a topic, or None."""
        return self._iot["broker_get_retained"](*place, topic)

    def note_connected(
        self, key: tuple[str, str, str], connection: object, why: str | None
    ) -> None:
        """Let the fleet index and DescribeThing's kin know that a client is connected."""
        self._iot["_connected_clients"][key] = connection
        self._note(key, why)

    def note_disconnected(self, key: tuple[str, str, str], connection: object, why: str) -> bool:
        """Note the end of a connection; return False if another took its place already."""
        clients = self._iot["_connected_clients"]
        if clients.get(key) is not connection:
            return False
        del clients[key]
        self._note(key, why)
        return True

    def next_version(self, key: tuple[str, str, str]) -> int:
        """Take the next ``versionNumber`` of a client's lifecycle events."""
        return int(self._iot["_next_presence_version"](*key))

    def _note(self, key: tuple[str, str, str], why: str | None) -> None:
        timestamp = self._iot["_now_epoch_millis"]()
        self._iot["_connectivity"][key] = {"timestamp": timestamp, "disconnectReason": why}


def event_topic(kind: str, client_id: str) -> str:
    """Return the topic of a lifecycle event."""
    return f"$aws/events/{_EVENT_GROUPS.get(kind, 'presence')}/{kind}/{client_id}"
