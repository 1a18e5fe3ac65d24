"""A device that an older template registered, not exclusively, is served as any other."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from factory.account.documents import load_template
from tests.support.device_process import device_here
from tests.support.production_line import ProductionLine, production_line
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire

TEMPLATE: Final = "firstboot-claim"
SERIAL: Final = "SN-older"


@pytest.fixture
def line(local_cloud: LocalCloud, tmp_path: Path) -> Iterator[ProductionLine]:
    with production_line(local_cloud, "377987654321", tmp_path, "claim") as line:
        assert line.prepare().code == 0
        yield line


def register_with_an_older_template(line: ProductionLine) -> Path:
    older = json.loads(load_template(TEMPLATE))
    del older["Resources"]["certificate"]["Properties"]["ThingPrincipalType"]
    line.client("iot").create_provisioning_template_version(
        templateName=TEMPLATE, templateBody=json.dumps(older), setAsDefault=True
    )
    state = line.make(line.folder / SERIAL)
    assert line.boot(state).code == 0
    return state


def kinds(line: ProductionLine) -> dict[str, str]:
    """Return the type of attachment of each certificate of the thing."""
    listed = line.client("iot").list_thing_principals_v2(thingName=SERIAL)
    return {
        each["principal"].rpartition("/")[2]: each["thingPrincipalType"]
        for each in listed["thingPrincipalObjects"]
    }


def test_it_works_on_when_the_template_was_updated_is_reset_and_retired(
    line: ProductionLine,
) -> None:
    state = register_with_an_older_template(line)
    before = kinds(line)

    prepared = line.prepare()
    for _ in range(2):
        assert line.boot(state).code == 0
        assert device_here("reset", "--state", state).code == 0
    retired = line.run("retire", "--serial", SERIAL)

    assert list(before.values()) == ["NON_EXCLUSIVE_THING"]
    assert (prepared.code, retired.code) == (0, 0), retired.err
    assert template_of(line) == json.loads(load_template(TEMPLATE))
    assert kinds(line) == {}


def template_of(line: ProductionLine) -> object:
    described = line.client("iot").describe_provisioning_template(templateName=TEMPLATE)
    return json.loads(described["templateBody"])
