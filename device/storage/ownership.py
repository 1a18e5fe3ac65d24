"""A file that root makes in another user's folder belongs to that user, as the folder does.

Else one ``sudo device boot`` makes files that the device's own user cannot open any more.
"""

import os
import stat
from pathlib import Path
from typing import NamedTuple

ROOT = 0


class Owner(NamedTuple):
    """A user and a group, by their numbers."""

    user: int
    group: int


def owner_for(folder: Owner, user: int) -> Owner | None:
    """Return to whom a new file in a folder is to be given; None where it is right as made.

    Only root can give files away, and only what is in another user's folder is meant for another.
    """
    return folder if user == ROOT and folder.user != ROOT else None


def give_to_owner_of(folder: Path, made: int | Path) -> None:
    """Give what this process has just made in ``folder`` to the folder's owner.

    ``made`` is an open descriptor, or the path of a socket.

    Raises:
        OSError: the file system does not let us.
    """
    status = folder.stat()
    owner = owner_for(Owner(status.st_uid, status.st_gid), os.geteuid())
    if owner is None:
        return
    if isinstance(made, int):
        os.fchown(made, *owner)
    elif stat.S_ISSOCK(made.lstat().st_mode):
        os.chown(made, *owner, follow_symlinks=False)


def trusted_users(folder: Path, user: int) -> frozenset[int]:
    """Return whose files the process of ``user`` may believe: its own, and root's.

    For root also those of the folder's owner, whose device it is running.
    """
    ours = {user, ROOT}
    return frozenset(ours | {folder.stat().st_uid} if user == ROOT else ours)
