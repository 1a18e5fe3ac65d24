"""What scripts/package builds: the same each time, and enough wherever it is installed."""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from scripts._man import PAGES
from scripts._package import distributions
from tests.support.hang import SECONDS
from tests.wire.test_wheel import ROOT

EPOCH = 1_700_000_000
PACKAGE_OF_DEVICE = ("_awscrt.abi3.so", "_cffi_backend", "_yaml", "awscrt", "awsiot", "cffi",
                     "cryptography", "msgspec", "pycparser", "yaml")  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Wheel and sdist."""
    return distributions(tmp_path_factory.mktemp("built"), EPOCH)


def digests(files: list[Path]) -> dict[str, str]:
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in files}


def test_two_builds_are_the_same_to_the_bit(built: list[Path], tmp_path: Path) -> None:
    assert digests(distributions(tmp_path, EPOCH)) == digests(built)


def test_everything_has_the_time_that_was_given(built: list[Path]) -> None:
    wheel, sdist = built
    with zipfile.ZipFile(wheel) as archive:
        assert {each.date_time for each in archive.infolist()} == {(2023, 11, 14, 22, 13, 20)}
    with tarfile.open(sdist) as packed:
        assert {(each.mtime, each.uid, each.uname) for each in packed} == {(EPOCH, 0, "")}


def test_a_wheel_of_the_sdist_holds_what_the_wheel_holds(built: list[Path], tmp_path: Path) -> None:
    wheel, sdist = built
    with tarfile.open(sdist) as packed:
        packed.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    command = [sys.executable, "-c", "from setuptools import build_meta as b; b.build_wheel('.')"]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=SECONDS)
    (again,) = source.glob("*.whl")
    assert names_in(again) == names_in(wheel)


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


# --- what a person without the extras is told ------------------------------------------------


@pytest.fixture(scope="module")
def bare(built: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the wheel and what a device needs, as `pip install firstboot` leaves it."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=SECONDS
    )
    packages = next(folder.glob("lib/python3*/site-packages"))
    with zipfile.ZipFile(built[0]) as archive:
        archive.extractall(packages)  # noqa: S202 - ours
    for each in Path(pytest.__file__).parents[1].iterdir():
        if each.name.startswith(PACKAGE_OF_DEVICE):
            (packages / each.name).symlink_to(each)
    return folder / "bin" / "python"


def said(python: Path, folder: Path, *command: str) -> tuple[int, str]:
    done = subprocess.run(
        [python, "-P", "-m", *command], cwd=folder, capture_output=True, text=True, check=False,
        timeout=SECONDS, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("command", [["device", "--version"], ["factory", "--version"]])
def test_a_command_says_its_version_without_the_extras(
    bare: Path, tmp_path: Path, command: list[str]
) -> None:
    assert said(bare, tmp_path, *command) == (0, f"{command[0]} 0.1.0\n")


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("factory prepare --method claim", "factory"),
        ("factory make --method claim --serial SN-1", "factory"),
        ("factory --help", "factory"),
        ("localcloud up", "local"),
        ("localcloud --help", "local"),
    ],
)
def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    bare: Path, tmp_path: Path, command: str, extra: str
) -> None:
    code, words = said(bare, tmp_path, *command.split())
    assert "Traceback" not in words
    is_help_without = code == 0 and "usage" in words  # help may need nothing of the extra
    assert is_help_without or f"pip install 'firstboot[{extra}]'" in words


# --- man pages and completion ----------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_page_is_current(path: Path) -> None:
    assert path.read_text() == PAGES[path](), "run scripts/docs"


def completed(command: str, *words: str) -> list[str]:
    script = f"""
        . {ROOT}/packaging/completion/{command}
        COMP_WORDS=({command} {" ".join(words)} ''); COMP_CWORD={len(words) + 1}
        _{command}; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, timeout=SECONDS
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "some"),
    [
        ((), {"boot", "run", "status", "reset"}),
        (("boot",), {"--state", "--config", "--log-level"}),
        (("boot", "--log-level"), {"debug", "info", "warning", "error"}),
    ],
)
def test_bash_completes_verbs_options_and_choices(words: tuple[str, ...], some: set[str]) -> None:
    assert some <= set(completed("device", *words))
