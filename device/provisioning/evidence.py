"""What speaks against a certificate that the cloud may not know: refusals, spread over minutes.

AWS IoT closes a connection without a word for an unknown certificate and for a passing fault
alike, and it refuses an old ownership token whether or not it was used. So one refusal proves
nothing. A *round* is a connection with the certificate that was ended after TLS, then a
connection with the claim that worked, then RegisterThing refusing the certificate's token in
words. Several rounds, each a minute or more after the last, are enough to give it up.

Sources: AWS IoT Core Developer Guide, "Device provisioning MQTT API", "Diagnosing connectivity
issues".
"""

from typing import Final

from msgspec import Struct

ROUNDS: Final = 4
"""How many rounds are enough: the first, and three more."""
SPACING_SECONDS: Final = 60.0
"""A round counts only so long after the last that counted; so four of them take three minutes.
After each certificate that was given up it takes twice as long (`spacing`)."""
WORTH_A_COMMIT_SECONDS: Final = 15.0
"""So much time under power is stored before a round counts, for devices that restart often."""
MAX_GIVEN_UP: Final = 8
"""How many ids of certificates given up are remembered; they fit in a thing's attribute."""


class Evidence(Struct, frozen=True):
    """The rounds so far. No wall clock has a part in it: that one may be wrong."""

    rounds: int = 0
    waited: float = 0.0
    """Seconds under power between the last round that counted and the last round."""
    last_at: float = 0.0
    """When the last round was, in seconds since the system started."""

    @property
    def suffices(self) -> bool:
        """Whether the certificate may be given up, after one more try."""
        return self.rounds >= ROUNDS

    def is_news_to(self, stored: "Evidence") -> bool:
        """Whether this is worth a commit over ``stored``; flash wears, and a burst adds nothing."""
        return self.rounds != stored.rounds or self.waited >= stored.waited + WORTH_A_COMMIT_SECONDS

    def and_a_round(self, now: float, given_up: int = 0) -> "Evidence":
        """Return the evidence with a round seen ``now``, in seconds since the system started.

        ``given_up`` is how many certificates this device gave up before, see `spacing`.
        A ``now`` before the last round means that the system was started since; then at least
        ``now`` seconds have passed under power.
        """
        waited = self.waited + now - (self.last_at if now >= self.last_at else 0.0)
        if self.rounds and waited < spacing(given_up):
            return Evidence(self.rounds, waited, now)
        return Evidence(self.rounds + 1, 0.0, now)


def spacing(given_up: int) -> float:
    """Return the seconds between two rounds that count: twice as many for each one given up.

    Something that another certificate does not cure, such as a policy that lets nobody in, must
    not make a registered certificate every few minutes.
    """
    return float(SPACING_SECONDS * 2**given_up)


def with_given_up(known: tuple[str, ...], certificate_id: str) -> tuple[str, ...]:
    """Return ``known`` with ``certificate_id`` last, and no more of them than are kept."""
    others = [each for each in known if each != certificate_id]
    return (*others, certificate_id)[-MAX_GIVEN_UP:]
