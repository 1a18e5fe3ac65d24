"""A claim that comes as a file: it is taken if it is ours alone, and removed then.

A file that is not to be believed stays where it is, and is looked at again once it changes.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from device.errors.provisioning import ClaimExpiredError, ClaimUnusableError
from device.errors.storage import UnfitFileError
from device.runtime.credentials import BorrowedClaim
from device.storage.ownership import trusted_users
from device.storage.private_file import PrivateFile, read_private_file

MAX_DELIVERY_BYTES: Final = 65_536

Take = Callable[[bytes], BorrowedClaim]
"""Returns the claim, or raises ClaimUnusableError or ClaimExpiredError."""


class ClaimFile:
    """The file ``path``, which a trusted user will put there."""

    def __init__(
        self,
        path: Path,
        take: Take,
        refuse: Callable[[str], None],
        wait: Callable[[float], object],
    ) -> None:
        """Tell ``refuse`` what is wrong with a file; ``wait`` seconds between two looks."""
        self._path: Final = path
        self._take: Final = take
        self._refuse: Final = refuse
        self._wait: Final = wait
        self._seen: tuple[int, ...] = ()
        self._refused: tuple[int, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def poll(self, seconds: float) -> BorrowedClaim | None:
        """Look once; without a claim, return after ``seconds``.

        Raises:
            ClaimExpiredError: the claim is whole and ours, and was there for too long. Nobody
                stands beside a file who could be told to bring another one.
        """
        claim = self._look()
        if claim is None:
            self._wait(seconds)
        return claim

    def _look(self) -> BorrowedClaim | None:
        try:
            found = read_private_file(self._path, at_most=MAX_DELIVERY_BYTES, follow_links=False)
            return self._judged(found)
        except FileNotFoundError:
            return None
        except UnfitFileError as error:
            self._refuse(str(error))
        except OSError as error:
            self._refuse(f"{self._path}: {error.strerror}")
        return None

    def _judged(self, found: PrivateFile) -> BorrowedClaim | None:
        if found.version == self._refused:
            return None
        self._check_owner(found)
        try:
            claim = self._take(found.content)
        except ClaimUnusableError as error:
            self._not_yet(found, error)
            return None
        except ClaimExpiredError:
            self._path.unlink(missing_ok=True)
            raise
        self._path.unlink(missing_ok=True)
        return claim

    def _not_yet(self, found: PrivateFile, error: ClaimUnusableError) -> None:
        """Refuse it when it has not changed since the last look: it may be half-written."""
        if found.version == self._seen:
            self._refused = found.version
            self._refuse(f"{error.code}: {error}")
        self._seen = found.version

    def _check_owner(self, found: PrivateFile) -> None:
        if found.owner not in trusted_users(self._path.parent, os.geteuid()):
            raise UnfitFileError(f"{self._path} belongs to another user (uid {found.owner})")
        if found.is_open_to_others:
            readable = f"{self._path} can be read by other users (mode {found.mode:04o})"
            raise UnfitFileError(f"{readable}: it must be 0600")
