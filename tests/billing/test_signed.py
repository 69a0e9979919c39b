"""What is thought of signed meter values."""

import json
from pathlib import Path

import pytest

from services.billing.__main__ import verify
from services.billing.signed import format_of, judged
from tests.billing.ocmf_says import Meter

METER = Meter()
BEGIN, END = METER.shows("2935.600"), METER.shows("2945.600", "E")


def test_a_value_is_genuine_by_its_meters_key() -> None:
    found = judged(BEGIN, METER.public_key)
    assert (found.verdict, found.why) == ("genuine", "")
    assert found.document is not None
    assert judged(BEGIN.replace("2935.600", "1935.600"), METER.public_key).verdict == "not_genuine"
    assert judged(BEGIN, Meter().public_key).verdict == "not_genuine"


def test_what_the_meter_does_not_vouch_for_is_unreliable() -> None:
    found = judged(METER.shows("1.0", ST="F", EF="E"), METER.public_key)
    assert (found.verdict, found.why) == ("unreliable", "meter_status, error_flags")


def test_what_nobody_can_verify_is_unverified() -> None:
    assert judged(BEGIN, None).verdict == "unverified"
    assert judged("AP;0;3;A", METER.public_key).why == "nobody here verifies ALFEN"
    assert judged("?", METER.public_key).why == "nobody here verifies this format"
    assert judged("OCMF|{", METER.public_key).verdict == "unreadable"
    assert [format_of(text) for text in (BEGIN, '<?xml version="1.0"?>', "<signedMeterValue>", "x")] == [
        "OCMF",
        "EDL",
        "EDL",
        "",
    ]


def test_the_command_prints_a_verdict_for_each_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "values.txt"
    file.write_text(f"{BEGIN}\n\n{END}\n")
    assert verify(str(file), METER.public_key) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["verdict"], each["readings"][0]["value"]) for each in said] == [
        ("genuine", "2935.600"),
        ("genuine", "2945.600"),
    ]
    file.write_text(BEGIN.replace("2935.600", "0.1"))
    assert verify(str(file), METER.public_key) == 1
    assert verify(str(tmp_path / "none"), METER.public_key) == 1
    file.write_text("AP;0;3")
    assert verify(str(file), None) == 1
