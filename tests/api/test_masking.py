import json

import pytest

from services.api.masking import masked

UID = "04A2B3C4D5E6F7"


@pytest.mark.parametrize(
    "payload",
    [
        {"idTag": UID},
        {"idToken": {"idToken": UID, "type": "ISO14443"}},
        {"idTagInfo": {"status": "Accepted", "parentIdTag": UID}},
        {"localAuthorizationList": [{"idTag": UID, "idTagInfo": {"status": "Accepted"}}]},
        {"idtag": UID},
        {"vendorId": "x", "data": json.dumps({"idTag": UID})},
        {"vendorId": "x", "data": json.dumps({"inner": json.dumps([{"uid": UID}])})},
        {"vendorId": "x", "data": f"idTag={UID};soc=80"},
        {"vendorId": "x", "data": f"rfid: {UID}"},
        {"value": f'OCMF|{{"ID":"{UID}"}}|{{}}'},
    ],
)
def test_a_uid_is_masked_wherever_a_frame_names_it(payload: object) -> None:
    frame = json.dumps([2, "id 1", "Action", payload])
    without = masked(frame)
    assert without is not None
    assert UID not in without
    assert "04…F7" in json.dumps(json.loads(without), ensure_ascii=False)


def test_a_uid_that_is_a_number_is_masked() -> None:
    assert masked('[2,"1","Authorize",{"idTag":12345678}]') == '[2,"1","Authorize",{"idTag":"12…78"}]'


@pytest.mark.parametrize("frame", ['[2, "1", "Heartbeat", { }]', '[3,"1",{"status":"Accepted","interval":1.50}]', "[]"])
def test_a_frame_without_a_uid_stays_as_it_is(frame: str) -> None:
    assert masked(frame) == frame


@pytest.mark.parametrize("frame", ["", "[2,", f"idTag {UID}", "[" * 100_000])
def test_a_frame_that_nobody_can_read_is_not_shown(frame: str) -> None:
    assert masked(frame) is None
