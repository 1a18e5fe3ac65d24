"""What must be true at every step, whatever goes wrong."""

import json
from collections import deque
from typing import TYPE_CHECKING, Final

from device.lifecycle import journal
from device.lifecycle.journal import Identity, Progress
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.keys import CLAIM_KEY

if TYPE_CHECKING:
    from tests.world.device import WorldDevice

MOST_CONNECTS_AN_HOUR: Final = 240
"""Of one client id since the power came. The waits grow to two minutes, and begin again with a
second when a connection held half a minute: 3600 / 31.5 is 115, with a margin of two."""
ROUNDS_AND_ONE: Final = 5
"""Refusals before a certificate is given up: `device.provisioning.evidence`, and one more try."""


class BrokenRuleError(AssertionError):
    """A rule does not hold: the world stops here."""


class Rules:
    """Watches one device."""

    def __init__(self, device: "WorldDevice") -> None:
        """Begin with a device that the station has just made."""
        self._device: Final = device
        self._connects: Final[dict[str, deque[float]]] = {}
        self.identity: Identity | None = None
        """What the device said was promoted."""
        self._awaited: Identity | None = None
        """What a reset device is to prove again."""
        self._former: set[str] = set()
        """Certificates that were the identity, and are it no more."""
        self._undone: Final[set[str]] = set()
        """Certificates that a person's reset had the device forget, so that none refused them."""
        self.renewals = 0
        self.first_renewed_at: float | None = None
        self._refusals = 0
        self._received: set[int] = set()
        """Sequence numbers of this power-on that the cloud acknowledged."""
        self._refused: set[int] = set()
        """Those that the cloud refused: they come again after others that it took."""
        self._on_their_way: set[int] = set()
        """Those that the device sent over this connection, acknowledged or not."""
        self._last_sequence = self._highest_sequence = 0
        """The last of this connection, and the highest of this power-on."""
        self.last_received_at = -1.0
        self.readings = 0
        self.dropped = 0

    def check(self, rule: str, *, holds: bool) -> None:
        """Stop the world unless the rule holds."""
        if not holds:
            raise BrokenRuleError(f"{self._device.name}: {rule}")

    # --- calls ----------------------------------------------------------------------------------

    def connects(self, client_id: str) -> None:
        """A connection is attempted: never two in a second, and not too many in an hour."""
        now = self._device.world.hub.now
        recent = self._connects.setdefault(client_id, deque())
        while recent and recent[0] <= now - 3600.0:
            recent.popleft()
        self.check("one CONNECT a second", holds=not recent or now - recent[-1] > 0.999)
        recent.append(now)
        self._last_sequence = 0
        if client_id == self._device.serial:
            self._on_their_way.clear()
        self.check("bounded CONNECTs", holds=len(recent) <= MOST_CONNECTS_AN_HOUR)

    def refused(self) -> None:
        """A connection ends after TLS."""
        self._refusals += 1

    # --- identity -------------------------------------------------------------------------------

    def registry_changed(self) -> None:
        """One thing, one live certificate: the device's, or one that it gave up and told of."""
        device = self._device
        registry = device.world.account.registry
        active = set(registry.active_certificates(device.serial))
        if len(active) < 1:
            return
        with open_device_storage(device.state, read_only=True, mount=device.flash.mount) as storage:
            given_up = journal.load_given_up(storage.ps)
            to_retire = journal.load_to_retire(storage.ps)
            progress = journal.load(storage.ps)
            identity = journal.load_identity(storage.ps)
            if device.token is None:
                self._keys_are_those_in_use(storage, identity, progress)
        unknown = active - set(given_up) - set(to_retire)
        held = {getattr(progress, "certificate_id", ""), identity and identity.certificate_id}
        if not device.is_by_claim:
            held |= unknown if len(unknown) == 1 else set()
        most = 2 if identity and progress else 1
        self.check("one thing, one live certificate", holds=len(unknown) <= most)
        in_vain = len(active & set(given_up) - self._undone)
        enough = self._refusals >= ROUNDS_AND_ONE * in_vain
        self.check("a live certificate is given up after many refusals only", holds=enough)
        self.check("the device holds its live certificate", holds=unknown <= held)

    def _keys_are_those_in_use(
        self, storage: DeviceStorage, identity: Identity | None, progress: Progress | None
    ) -> None:
        """The key of a certificate that is no more is destroyed with it."""
        named = {each.key for each in (identity, progress) if each is not None}
        kept = {key for key in storage.keys.keys() if key != CLAIM_KEY}  # noqa: SIM118 - no dict
        if self._device.is_by_claim:
            self.check("an old key is destroyed", holds=kept <= named)
        self.check("the key in use is kept", holds=named <= kept)

    def promoted(self, identity: Identity) -> None:
        """The device says that it is proven."""
        proofs, new = self._device.world.account.proofs, identity.certificate_id
        self.check("no promotion before the proof", holds=new in proofs)
        if self.identity == identity:
            return
        before = self.identity or self._awaited
        is_other = before is not None and before.certificate_id != new
        is_renewed = self.identity is not None
        fits = is_renewed or not is_other or self._gave_up(before)
        self.check("after a reset the same is proven, or it was given up", holds=fits)
        self.check("no former certificate comes back", holds=new not in self._former)
        if is_other and before is not None:
            self._former.add(before.certificate_id)
            self.renewals += 1
            self.first_renewed_at = self.first_renewed_at or self._device.world.hub.now
        self.identity, self._awaited = identity, None

    def _gave_up(self, identity: Identity | None) -> bool:
        """Whether the device gave the certificate of ``identity`` up, and tells the cloud so."""
        device = self._device
        with open_device_storage(device.state, read_only=True, mount=device.flash.mount) as storage:
            given_up = journal.load_given_up(storage.ps)
        return identity is not None and identity.certificate_id in given_up

    def is_reset(self, progress: Progress | None) -> None:
        """Somebody resets the device: it proves again what it has, and forgets what it began."""
        self._undone.add(getattr(progress, "certificate_id", ""))
        if self.identity is not None:
            self.identity, self._awaited = None, self.identity

    @property
    def was_proven(self) -> bool:
        """Whether the device was proven once, reset or not, even if it had no time to say so."""
        if self.identity or self._awaited:
            return True
        device = self._device
        with open_device_storage(device.state, read_only=True, mount=device.flash.mount) as storage:
            return journal.load_identity(storage.ps) is not None

    def powered_on(self, identity: Identity | None, serial: str) -> None:
        """Nothing that the storage acknowledged is lost with the power."""
        kept = self.identity is None or identity is not None
        self.check("an acknowledged promotion survives", holds=kept)
        if identity is not None:
            self.promoted(identity)  # the power may have failed before it could say so
        self.check("the serial number survives", holds=serial == self._device.serial)
        self._connects.clear()
        self._received, self._last_sequence, self._highest_sequence = set(), 0, 0
        self._refused = set()

    # --- telemetry ------------------------------------------------------------------------------

    def sends(self, topic: str, payload: bytes) -> None:
        """The device sends a reading; from then on it may have arrived."""
        if topic.endswith("/telemetry"):
            self._on_their_way.add(json.loads(payload).get("sequence", 0))

    def cloud_has(self, payload: bytes) -> None:
        """The cloud takes a reading: the next, or one that it had before."""
        self.last_received_at = self._device.world.hub.now
        sequence = json.loads(payload).get("sequence")
        if sequence is None:
            return  # the proof of an identity
        self.readings += 1
        self._received.add(sequence)
        self.check("readings come in order", holds=sequence > self._last_sequence)
        missed = set(range(self._highest_sequence + 1, sequence)) - self._refused
        if missed:
            self.dropped -= len(missed)
            self.check("what is dropped is reported", holds=self.dropped >= 0)
        self._last_sequence = sequence
        self._highest_sequence = max(self._highest_sequence, sequence)

    def cloud_refuses(self, topic: str, payload: bytes) -> None:
        """The cloud says no to a reading, whatever it says to those after it."""
        if topic.endswith("/telemetry"):
            self._refused.add(json.loads(payload).get("sequence", 0))

    def device_says(self, name: str, detail: str) -> None:
        """The device reports something that it did."""
        if name == "telemetry acknowledged":
            sequence = int(detail.rpartition(" ")[2])
            self.check("nothing acknowledged is lost", holds=sequence in self._received)
        elif name == "telemetry dropped":
            words = detail.partition(":")[0].split()
            self.dropped += 1 if words[0] == "message" else int(words[0])
            named = {int(words[-1]), int(words[1] if words[0] == "message" else words[3])}
            self.check("no reading on its way is dropped", holds=not named & self._on_their_way)
