import shlex

from components.deploy.how_to_ask import how_to_ask
from components.documents.deployed import DeployedModel, SmokeTest

URL = "http://bin-counter.team.example.com"


def test_the_page_begins_with_the_address_and_its_request_can_be_pasted() -> None:
    smoke = SmokeTest(bins=8, correct=7, ids=[], seconds=0.1)
    page = how_to_ask(DeployedModel(url=URL, model_name="bin-counter", version="a1b2", smoke=smoke, replaced=None))
    lines = page.splitlines()
    assert lines[2].replace("\N{NO-BREAK SPACE}", "") == f"|**address**|{URL}|"
    assert "a1b2, in place of nothing" in page
    command = next(line for line in lines if line.startswith("curl "))
    assert shlex.split(command)[-1] == f"{URL}/v1/models/bin-counter:predict"
