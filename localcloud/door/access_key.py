"""The access key of one local AWS: made with its state folder, known to its owner only.

It is the root's key of every account. A key that everybody knows would let any web page in the
developer's browser sign requests (a signature in the query needs no header, so the browser asks
nobody's leave); this one is random, in a file of mode 0600 in a folder of mode 0700.
"""

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from localcloud.errors import STATE_FOLDER

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"  # base32, as AWS's key ids are
_ID_CHARACTERS: Final = 16
_SECRET_BYTES: Final = 30  # 40 characters of base64, as long as AWS's secrets


@dataclass(frozen=True)
class AccessKey:
    """A key id and its secret, as boto3 and the AWS CLI want them."""

    id: str
    secret: str = field(repr=False)


def new_access_key() -> AccessKey:
    """Return a key that nobody knows yet, of the form of AWS's keys."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_CHARACTERS))
    return AccessKey(f"AKIA{letters}", secrets.token_urlsafe(_SECRET_BYTES))


def make_access_key(path: Path) -> None:
    """Write a new key to ``path`` (mode 0600, in one step) unless there is one.

    Raises:
        OSError: it cannot be written.
    """
    if path.exists():
        return
    key = new_access_key()
    new = path.with_suffix(f".{os.getpid()}.new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump({"access_key_id": key.id, "secret_access_key": key.secret}, file)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(new, path)  # unlike a rename, it leaves the key that another process just made
    except FileExistsError:
        pass
    finally:
        new.unlink()


def read_access_key(path: Path) -> AccessKey:
    """Return the key that is kept in ``path``.

    Raises:
        StateFolderError: there is none, or the file holds something else.
    """
    try:
        found = json.loads(path.read_bytes())
        key_id, secret = found["access_key_id"], found["secret_access_key"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise STATE_FOLDER.error(
            f"{path.name} does not hold an access key", path=path.parent
        ) from error
    if not (isinstance(key_id, str) and isinstance(secret, str) and key_id and secret):
        raise STATE_FOLDER.error(f"{path.name} does not hold an access key", path=path.parent)
    return AccessKey(key_id, secret)
