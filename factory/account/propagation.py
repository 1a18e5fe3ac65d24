"""Patience with AWS, where it is done only some seconds after it said so."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from factory.errors import CLOUD_THROTTLED, CloudRejectedError

_SECONDS: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Between tries; a new IAM role is known everywhere within some ten seconds."""
_ROLE_NOT_KNOWN_YET: Final = "cannot be assumed"
"""From IoT's "The provisioning role cannot be assumed by AWS IoT" and Lambda's "The role defined
for the function cannot be assumed by Lambda"."""

Sleep = Callable[[float], None]
T = TypeVar("T")


def with_new_role(call: Callable[[], T], sleep: Sleep = time.sleep) -> T:
    """Do ``call``, which uses a role that IAM may not have made known yet.

    Raises:
        CloudError: what ``call`` raises, at the last try if it is about the role.
    """
    for seconds in _SECONDS:
        try:
            return call()
        except CloudRejectedError as error:
            if _ROLE_NOT_KNOWN_YET not in str(error):
                raise
            sleep(seconds)
    return call()


def wait_until(what: str, is_done: Callable[[], bool], sleep: Sleep = time.sleep) -> None:
    """Ask until ``is_done``.

    Raises:
        CloudThrottledError: it still is not after half a minute.
    """
    for seconds in _SECONDS:
        if is_done():
            return
        sleep(seconds)
    if not is_done():
        raise CLOUD_THROTTLED.error(f"{what} is not ready yet")
