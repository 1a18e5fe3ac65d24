"""Are the reserved topics those that AWS documents?"""

import pytest

from device.provisioning import topics
from device.provisioning.topics import Operation


@pytest.mark.parametrize(
    ("topic", "operation"),
    [
        ("$aws/certificates/create/json", Operation.CREATE_KEYS_AND_CERTIFICATE),
        ("$aws/certificates/create-from-csr/json", Operation.CREATE_CERTIFICATE_FROM_CSR),
        ("$aws/provisioning-templates/T/provision/json", Operation.REGISTER_THING),
    ],
)
def test_each_request_is_recognised(topic: str, operation: Operation) -> None:
    assert topics.operation_of(topic) is operation


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "$aws/certificates/create",
        "$aws/certificates/create/cbor",
        "$aws/certificates/create/json/accepted",
        "$aws/provisioning-templates/T/provision",
        "$aws/provisioning-templates/a/b/provision/json",
        "aws/certificates/create/json",
    ],
)
def test_other_topics_are_no_request(topic: str) -> None:
    assert topics.operation_of(topic) is None


def test_a_template_has_its_own_topic() -> None:
    topic = topics.register_thing("firstboot-claim")

    assert topic == "$aws/provisioning-templates/firstboot-claim/provision/json"


def test_the_answer_comes_on_two_topics() -> None:
    assert topics.replies("t/json") == ("t/json/accepted", "t/json/rejected")
