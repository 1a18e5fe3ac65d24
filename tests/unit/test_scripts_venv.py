"""The scripts' virtual environment: when it is made, brought up to date, or left alone."""

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts._venv import LOCK, Environment, EnvironmentNotMadeError, ensure
from tests.support.hang import SECONDS

ROOT = Path(__file__).parents[2]
EXTRAS = {"factory", "local"}
PIP_WORKS = "#!/bin/sh\nexit 0\n"
PIP_FAILS = """#!/bin/sh
echo "WARNING: Retrying (Retry(total=4)) after connection broken by 'Connection refused'"
echo "ERROR: No matching distribution found for awsiotsdk"
echo "note: This error originates from a subprocess"
exit 1
"""


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An environment of another checkout, in which pip has nothing to do."""
    (tmp_path / "scripts").mkdir()
    for name in ("setup.cfg", "pyproject.toml", LOCK):
        (tmp_path / name).write_text(f"# {name}\n")
    made = Environment(tmp_path)
    packages(made).mkdir(parents=True)
    (packages(made) / "awscrt").mkdir()
    made.python.parent.mkdir()
    put(made.python, PIP_WORKS)
    made.install(EXTRAS)
    return made


def packages(environment: Environment) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return environment.path / "lib" / version / "site-packages"


def put(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)


def test_nothing_is_due_in_a_whole_one(environment: Environment) -> None:
    assert environment.due(EXTRAS) == set()
    assert environment.due({"factory"}) == set()


def test_a_new_extra_is_added_to_those_that_are_there(environment: Environment) -> None:
    assert environment.due({"dev"}) == {"dev", *EXTRAS}


def test_changed_metadata_makes_every_extra_due(environment: Environment) -> None:
    (environment.checkout / "setup.cfg").write_text("install_requires = another\n")
    assert environment.due({"factory"}) == EXTRAS


def test_another_locked_version_makes_every_extra_due(environment: Environment) -> None:
    (environment.checkout / LOCK).write_text("awscrt==0.36.2\n")
    assert environment.due({"factory"}) == EXTRAS


def test_pip_is_given_the_locked_versions(environment: Environment) -> None:
    said = environment.checkout / "said"
    put(environment.python, f'#!/bin/sh\necho "$@" > "{said}"\n')
    environment.install(EXTRAS)
    assert f"--constraint {environment.checkout / LOCK}" in said.read_text()


def test_each_dependency_of_ours_is_locked_in_a_version_that_fits() -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    extras = settings["options.extras_require"]
    wanted = "\n".join([settings["options"]["install_requires"], *extras.values()])
    requirements = map(Requirement, filter(None, wanted.splitlines()))
    lines = (line.split("==") for line in (ROOT / LOCK).read_text().splitlines() if "==" in line)
    locked = {canonicalize_name(name): number for name, number in lines}
    unfit = [
        each for each in requirements if locked[canonicalize_name(each.name)] not in each.specifier
    ]
    assert unfit == []


def test_without_a_stamp_it_is_half_made(environment: Environment) -> None:
    (environment.path / "firstboot.json").unlink()
    with pytest.raises(LookupError, match="half-made"):
        environment.due(EXTRAS)


def test_a_stamp_that_was_cut_short_is_no_stamp(environment: Environment) -> None:
    stamp = environment.path / "firstboot.json"
    stamp.write_text(stamp.read_text()[:20])
    with pytest.raises(LookupError):
        environment.due(EXTRAS)


def test_a_missing_package_is_damage(environment: Environment) -> None:
    (packages(environment) / "awscrt").rmdir()
    with pytest.raises(LookupError, match="damaged"):
        environment.due(EXTRAS)


def test_a_python_that_was_removed_is_damage(environment: Environment) -> None:
    environment.python.unlink()
    environment.python.symlink_to("/no/such/python")
    with pytest.raises(LookupError, match="damaged"):
        environment.due(EXTRAS)


def test_a_moved_checkout_needs_a_new_one(environment: Environment, tmp_path: Path) -> None:
    moved = environment.checkout.rename(tmp_path.with_name(f"{tmp_path.name}-moved"))
    with pytest.raises(LookupError, match="moved"):
        Environment(moved).due(EXTRAS)


def test_a_failing_pip_is_reported_by_its_reason(environment: Environment) -> None:
    put(environment.python, PIP_FAILS)
    with pytest.raises(EnvironmentNotMadeError) as caught:
        environment.install({"dev"})
    assert "Connection refused" in str(caught.value)
    assert "No matching distribution" in str(caught.value)
    assert "originates" not in str(caught.value)
    assert "index" in caught.value.next_step


def test_after_a_failing_pip_it_is_half_made(environment: Environment) -> None:
    put(environment.python, PIP_FAILS)
    with pytest.raises(EnvironmentNotMadeError):
        environment.install({"dev"})
    with pytest.raises(LookupError):
        environment.due(EXTRAS)


def test_a_python_without_ensurepip_says_what_to_install(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(EnvironmentNotMadeError, match="no ensurepip") as caught:
        environment.make()
    assert f"apt install python3.{sys.version_info.minor}-venv" in caught.value.next_step


def test_ensure_is_silent_when_all_is_well(
    environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    ensure(environment, EXTRAS)
    assert capsys.readouterr() == ("", "")


def test_ensure_says_what_it_does(
    environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    ensure(environment, {"dev"})
    assert "Bringing .venv up to date (dev, factory, local)" in capsys.readouterr().err
    assert environment.due({"dev", *EXTRAS}) == set()


def launch(**variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "demo", "--help"],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def test_an_old_python_is_refused_by_its_version(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    put(old, '#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.18 && exit\nexit 1\n')
    done = launch(PYTHON=str(old))
    assert done.returncode == 1
    assert "3.11 or later; found: Python 3.9.18" in done.stderr
    assert "next: install one" in done.stderr


def test_a_missing_python_is_said(tmp_path: Path) -> None:
    done = launch(PYTHON=str(tmp_path / "none"))
    assert done.returncode == 1
    assert "found: none" in done.stderr
