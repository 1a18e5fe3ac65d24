"""Builds the wheel and the sdist, bit for bit the same each time.

What Git tracks is copied as it is in the work tree into an empty folder, where every file has one
time (SOURCE_DATE_EPOCH, by default that of the last commit) and one mode. setuptools then has
nothing to differ in but the sdist's archive, which is packed again.
"""

import argparse
import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from scripts import _debian_package as debian
from scripts._same_bits import set_times

ROOT: Final = Path(__file__).resolve().parents[1]
_BUILD: Final = "from setuptools import build_meta as b; print({build}({out!r}))"


def main(arguments: Sequence[str] | None = None) -> int:
    """Build what is asked for into ``--out``, and print each file."""
    options = _parser().parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    epoch = source_date_epoch()
    made = distributions(options.out, epoch)
    if options.what == "deb":
        made += debian.build(made[0], options.out, epoch, options.architecture)
    print(*made, sep="\n")  # noqa: T201 - a script
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/package", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "what", nargs="?", choices=("wheel", "deb"), default="wheel",
        help="wheel: wheel and sdist; deb: a Debian package too; default: %(default)s",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR")
    parser.add_argument(
        "--architecture", action="append", default=[], choices=debian.ARCHITECTURES,
        help="of the Debian package; may be given several times; default: this machine's",
    )  # fmt: skip
    return parser


def source_date_epoch() -> int:
    """Return the time that everything built bears, in seconds since 1970."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    return int(_git("log", "-1", "--format=%ct"))


def _git(*words: str) -> str:
    command = ("git", *words)
    done = subprocess.run(  # noqa: S603 - our own words
        command, cwd=ROOT, check=True, capture_output=True, text=True
    )
    return done.stdout


def distributions(out: Path, epoch: int) -> list[Path]:
    """Build wheel and sdist into ``out``; return their paths, the wheel first."""
    with tempfile.TemporaryDirectory() as folder:
        source = _source(Path(folder, "source"), epoch)
        wheel = _built("b.build_wheel", source, out, epoch)
        sdist = _built("b.build_sdist", source, out, epoch)
    _pack_again(sdist, epoch)
    return [wheel, sdist]


def _source(into: Path, epoch: int) -> Path:
    """Copy what Git tracks; links into the checkout's own folders become what they link to."""
    listed = _git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        path, copy = ROOT / name, into / name
        if not path.exists():  # deleted, and not yet committed
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(path, copy)
    set_times(into, epoch)
    return into


def _built(build: str, source: Path, out: Path, epoch: int) -> Path:
    """Run a build backend's function in a process of its own: it changes its working folder."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"}
    command = (sys.executable, "-c", _BUILD.format(build=build, out=str(out.resolve())))
    done = subprocess.run(  # noqa: S603 - our own words
        command, cwd=source, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"scripts/package: {build} failed:\n{done.stderr}")
    return out / done.stdout.splitlines()[-1]


def _pack_again(sdist: Path, epoch: int) -> None:
    """Pack the archive again: sorted, of nobody, and of one time."""
    packed = io.BytesIO()
    with tarfile.open(sdist) as old, tarfile.open(fileobj=packed, mode="w") as new:
        for member in sorted(old.getmembers(), key=lambda each: each.name):
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = epoch
            member.pax_headers = {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    with sdist.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=epoch) as zipped:
        zipped.write(packed.getvalue())


if __name__ == "__main__":
    sys.exit(main())
