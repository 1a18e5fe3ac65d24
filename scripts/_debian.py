"""Programs of Debian's that some tests need: installed where that may be done, else named."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

_BINARY_FORMATS: Final = Path("/proc/sys/fs/binfmt_misc")


def install(packages: tuple[str, ...], tests: str) -> None:
    """Install ``packages`` as root; without root, say what the ``tests`` need."""
    command = ("apt-get", "install", "-y", "--no-install-recommends", *packages)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(f"For the {tests} tests: sudo {' '.join(command)}", file=sys.stderr)  # noqa: T201
        return
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for each in (("apt-get", "update", "-q"), command):
        subprocess.run(each, check=False, env=quiet, stdout=subprocess.DEVNULL)  # noqa: S603


def emulate(machine: str) -> None:
    """Have the kernel run programs of another ``machine``, such as aarch64, by qemu-user-static.

    Debian's package leaves that to systemd, which a container does not have.
    """
    if not (_BINARY_FORMATS / "register").exists():
        mount = ("mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINARY_FORMATS))
        subprocess.run(mount, check=True)  # noqa: S603 - our own words
    if not (_BINARY_FORMATS / f"qemu-{machine}").exists():
        rule = Path(f"/usr/lib/binfmt.d/qemu-{machine}.conf").read_text(encoding="ascii")
        (_BINARY_FORMATS / "register").write_text(rule.strip(), encoding="ascii")
