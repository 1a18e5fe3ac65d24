"""What a wheel holds is enough: the commands work in an empty folder, far from a checkout."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.support.hang import SECONDS
from tests.wire.conftest import LocalCloud

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the wheel, and the libraries of this one, but not this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", folder / "venv"],
        check=True,
        timeout=SECONDS,
    )
    packages = next((folder / "venv").glob("lib/python3*/site-packages"))
    with zipfile.ZipFile(wheel(folder)) as archive:
        archive.extractall(packages)
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv" / "bin" / "python"


def wheel(folder: Path) -> Path:
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        *options,
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True, timeout=SECONDS)
    (made,) = folder.glob("*.whl")
    return made


def run(python: Path, folder: Path, cloud: LocalCloud, *command: str) -> str:
    environment = {"PATH": os.environ["PATH"], **cloud.environment}
    done = subprocess.run(
        [python, "-P", "-m", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_the_wheel_that_is_run(python: Path, tmp_path: Path) -> None:
    code = (
        "import device; from factory.account.documents import FILES; print(device.__file__, FILES)"
    )
    done = subprocess.run(
        [python, "-P", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    assert str(ROOT) not in done.stdout


def test_the_page_of_watch_is_in_the_wheel(python: Path, tmp_path: Path) -> None:
    code = """
from localcloud.page.server import FILES, FOLDER
for name, _kind in FILES.values():
    print(name)
    assert FOLDER.joinpath(name).read_bytes()
"""
    done = subprocess.run(
        [python, "-P", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    assert "page.js" in done.stdout


def test_a_device_is_prepared_made_and_booted_from_a_wheel(
    python: Path, tmp_path: Path, local_cloud: LocalCloud
) -> None:
    for command in (
        "factory prepare --method jitr",
        "factory make --method jitr --serial SN-WHEEL --out device",
        "device boot --state device",
    ):
        run(python, tmp_path, local_cloud, *command.split())

    assert "SN-WHEEL" in run(python, tmp_path, local_cloud, "device", "status", "--state", "device")


def test_the_ten_line_test_of_the_documents_runs_from_a_wheel(
    python: Path, tmp_path: Path, local_cloud: LocalCloud
) -> None:
    page = (ROOT / "docs" / "testing-devices.md").read_text(encoding="utf-8")
    ten_lines = page.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "test_ten_lines.py").write_text(ten_lines)
    words = "-q -p no:cacheprovider -p no:xdist --durations=3 test_ten_lines.py"

    said = run(python, tmp_path, local_cloud, "pytest", *words.split())

    assert "1 passed" in said
