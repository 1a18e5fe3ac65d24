"""Builds a Debian package of the device alone, with what it needs from PyPI, and no compiler.

The libraries are the wheels of scripts/locked.txt, one for each Python that Debian and Raspberry
Pi OS have, in one folder: a compiled module bears the Python that it is for in its name. The
package is made by dpkg-deb from an empty folder in which every file has one time, so that two
builds are the same to the bit.
"""

import gzip
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from scripts._same_bits import set_times

ROOT: Final = Path(__file__).resolve().parents[1]
ARCHITECTURES: Final[Mapping[str, str]] = {"amd64": "x86_64", "arm64": "aarch64"}
"""Debian's names, and PyPI's. PyPI has no 32-bit wheels of the AWS SDK (docs/raspberry-pi.md)."""
PYTHONS: Final = ("3.11", "3.12", "3.13")
"""Debian 12, Ubuntu 24.04, Debian 13; Raspberry Pi OS has Debian's."""
NEEDED: Final = ("awscrt", "awsiotsdk", "cffi", "cryptography", "msgspec", "pycparser", "pyyaml")
_DEBIAN: Final = ROOT / "packaging" / "debian"
_LIBRARY: Final = "usr/lib/firstboot"
_INSTALLED: Final[Mapping[str, str]] = {
    "packaging/debian/device": "usr/bin/device",
    "packaging/systemd/firstboot@.service": "usr/lib/systemd/system/firstboot@.service",
    "packaging/systemd/firstboot-renew@.service": "usr/lib/systemd/system/firstboot-renew@.service",
    "packaging/systemd/firstboot-renew@.timer": "usr/lib/systemd/system/firstboot-renew@.timer",
    "packaging/completion/device": "usr/share/bash-completion/completions/device",
    "packaging/debian/copyright": "usr/share/doc/firstboot/copyright",
    "packaging/debian/lintian-overrides": "usr/share/lintian/overrides/firstboot",
}
_ZIPPED: Final[Mapping[str, str]] = {
    "packaging/man/device.1": "usr/share/man/man1/device.1.gz",
    "packaging/debian/changelog": "usr/share/doc/firstboot/changelog.gz",
}
_EMPTY: Final = ("etc/firstboot", "var/lib/firstboot")
_SCRIPTS: Final = ("postinst", "prerm", "postrm")


class Target(NamedTuple):
    """What a package is called."""

    version: str
    architecture: str

    @property
    def file_name(self) -> str:
        """Its file, as apt expects it."""
        return f"firstboot_{self.version}_{self.architecture}.deb"


def build(wheel: Path, out: Path, epoch: int, architectures: Sequence[str] = ()) -> list[Path]:
    """Build a package for each architecture into ``out``; return their paths."""
    made = []
    for architecture in architectures or (this_machine(),):
        target = Target(wheel.name.split("-")[1], architecture)
        with tempfile.TemporaryDirectory() as folder:
            libraries = download(architecture, Path(folder))
            made.append(package(target, [*libraries, wheel], out, epoch))
    return made


def package(target: Target, wheels: Sequence[Path], out: Path, epoch: int) -> Path:
    """Build one package; the last of ``wheels`` is our own, of which the device is taken."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        _fill(tree, wheels[-1], wheels[:-1])
        _control(tree, target)
        return _packed(tree, out / target.file_name, epoch)


def download(architecture: str, into: Path) -> list[Path]:
    """Return the wheels of `NEEDED` for ``architecture``, one for each Python that differs."""
    machine = ARCHITECTURES[architecture]
    platforms = [f"--platform=manylinux_{glibc}_{machine}" for glibc in ("2_17", "2_28", "2_34")]
    for python in PYTHONS:
        command = (
            sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet",
            "--no-deps", "--only-binary=:all:", "--implementation=cp", *platforms,
            f"--platform=manylinux2014_{machine}", f"--python-version={python}",
            f"--dest={into / python}", *_locked(),
        )  # fmt: skip
        _said(*command)
    return [wheel for python in PYTHONS for wheel in sorted((into / python).glob("*.whl"))]


def _locked() -> list[str]:
    """Return the needed packages with their locked versions."""
    lines = (ROOT / "scripts" / "locked.txt").read_text().splitlines()
    versions = {line.partition("==")[0].lower(): line for line in lines if "==" in line}
    return [versions[name] for name in NEEDED]


def this_machine() -> str:
    """Return Debian's name of this machine's architecture."""
    return _said("dpkg", "--print-architecture").strip()


def _said(*command: str) -> str:
    """Return what a program prints; where it fails, end with what it says."""
    done = subprocess.run(  # noqa: S603 - our own words
        command, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"scripts/package: {command[0]} failed:\n{done.stderr}")
    return done.stdout


def _fill(tree: Path, wheel: Path, wheels: Sequence[Path]) -> None:
    library = tree / _LIBRARY
    for each in wheels:
        _unpack(each, library)
    _unpack(wheel, library, only=("device/", f"{wheel.name.rsplit('-', 3)[0]}.dist-info/METADATA"))
    for source, name in _INSTALLED.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / source, tree / name)
    for source, name in _ZIPPED.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(gzip.compress((ROOT / source).read_bytes(), 9, mtime=0))
    for name in _EMPTY:
        (tree / name).mkdir(parents=True)


def _unpack(wheel: Path, into: Path, only: Sequence[str] = ("",)) -> None:
    """Unpack a wheel; what an earlier one of the same package brought stays."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(tuple(only)) and _is_wanted(name) and not (into / name).exists():
                archive.extract(name, into)


def _is_wanted(name: str) -> bool:
    """Leave out what only compilers and installers read."""
    unwanted = (
        r"\.(pyi|pyx|pxd|h|c|cpp)$|/(RECORD|WHEEL|INSTALLER|top_level\.txt|entry_points\.txt)$"
    )
    return not re.search(unwanted, name)


def _control(tree: Path, target: Target) -> None:
    control = tree / "DEBIAN"
    control.mkdir()
    files = [path for path in sorted(tree.rglob("*")) if path.is_file()]
    kilobytes = sum(-(-path.stat().st_size // 1024) for path in files)
    text = (_DEBIAN / "control").read_text()
    newest = int(PYTHONS[-1].partition(".")[2]) + 1
    (control / "control").write_text(
        text.format(
            version=target.version,
            architecture=target.architecture,
            size=kilobytes,
            oldest_python=PYTHONS[0],
            python_after=f"3.{newest}",
        )
    )
    (control / "md5sums").write_text("".join(_sums(tree, files)))
    for name in _SCRIPTS:
        shutil.copyfile(_DEBIAN / name, control / name)
        (control / name).chmod(0o755)


def _sums(tree: Path, files: Sequence[Path]) -> Iterator[str]:
    for path in files:
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        yield f"{digest}  {path.relative_to(tree)}\n"


def _packed(tree: Path, package: Path, epoch: int) -> Path:
    for path in (tree / _LIBRARY).rglob("*"):
        if path.is_file():
            path.chmod(0o644)
    (tree / "usr/bin/device").chmod(0o755)
    set_times(tree, epoch)
    clock = f"SOURCE_DATE_EPOCH={epoch}"
    options = ("--root-owner-group", "-Zxz", "--build")
    _said("env", clock, "dpkg-deb", *options, str(tree), str(package))
    return package
