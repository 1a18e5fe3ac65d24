"""Does the Debian package install, run, upgrade and purge in a Debian of its own?

Long: it makes a Debian with debootstrap, for which it and pip ask the package registries.
"""

import logging
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts import _debian
from scripts._debian_package import Target, download, package, this_machine
from scripts._package import ROOT, distributions
from tests.support.hang import SECONDS
from tests.support.production_line import production_line
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.long
log = logging.getLogger(__name__)
EPOCH = 1_700_000_000
ACCOUNT = "317000000000"
SUITE = "bookworm"


@dataclass(frozen=True)
class Debian:
    """A Debian in a folder."""

    root: Path

    def run(self, *command: str, environment: Mapping[str, str] | None = None) -> str:
        """Run a command in it as root, and return what it says."""
        variables = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            **(environment or {}),
        }
        done = subprocess.run(
            ["chroot", str(self.root), *command], stdout=subprocess.PIPE, text=True, check=False,
            stderr=subprocess.STDOUT, timeout=SECONDS, env=variables,
        )  # fmt: skip
        log.info("# %s\n%s", " ".join(command), done.stdout)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def put(self, source: Path, name: str) -> Path:
        """Copy a file or folder into it."""
        path = self.root / name
        if source.is_dir():
            shutil.copytree(source, path)
        else:
            shutil.copyfile(source, path)
        return path


@dataclass(frozen=True)
class Packages:
    """Two versions, of which the second is built twice."""

    older: Path
    newer: Path
    again: Path


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    _debian.install(("debootstrap", "lintian"), "package")
    return packages_for(this_machine(), tmp_path_factory.mktemp("packages"))


def packages_for(architecture: str, folder: Path) -> Packages:
    wheels = [*download(architecture, folder / "wheels"), distributions(folder, EPOCH)[0]]
    made = []
    for name, version in (("older", "0.0.9"), ("newer", "0.1.0"), ("again", "0.1.0")):
        (folder / name).mkdir()
        made.append(package(Target(version, architecture), wheels, folder / name, EPOCH))
    return Packages(*made)


@pytest.fixture(scope="module")
def bare_debian(tmp_path_factory: pytest.TempPathFactory, packages: Packages) -> Path:
    assert packages.newer.exists()  # debootstrap is installed with them
    return made_by_debootstrap(this_machine(), tmp_path_factory.mktemp("debian") / "root")


def made_by_debootstrap(architecture: str, root: Path) -> Path:
    words = (f"--arch={architecture}", "--variant=minbase", "--include=python3,adduser")
    command = ["debootstrap", *words, SUITE, str(root)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=1800)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    return root


@pytest.fixture
def debian(bare_debian: Path, tmp_path: Path) -> Debian:
    # Not shutil: it would read a device such as /dev/zero to its end, which has none.
    subprocess.run(
        ["cp", "--archive", str(bare_debian), str(tmp_path / "root")], check=True, timeout=SECONDS
    )
    return Debian(tmp_path / "root")


def test_two_builds_are_the_same_to_the_bit(packages: Packages) -> None:
    assert packages.newer.read_bytes() == packages.again.read_bytes()


def test_lintian_finds_nothing(packages: Packages) -> None:
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", str(packages.newer)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_device_is_installed_booted_upgraded_and_purged_and_keeps_its_state(
    debian: Debian, packages: Packages, local_cloud: LocalCloud, tmp_path: Path
) -> None:
    device_lives(debian, packages, local_cloud, tmp_path)


@pytest.fixture
def arm64_debian(tmp_path: Path) -> Debian:
    _debian.install(("debootstrap", "qemu-user-static"), "package")
    _debian.emulate("aarch64")
    return Debian(made_by_debootstrap("arm64", tmp_path / "root"))


def test_so_does_a_device_on_an_arm64_that_qemu_emulates(
    arm64_debian: Debian, local_cloud: LocalCloud, tmp_path: Path
) -> None:
    assert arm64_debian.run("uname", "-m") == "aarch64\n"
    device_lives(arm64_debian, packages_for("arm64", tmp_path), local_cloud, tmp_path)


def device_lives(
    debian: Debian, packages: Packages, local_cloud: LocalCloud, tmp_path: Path
) -> None:
    with production_line(local_cloud, ACCOUNT, tmp_path, "jitr") as line:
        assert line.prepare().code == 0
        state = line.make(tmp_path / "SN-DEB")
        debian.put(packages.older, "srv/older.deb")
        debian.put(packages.newer, "srv/newer.deb")

        debian.run("dpkg", "--install", "/srv/older.deb")
        device = debian.put(state, "var/lib/firstboot/SN-DEB")
        debian.run("chown", "-R", "firstboot:firstboot", "/var/lib/firstboot/SN-DEB")
        as_user = ("setpriv", "--reuid=firstboot", "--regid=firstboot", "--clear-groups")
        debian.run(*as_user, "device", "boot", "--state", "/var/lib/firstboot/SN-DEB")
        before = content(device)

        upgraded = debian.run("dpkg", "--install", "/srv/newer.deb")
        after = content(device)
        shown = debian.run(*as_user, "device", "status", "--state", "/var/lib/firstboot/SN-DEB")
        purged = debian.run("dpkg", "--purge", "firstboot")

    assert "Unpacking firstboot (0.1.0) over (0.0.9)" in upgraded
    assert before == after == content(device)
    assert "provisioned" in shown
    assert "holds devices, and is kept" in purged
    assert not (debian.root / "usr/lib/firstboot").exists()
    assert not (debian.root / "etc/firstboot").exists()


def content(folder: Path) -> Mapping[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_purge_leaves_nothing_where_there_is_no_device(debian: Debian, packages: Packages) -> None:
    debian.put(packages.newer, "srv/newer.deb")
    before = debian.run("dpkg-query", "--show")
    debian.run("dpkg", "--install", "/srv/newer.deb")
    debian.run("dpkg", "--purge", "firstboot")

    left = [path for path in debian.root.rglob("*firstboot*") if path.parts[-2] != "srv"]
    assert left == []
    assert debian.run("dpkg-query", "--show") == before
    assert "firstboot" not in (debian.root / "etc/passwd").read_text()


def test_the_steps_of_the_containerfile_run(debian: Debian, packages: Packages) -> None:
    debian.put(packages.newer, f"tmp/{packages.newer.name}")
    for file in ("apt.conf.d", "sources.list.d", "sources.list"):
        if (source := Path("/etc/apt", file)).exists():
            shutil.rmtree(debian.root / "etc/apt" / file, ignore_errors=True)
            debian.put(source, f"etc/apt/{file}")
    shutil.copyfile("/etc/resolv.conf", debian.root / "etc/resolv.conf")
    steps = (ROOT / "packaging" / "Containerfile").read_text().splitlines()
    for step in (line.removeprefix("RUN ") for line in steps if line.startswith("RUN ")):
        debian.run("sh", "-c", step, environment=proxies())

    assert debian.run("/usr/bin/device", "--version") == "device 0.1.0\n"
    assert (debian.root / "var/lib/firstboot").stat().st_mode & 0o777 == 0o700


def proxies() -> Mapping[str, str]:
    """Return how this machine reaches the registry of Debian's packages."""
    return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
