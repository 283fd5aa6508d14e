"""What is said of a server by its name alone."""

from typing import Any

import pytest

from exactcopy.model import Answer, Role, Target
from exactcopy.stores.hosts import in_the_clear, way_to


@pytest.mark.parametrize(
    "server", ["127.0.0.1", "127.0.0.2", "::1", "[::1]", "::ffff:127.0.0.1", "LocalHost", "localhost."]
)
def test_no_way_leads_to_this_computer_but_a_tunnel_may_begin_there(server: str) -> None:
    assert in_the_clear(server).answer is Answer.NOT_ASSESSED


@pytest.mark.parametrize(
    "server", ["pacs.example.org", "192.0.2.1", "localhost.example.org", "localhost@example.org", ""]
)
def test_to_any_other_computer_the_way_is_in_the_clear(server: str) -> None:
    assert in_the_clear(server).answer is Answer.FAIL


@pytest.mark.parametrize(
    ("kind", "options", "answer"),
    [
        ("dicomweb", {"url": "https://pacs.example.org/dicom-web"}, Answer.PASS),
        ("dicomweb", {"url": "http://pacs.example.org/dicom-web"}, Answer.FAIL),
        ("dicomweb", {"url": "http://127.0.0.1:8042/dicom-web"}, Answer.NOT_ASSESSED),
        ("dimse", {"host": "pacs.example.org", "tls": True}, Answer.PASS),
        ("dimse", {"host": "pacs.example.org"}, Answer.FAIL),
        ("dimse", {"host": "localhost"}, Answer.NOT_ASSESSED),
    ],
)
def test_the_way_to_a_pacs_is_known_by_its_configuration(kind: str, options: dict[str, Any], answer: Answer) -> None:
    assert way_to(Target(name="x", role=Role.RECOVERY, kind=kind, identity="x", options=options)).answer is answer
