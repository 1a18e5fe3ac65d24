"""The local AWS of a test run: one a process, whichever folders its tests are in."""

from collections.abc import Iterator

import pytest

from localcloud.state_folder import StateFolder
from tests.wire.conftest import LocalCloud, free_ports, running


@pytest.fixture(scope="session")
def local_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """The local AWS of this test run."""
    with running(StateFolder(tmp_path_factory.mktemp("cloud")), free_ports()) as cloud:
        yield cloud
