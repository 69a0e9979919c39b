"""In which country a place is, by its time zone: IANA's table gives one to each zone that is not a sea's or an hour's."""

from functools import cache
from importlib.resources import files


@cache
def _countries() -> dict[str, str]:
    lines = (files("tzdata") / "zoneinfo" / "zone.tab").read_text("utf-8").splitlines()
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {row[2]: row[0] for row in rows}


def country_of(time_zone: str) -> str:
    """Return the country (ISO 3166-1 alpha-2); empty: nobody says."""
    return _countries().get(time_zone, "")
