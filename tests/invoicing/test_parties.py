"""Who sells: what a file says of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from chassis.settings import BrokenSetting
from services.invoicing.parties import NO_RULES, read

ACME: dict[str, Any] = {"name": "Acme", "country": "DE", "vat_id": "DE136695976", "iban": "DE89 3704 0044 0532 0130 00"}


def written(folder: Path, acme: dict[str, Any]) -> str:
    path = folder / "sellers.json"
    path.write_text(json.dumps({"acme": acme}))
    return str(path)


def test_a_seller_may_say_little(tmp_path: Path) -> None:
    seller = read(written(tmp_path, ACME))["acme"]
    assert (seller.name, seller.due_days, seller.vat) == ("Acme", 14, NO_RULES)
    assert (seller.street, seller.postal_code, seller.city, seller.tax_number) == ("", "", "", "")
    assert (seller.registration, seller.email, seller.bic) == ("", "", "")
    assert (NO_RULES[-1].text, NO_RULES[-1].code) == ("", "")


@pytest.mark.parametrize("category", ["Z", "E", "AE", "O"])
def test_what_is_not_taxed_is_called_as_the_norm_has_it(tmp_path: Path, category: str) -> None:
    (rule,) = read(written(tmp_path, {**ACME, "vat": [{"category": category, "text": "why"}]}))["acme"].vat
    assert rule.category == category


def test_without_a_file_nobody_sells() -> None:
    assert read("") == {}


def test_rules_have_days(tmp_path: Path) -> None:
    rules = [{"until": "2027-01-01", "category": "E", "text": "why"}, {"category": "Z"}]
    first, _ = read(written(tmp_path, {**ACME, "vat": rules}))["acme"].vat
    assert (first.until.year, first.category) == (2027, "E")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"vat_id": "DE136695977"}, "vat_id"),
        ({"vat_id": ""}, "vat_id or tax_number is missing"),
        ({"iban": "DE89370400440532013001"}, "iban"),
        ({"time_zone": "Europe/Atlantis"}, "time_zone"),
        ({"country": "Germany"}, "country"),
        ({"nmae": "Acme"}, "nmae"),
        ({"vat": []}, "the last rule should fit everything"),
        ({"vat": [{"category": "Z", "place": "DE"}]}, "the last rule should fit everything"),
        ({"vat": [{"category": "E"}]}, "E has no text"),
        ({"vat": [{"category": "S"}]}, "category"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(BrokenSetting, match=why):
        read(written(tmp_path, {**ACME, **wrong}))


def test_the_last_rule_may_say_why_there_is_no_vat(tmp_path: Path) -> None:
    rule = {"category": "E", "text": "small enterprise", "code": "VATEX-EU-132"}
    (last,) = read(written(tmp_path, {**ACME, "vat": [rule]}))["acme"].vat
    assert (last.text, last.code) == ("small enterprise", "VATEX-EU-132")


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(BrokenSetting, match="nowhere"):
        read("/nowhere.json")


def test_a_vat_id_from_elsewhere_is_taken_as_it_is(tmp_path: Path) -> None:
    assert read(written(tmp_path, {**ACME, "vat_id": "CHE123456788MWST"}))["acme"].vat_id == "CHE123456788MWST"
