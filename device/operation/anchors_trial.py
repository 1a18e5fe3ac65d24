"""A trial of new trust anchors, on a connection of its own beside the one that operates.

That connection trusts the new anchors alone. What proves them is the PUBACK of a message that
changes nothing: the server is the one that keeps this thing's jobs. Any failure rolls them back.
"""

from collections.abc import Callable, Sequence
from typing import Final

from device.errors.renewal import TRUST_ANCHORS_NOT_PROVEN
from device.operation.work import Work
from device.provisioning import events as ev
from device.provisioning.actions import Action, Connect, Fail, Publish
from device.provisioning.events import Credential
from device.provisioning.failures import error_of

_FAILURES: Final = (
    ev.NotLetIn,
    ev.ConnectFailed,
    ev.ConnectionLost,
    ev.PublishDenied,
    ev.NotAcknowledged,
    ev.TimedOut,
)


class Staged(ev.Event, frozen=True):
    """The new trust anchors are stored, beside those in use."""


class AnchorsTrial(Work):
    """Connects with the staged trust anchors, and promotes them if that works."""

    def __init__(  # noqa: PLR0913 - one object per collaborator, all named at the one call
        self,
        thing_name: str,
        client_id: str,
        *,
        connect_timeout: float,
        reply_timeout: float,
        promote: Callable[[], None],
        roll_back: Callable[[], None],
    ) -> None:
        """Connect as ``client_id``; then call ``promote``, or else ``roll_back``."""
        self._probe: Final = Publish(f"$aws/things/{thing_name}/jobs/get", b"{}")
        self._client_id: Final = client_id
        self._connect_timeout: Final = connect_timeout
        self._reply_timeout: Final = reply_timeout
        self._promote: Final = promote
        self._roll_back: Final = roll_back
        self._is_connected = self._is_proven = False

    @property
    def finished(self) -> bool:
        """Whether the new trust anchors are promoted."""
        return self._is_proven

    @property
    def step(self) -> str:
        """What is awaited, in words."""
        return "proving new trust anchors"

    @property
    def timeout(self) -> float | None:
        """Seconds that the answer to the last order may take."""
        return self._reply_timeout if self._is_connected else self._connect_timeout

    def begin(self) -> ev.Event:
        """Return the fact to begin with."""
        return Staged()

    def resume(self) -> ev.Event:
        """Return the fact to begin with: a trial does not wait."""
        return Staged()

    def reply_in(self, _: ev.MessageReceived) -> ev.Event | None:
        """Expect no message."""
        return None

    def receive(self, event: ev.Event, _: float) -> Sequence[Action]:
        """Return what follows from ``event``.

        Raises:
            StorageError: the disk refused to promote the anchors.
        """
        match event:
            case Staged():
                return [Connect(Credential.TRIAL, self._client_id)]
            case ev.Connected():
                self._is_connected = True
                return [self._probe]
            case ev.PublishAcknowledged():
                self._promote()
                self._is_proven = True
            case _ if isinstance(event, _FAILURES):
                self._roll_back()
                cause = error_of(event, self.step, Credential.TRIAL)
                return [Fail(TRUST_ANCHORS_NOT_PROVEN.error(str(cause)))]
        return []
