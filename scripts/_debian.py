"""Programs of Debian's that some tests need: installed where that may be done, else named."""

import os
import shutil
import subprocess
import sys


def install(packages: tuple[str, ...], tests: str) -> None:
    """Install ``packages`` as root; without root, say what the ``tests`` need."""
    command = ("apt-get", "install", "-y", "--no-install-recommends", *packages)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(f"For the {tests} tests: sudo {' '.join(command)}", file=sys.stderr)  # noqa: T201
        return
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for each in (("apt-get", "update", "-q"), command):
        subprocess.run(each, check=False, env=quiet, stdout=subprocess.DEVNULL)  # noqa: S603
