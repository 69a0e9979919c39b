from datetime import UTC, datetime
from typing import get_args
from zoneinfo import ZoneInfo

import pytest

from contracts.reference import QUIRKS, VALUED, is_quirk
from services.gateway import profiles
from services.gateway.normalise import Ways
from services.gateway.profiles import NONE, PROFILES, SWITCHES, Hardware, Profile, Quirks, Unknown, accepts, quirks_of


def test_every_quirk_of_the_registry_is_a_switch() -> None:
    assert set(QUIRKS) | set(VALUED) == set(SWITCHES)
    assert all(is_quirk(name) and profiles.switched([name]) != NONE for name in QUIRKS)


@pytest.mark.parametrize(
    "switch",
    ["bites", "lenient_correlation=1", "registers_in_kwh=1", "zone", "zone=Atlantis", "zone=../x", "tag_prefix", ""],
)
def test_a_switch_that_nobody_knows_is_refused_in_the_table_and_overlooked_in_the_registry(switch: str) -> None:
    with pytest.raises(Unknown):
        profiles.switched([switch])
    assert quirks_of((switch, "cut_tags"), None) == Quirks(cut_tags=True)


def test_switches_say_how_a_station_is_understood() -> None:
    oslo = ZoneInfo("Europe/Oslo")
    assert profiles.switched(["zone=Europe/Oslo", "registers_in_kwh"]) == Quirks(Ways(oslo, registers_in_kwh=True))
    assert profiles.switched(["local_as_z=Europe/Oslo"]) == Quirks(Ways(oslo), local_as_z=True)
    assert profiles.switched(["tag_prefix=MAC:", "vid_tags"]) == Quirks(tag_prefixes=("mac:", "vid:"))
    assert datetime(2026, 7, 1, tzinfo=oslo) != datetime(2026, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize("row", PROFILES)
def test_every_row_of_the_table_is_written_as_it_is_compared(row: Profile) -> None:
    for pattern in (row.vendor, row.model, row.firmware):
        assert pattern == pattern.casefold()
    assert profiles.switched(row.switches) != NONE
    assert all(is_quirk(switch) for switch in row.switches)


@pytest.mark.parametrize(
    ("vendor", "model", "firmware", "fits"),
    [
        ("Zaptec AS", "ZAPTEC Go 2", "1.0", True),
        (" ZAPTEC ", "Go2", "", True),
        ("Zaptec", "Pro", "1.0", False),
        ("Other", "Go 2", "1.0", False),
        ("", "", "", False),
    ],
)
def test_a_profile_is_chosen_by_vendor_and_model(vendor: str, model: str, firmware: str, fits: bool) -> None:
    assert quirks_of((), Hardware(vendor, model, firmware)).connector_0_is_1 is fits


def test_a_profile_may_be_of_some_firmware_only() -> None:
    row = Profile("v", "m", "1.*", ("cut_tags",))
    assert [row.fits(Hardware("V", "M", firmware)) for firmware in ("1.2", "2.1", "")] == [True, False, False]


def test_the_registry_adds_to_what_the_hardware_says() -> None:
    known = quirks_of(("connector_0_is_1",), Hardware("EN+ Technologies", "Caro", "1"))
    assert known == Quirks(lenient_correlation=True, connector_0_is_1=True)
    assert quirks_of((), None) is NONE


@pytest.mark.covers("M-08", "Q-119")
@pytest.mark.parametrize(
    ("switches", "vendor", "message", "word"),
    [
        ([], "EV-BOX", "m", "UnknownVendorId"),
        (["accept_data"], "EV-BOX", None, "Accepted"),
        (["accept_data=EV-BOX"], "ev-box ", "m", "Accepted"),
        (["accept_data=EV-BOX"], "Other", "m", "UnknownVendorId"),
        (["accept_data=EV-BOX/status"], "EV-BOX", "STATUS", "Accepted"),
        (["accept_data=EV-BOX/status"], "EV-BOX", "other", "UnknownMessageId"),
        (["accept_data=EV-BOX/status"], "EV-BOX", None, "UnknownMessageId"),
        (["accept_data=EV-BOX/status"], "EV", "status", "UnknownVendorId"),
    ],
)
def test_a_vendors_data_are_accepted_where_that_is_switched_on(
    switches: list[str], vendor: str, message: str | None, word: str
) -> None:
    assert accepts(profiles.switched(switches), vendor, message) == word


def test_all_words_of_an_answer_are_ocpps() -> None:
    assert get_args(profiles.DataStatus) == ("Accepted", "UnknownMessageId", "UnknownVendorId")
