"""Do `localcloud watch` and explain name what is wrong with a client that others wrote?"""

import shutil
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from localcloud.wire.line import line_of
from tests.diagnose.account import Plant
from tests.diagnose.foreign_causes import FOREIGN_CAUSES, ForeignCause
from tests.diagnose.table import AGAIN, FOREIGN, PAGE, foreign_row
from tests.support.production_line import ProductionLine
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire


@pytest.fixture
def plant(local_cloud: LocalCloud, tmp_path: Path) -> Iterator[Plant]:
    with ExitStack() as undo:
        line = ProductionLine(local_cloud, FOREIGN, tmp_path, "claim")
        yield Plant(line, undo, sees_the_wire=True)


QUICK = {
    ("paho", "the certificate is INACTIVE"),
    ("aiomqtt", "another client id"),
    ("paho", "it subscribes to #"),
}
"""The others run with --long."""


@pytest.mark.parametrize(
    "cause",
    [
        pytest.param(
            each,
            id=f"{each.client}: {each.name}",
            marks=[] if (each.client, each.name) in QUICK else pytest.mark.long,
        )
        for each in FOREIGN_CAUSES
        if each.client != "mosquitto_pub" or shutil.which("mosquitto_pub")
    ],
)
def test_watch_and_explain_name_it(
    cause: ForeignCause, plant: Plant, local_cloud: LocalCloud
) -> None:
    before = max((each["number"] for each in local_cloud.admin("GET", "wire")), default=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs are not ours to mend
        asked = cause.plant(plant)

    seen = local_cloud.admin("GET", "wire")
    watched = [line_of(each) for each in seen if each["number"] > before]
    reasons = plant.explained(asked).reasons

    assert any(cause.watched in line for line in watched), watched
    assert cause.code in [each.code for each in reasons[:2]], (reasons, watched)
    assert foreign_row(cause, reasons) in PAGE.read_text().splitlines(), AGAIN
