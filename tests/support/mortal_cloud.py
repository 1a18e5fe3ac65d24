"""A local AWS that is killed and starts again, a fifth of a second later.

Most of a start is the import of MiniStack. Here one process imports it and forks a child for each
life, which serves as ``localcloud up`` does; each line on standard input begins the next life.
"""

import os
import sys
from pathlib import Path

from localcloud.process.server import environment, serve
from localcloud.process.state_folder import Ports, StateFolder


def main(state: str, api: str, mqtt: str) -> None:
    """Live as often as there are lines on standard input."""
    folder, ports = StateFolder(Path(state)), Ports(int(api), int(mqtt))
    wanted = environment(folder, ports, folder.access_key(), os.environ, "warning")
    os.environ.clear()
    os.environ.update(wanted)
    from ministack.services import s3  # noqa: PLC0415

    import localcloud.process.cloud  # noqa: F401, PLC0415  (it reads the environment)

    for _line in sys.stdin:
        child = os.fork()
        if child == 0:
            sys.stdin.close()
            s3._load_persisted_data()
            serve(folder, ports)
            return
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
