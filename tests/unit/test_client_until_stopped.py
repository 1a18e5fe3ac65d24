"""A client of awscrt is held until it has stopped: a message for it would end the process.

Found by a renewal storm of 100 devices on a busy machine.
"""

import gc
import threading
import weakref

from device.connection.awscrt_session import keep_until_stopped


class Client:
    """Can be looked after without being held."""


def test_a_client_is_held_until_it_has_stopped_and_no_longer() -> None:
    client, stopped = Client(), threading.Event()
    is_held = weakref.ref(client)
    keep_until_stopped(client, stopped)
    del client
    gc.collect()
    assert is_held() is not None

    stopped.set()
    keep_until_stopped(Client(), stopped)
    gc.collect()
    assert is_held() is None


def test_a_client_that_has_stopped_is_not_held() -> None:
    client, stopped = Client(), threading.Event()
    stopped.set()
    is_held = weakref.ref(client)
    keep_until_stopped(client, stopped)
    del client
    gc.collect()
    assert is_held() is None
