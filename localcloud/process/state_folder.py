"""Where one local AWS lives: its registry, objects, access key, CA key, log and lock.

The folder is 0700, since it holds the CA's private key. One file, ``server.json``, says who
serves the folder and on which ports. The serving process keeps it locked, so a process that
was killed leaves nothing that could be taken for a running one, and the file still says which
ports the devices made so far expect.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from localcloud.door.access_key import AccessKey, make_access_key, read_access_key
from localcloud.errors import ALREADY_RUNNING, STATE_FOLDER

_LOCK_PATIENCE_SECONDS: Final = 2.0
_LOCK_POLL_SECONDS: Final = 0.02
_RECORD_BYTES: Final = 256  # written in one call, always this long: a reader never sees half


@dataclass(frozen=True)
class Ports:
    """The two loopback ports of a local AWS."""

    api: int
    mqtt: int


@dataclass(frozen=True)
class Server:
    """A process that serves a state folder now."""

    pid: int
    ports: Ports


class StateFolder:
    """The files of one local AWS, by name."""

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is made yet."""
        self.path = path.absolute()
        self.services = self.path / "services"
        self.objects = self.path / "s3"
        self.scratch = self.path / "tmp"
        self.root_ca = self.path / "root-ca.pem"
        self.issuing_ca = self.path / "issuing-ca.pem"
        self.log = self.path / "server.log"
        self._access_key = self.path / "access-key.json"
        self._record = self.path / "server.json"
        self._served: os.stat_result | None = None

    def create(self) -> None:
        """Make the folder, readable by its owner only.

        Raises:
            StateFolderError: it cannot be made, or belongs to someone else.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._refuse_foreign_folder()
            self.path.chmod(0o700)
            self._record.touch(mode=0o600)
            for folder in (self.services, self.objects):
                folder.mkdir(mode=0o700, exist_ok=True)
            make_access_key(self._access_key)
        except OSError as error:
            raise STATE_FOLDER.error(error.strerror or str(error), path=self.path) from error

    def _refuse_foreign_folder(self) -> None:
        # What is emptied later must be ours: --state ~ is a slip, not a wish.
        if not self._record.exists() and any(self.path.iterdir()):
            raise STATE_FOLDER.error(
                "it is not empty, and does not belong to a local AWS", path=self.path
            )

    def access_key(self) -> AccessKey:
        """Return the root's access key, which was made with the folder.

        Raises:
            StateFolderError: there is none, or its file is damaged.
        """
        return read_access_key(self._access_key)

    def empty(self) -> None:
        """Forget everything but the ports and the access key.

        Raises:
            StateFolderError: the folder does not belong to a local AWS.
        """
        if not self.path.exists():
            return
        self._refuse_foreign_folder()
        for folder in (self.services, self.objects, self.scratch):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.root_ca, self.issuing_ca, self.log):
            file.unlink(missing_ok=True)

    def remembered_ports(self) -> Ports | None:
        """Return the ports of the latest run, or None if there was none."""
        record = self._read()
        return record.ports if record else None

    def server(self) -> Server | None:
        """Return the process that serves this folder now, or None."""
        try:
            with self._record.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._read()
        except OSError:
            return None
        return None

    @contextmanager
    def serve(self, ports: Ports, patience: float = _LOCK_PATIENCE_SECONDS) -> Iterator[None]:
        """Hold the folder as its one server; ports are remembered, scratch files forgotten.

        Raises:
            AlreadyRunningError: another process holds it.
        """
        handle = os.open(self._record, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._lock(handle, patience)
            record = {"pid": os.getpid(), **asdict(ports)}
            os.pwrite(handle, json.dumps(record).ljust(_RECORD_BYTES).encode(), 0)
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch.mkdir(mode=0o700)
            self._served = os.fstat(handle)
            yield
        finally:
            os.close(handle)

    def is_still_there(self) -> bool:
        """Whether the folder that this process serves has not been removed, or replaced."""
        try:
            return self._served is None or os.path.samestat(self._record.stat(), self._served)
        except OSError:
            return False

    def _lock(self, handle: int, patience: float) -> None:
        # Whoever asks who serves holds the lock for a moment: so not at the first refusal.
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ALREADY_RUNNING.error(
                        "a local AWS is already running on it", path=self.path
                    ) from None
                time.sleep(_LOCK_POLL_SECONDS)
            else:
                return

    def _read(self) -> Server | None:
        try:
            record = json.loads(self._record.read_bytes())
            return Server(int(record["pid"]), Ports(int(record["api"]), int(record["mqtt"])))
        except (OSError, ValueError, RecursionError, KeyError, TypeError):
            return None
