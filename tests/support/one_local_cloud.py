"""The local AWS of a test run: one a process, whichever folders its tests are in.

It is the plugin's own fixture (`pytest_firstboot`), so every wire test uses what users use.
"""

from collections.abc import Iterator
from typing import Final

import pytest

from localcloud.process.state_folder import StateFolder
from pytest_firstboot import LocalAWS
from scripts import _lines
from tests.wire.conftest import LocalCloud, described, free_ports, local_aws_in

_STARTED: Final[list[LocalCloud]] = []


@pytest.fixture(scope="session")
def local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAWS]:
    """The plugin's local AWS, with its lines counted where the run counts lines."""
    folder = StateFolder(tmp_path_factory.mktemp("cloud"))
    with local_aws_in(folder, free_ports(), _lines.command("localcloud")) as started:
        yield started


@pytest.fixture(scope="session")
def local_cloud(local_aws: LocalAWS) -> LocalCloud:
    """The same, as the suite's tests know it."""
    cloud = described(local_aws, StateFolder(local_aws.state))
    _STARTED.append(cloud)
    return cloud


@pytest.fixture(scope="module", autouse=True)
def no_fault_outlives_its_file() -> Iterator[None]:
    """A fault that did not strike would strike the tests of another file."""
    yield
    for cloud in _STARTED:
        cloud.clear_faults()
