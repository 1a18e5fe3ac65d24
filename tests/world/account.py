"""The account of a world: the cloud in memory, with AWS's quotas and with hooks that lie."""

import json
from collections import Counter
from typing import Final

from device.identity.certificates import certificate_id
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning.topics import Operation, operation_of
from tests.exhaustive.cloud import LIES, refusing, rejected, reply
from tests.support.simulated_cloud import SimulatedCloud
from tests.world.chance import Chance
from tests.world.hub import DeviceClock, Hub

QUOTAS: Final = {
    Operation.CREATE_CERTIFICATE_FROM_CSR: 20.0,
    Operation.CREATE_KEYS_AND_CERTIFICATE: 10.0,
    Operation.REGISTER_THING: 10.0,
}
"""Requests a second of one account (docs/aws-iot-facts.md, Quotas)."""
RETIREMENTS_A_SECOND: Final = 10.0
"""UpdateCertificate, which the Lambda of a renewal calls (docs/aws-iot-facts.md, 4.8)."""


class Quota:
    """A bucket of tokens that fills with time."""

    def __init__(self, hub: Hub, rate: float) -> None:
        """Begin full: one second's worth."""
        self._hub, self._rate = hub, rate
        self._level, self._since = rate, 0.0

    def takes_one(self) -> bool:
        """Whether one more request is within the quota."""
        now = self._hub.now
        self._level = min(self._rate, self._level + (now - self._since) * self._rate)
        self._since = now
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True


class Account:
    """One account: registry, quotas, and what was proven and received there."""

    def __init__(self, hub: Hub, chance: Chance) -> None:
        """Begin with a claim certificate and a template."""
        self.registry: Final = SimulatedCloud(DeviceClock(hub))
        self.registry.used_tokens_are_refused = True
        self.registry.activation_delay = 2.0
        self._chance: Final = chance
        self._quotas: Final = {name: Quota(hub, rate) for name, rate in QUOTAS.items()}
        self._retirements: Final = Quota(hub, RETIREMENTS_A_SECOND)
        self.is_limited = True
        self.proofs: Final[set[str]] = set()
        """Ids of certificates with which a publication was acknowledged, or a renewal confirmed."""
        self.inactive: Final[set[str]] = set()
        self.calls: Final[Counter[str]] = Counter()
        self.throttled = 0
        self.peaks: Final[Counter[int]] = Counter()
        """How many things were registered in each second."""
        self._hub: Final = hub

    def lets_in(self, leaf_pem: bytes, client_id: str, *, is_just_in_time: bool) -> bool:
        """Whether the certificate may connect; a just-in-time one is met here."""
        if is_just_in_time:
            self.registry.meet(leaf_pem.decode(), client_id)
        return self.registry.lets_in(certificate_id(leaf_pem), client_id)

    def answer(self, order: act.Request, who: str) -> ev.MessageReceived:
        """Return the reply to a request of ``who``, honest or not."""
        operation = operation_of(order.topic)
        assert operation is not None
        self.calls[operation.name] += 1
        if self.is_limited and not self._quotas[operation].takes_one():
            self.throttled += 1
            return rejected(order, 429, "Throttled")
        for lie in LIES:
            if self._chance.strikes(lie, who):
                return refusing(order, lie)
        if self._chance.strikes("malformed reply", who):
            return ev.MessageReceived(f"{order.topic}/accepted", b"{")
        message = reply(self.registry, order)
        if operation is Operation.REGISTER_THING and message.topic.endswith("/accepted"):
            self.peaks[int(self._hub.now)] += 1
        if self._chance.strikes("done, but says 503", who):
            return refusing(order, "says 503")
        return message

    def answer_renewal(self, order: act.Request, who: str, principal: str) -> ev.Event | None:
        """Return what the renewal's Lambda answers to ``principal``; None if nobody does."""
        thing, asked = order.topic.split("/")[2], json.loads(order.payload)
        self.calls[asked["step"]] += 1
        if self._chance.strikes("Lambda fails", who):
            return None
        if asked["step"] != "prove" and not self._retirements.takes_one():
            self.throttled += 1
            return None
        answer = self.registry.renewal.answer(thing, principal, asked)
        if answer is None:
            return None
        if asked["step"] == "prove" and self._chance.strikes("Lambda says no", who):
            answer |= {"step": "refused", "reason": "so it says"}
        if answer["step"] == "confirmed":
            self.proofs.add(principal)
        payload = json.dumps(answer).encode()
        if self._chance.strikes("malformed answer", who):
            payload = payload[:-1]
        return ev.MessageReceived(f"firstboot/renewal/{thing}/cloud", payload)

    def set_status(self, thing: str, status: str, *, was: str) -> None:
        """Set what is ``was`` of a thing's certificates to ``status``."""
        for certificate in self.registry.certificates.values():
            if certificate.thing == thing and certificate.status == was:
                certificate.status = status
