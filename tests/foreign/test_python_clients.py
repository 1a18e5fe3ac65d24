"""Every client that is on PyPI does what docs/foreign-clients.md says of it."""

import warnings

import pytest

from tests.foreign.cases import CASES, Case
from tests.foreign.place import Place, prepare
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire


@pytest.fixture(scope="module")
def place(local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """One account for all clients."""
    return prepare(local_cloud, tmp_path_factory.mktemp("foreign"))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_foreign_client(place: Place, case: Case) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs are not ours to mend
        case.do(place)
