"""Bugs that are planted in a copy of the device, to see that the world finds them.

Each is a change of a few words, such as someone could make. ``rule`` is what the world must say is
broken; it is a part of the rule's words, since one bug may show in two ways.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Bug:
    """A change of one place in ``device/``."""

    name: str
    place: str
    """In which part: machine, storage, loop, outbox or renewal."""
    path: str
    was: str
    becomes: str


BUGS: Final = (
    Bug(
        "promotes when it is connected, without a proof",
        "machine",
        "provisioning/claim_states.py",
        "S.CONNECTING_AS_DEVICE: {**_RETRY, ev.Connected: S.PROVING_IDENTITY}",
        "S.CONNECTING_AS_DEVICE: {**_RETRY, ev.Connected: S.PROMOTING_CERTIFICATE}",
    ),
    Bug(
        "asks for another certificate as soon as one is refused",
        "machine",
        "provisioning/evidence.py",
        "ROUNDS: Final = 4",
        "ROUNDS: Final = 0",
    ),
    Bug(
        "forgets which certificates it gave up",
        "machine",
        "runtime/enrolment.py",
        "            journal.note_given_up(self._storage.ps, progress.certificate_id)\n",
        "",
    ),
    Bug(
        "never gives a certificate up",
        "machine",
        "provisioning/evidence.py",
        "return self.rounds >= ROUNDS",
        "return False",
    ),
    Bug(
        "writes the anchor before the image",
        "storage",
        "storage/sealed.py",
        "        self._put_first(first, image, second)\n"
        "        self._advance(Anchor(generation, digest_of(image)))\n",
        "        self._advance(Anchor(generation, digest_of(image)))\n"
        "        self._put_first(first, image, second)\n",
    ),
    Bug(
        "does not sync what it wrote",
        "storage",
        "storage/filesystem.py",
        "        fs.fsync(temporary)\n",
        "",
    ),
    Bug(
        "does not read back what it wrote",
        "storage",
        "storage/filesystem.py",
        "if fs.read(temporary) != data:",
        "if fs.read(temporary) is None:",
    ),
    Bug(
        "removes the old name before it renames",
        "storage",
        "storage/filesystem.py",
        "        fs.rename(temporary, name)\n",
        "        fs.unlink(name)\n        fs.fsync_folder()\n        fs.rename(temporary, name)\n",
    ),
    Bug(
        "does not pace its connections",
        "loop",
        "runtime/loop.py",
        "        self._wait_until(work, last + CONNECT_PACING_SECONDS)\n",
        "",
    ),
    Bug(
        "begins with the shortest wait after each failure",
        "loop",
        "runtime/loop.py",
        "        if now - self._connected_at >= self._stable_after:\n",
        "        if True:\n",
    ),
    Bug(
        "forgets the time-out while messages come",
        "loop",
        "runtime/loop.py",
        "            if now >= deadline:\n                return ev.TimedOut()\n",
        "",
    ),
    Bug(
        "forgets a reading as soon as it is on its way",
        "outbox",
        "operation/outbox.py",
        "        return [self._outbox.at(position) for position in range(begin, end)]\n",
        "        return [self._outbox.remove(begin) for _ in range(begin, end)]\n",
    ),
    Bug(
        "waits for the acknowledgement of a connection that is lost",
        "outbox",
        "operation/outbox.py",
        "        self.is_open, self.under_way = False, 0\n",
        "        self.is_open = False\n",
    ),
    Bug(
        "drops readings without a word",
        "outbox",
        "operation/telemetry.py",
        "        self._losses += 1\n",
        "",
    ),
    Bug(
        "makes room by dropping the reading that is on its way",
        "outbox",
        "operation/telemetry.py",
        "        oldest = self._window.under_way\n",
        "        oldest = 0\n",
    ),
    Bug(
        "promotes the new certificate before the cloud confirmed it",
        "renewal",
        "provisioning/renewal_states.py",
        "{**_IN_SESSION, ev.Subscribed: S.PROVING_CERTIFICATE}",
        "{**_IN_SESSION, ev.Subscribed: S.PROMOTING_CERTIFICATE}",
    ),
    Bug(
        "keeps the old key",
        "renewal",
        "runtime/renewal_enrolment.py",
        "            self._storage.keys.destroy_key(old.key)\n",
        "",
    ),
    Bug(
        "does not have the old certificate retired after a power cut",
        "renewal",
        "runtime/renewal_enrolment.py",
        "            journal.note_to_retire(ps, old.certificate_id)\n",
        "",
    ),
    Bug(
        "makes its second connection as often as it likes",
        "renewal",
        "operation/renewal.py",
        "        if now < self._connect_at:\n",
        "        if now < -1.0:\n",
    ),
)
