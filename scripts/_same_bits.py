"""What must not differ between two builds of the same files: their times and modes."""

import os
from pathlib import Path


def set_times(folder: Path, epoch: int) -> None:
    """Give everything in ``folder`` one time, and modes that no umask had a part in."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if not path.is_symlink():
            is_program = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if is_program else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)
