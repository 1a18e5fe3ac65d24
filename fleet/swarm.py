"""``python -m fleet.swarm``: Locust, with devices in real threads, on as many machines as wanted.

Locust patches Python's threads, queues, sockets and name look-ups by default. A device's threads
are real ones, and awscrt wakes it from another that gevent does not know, so a device with patched
ones never hears an answer. This launcher leaves them as they are, and patches the rest before
Locust can. Its options are Locust's.
"""

import os
import sys
from argparse import ArgumentParser
from importlib.util import find_spec
from typing import Final

from pytest_firstboot.extra import ExtraMissingError, check_installed

_SKIP: Final = "LOCUST_SKIP_MONKEY_PATCH"
_FILE: Final = "fleet.locustfile"


def main() -> None:
    """Run Locust; it exits."""
    try:
        check_installed("fleet", "gevent", "locust")
    except ExtraMissingError as error:
        ArgumentParser(prog="python -m fleet.swarm").exit(1, f"fleet.swarm: {error}\n")
    from gevent import monkey  # noqa: PLC0415 - before all else

    # `select` as well: the pump of the devices waits in a real thread.
    monkey.patch_all(thread=False, queue=False, socket=False, ssl=False, dns=False, select=False)
    os.environ[_SKIP] = "1"
    from locust.main import main as locust_main  # noqa: PLC0415 - after the patch

    if not {"-f", "--locustfile"} & set(sys.argv):
        sys.argv[1:1] = ["-f", locustfile()]
    locust_main()


def locustfile() -> str:
    """Return where the file is that Locust reads.

    Raises:
        RuntimeError: it is not in a file.
    """
    spec = find_spec(_FILE)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{_FILE} is not in a file")
    return spec.origin


if __name__ == "__main__":
    main()
