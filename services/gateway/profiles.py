"""What is peculiar to a vendor, a model or a firmware, as data: switches that change how a station is understood.

A switch is a word of `SWITCHES`, with a value behind `=` where it takes one. A station has those of its profile, which is
chosen by what its BootNotification said on this connection, and those that the registry names for it.
"""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct
from msgspec.structs import replace

from services.gateway.normalise import Ways


class Quirks(Struct, frozen=True):
    """What a station's switches come to."""

    ways: Ways = Ways()
    lenient_correlation: bool = False
    connector_0_is_1: bool = False
    kwh_said_as_wh: bool = False
    wh_said_as_kwh: bool = False
    time_without_fraction: bool = False
    local_as_z: bool = False
    cut_tags: bool = False
    tag_prefixes: tuple[str, ...] = ()
    plain_tags: bool = False
    accepted_data: tuple[str, ...] = ()


NONE = Quirks()


class Unknown(ValueError):
    """No such switch, or no such value of it."""


def _flag(name: str) -> Callable[[Quirks, str], Quirks]:
    def switched(quirks: Quirks, value: str) -> Quirks:
        if value:
            raise Unknown(f"{name} takes no value")
        return replace(quirks, **{name: True})

    return switched


def _zone(quirks: Quirks, value: str) -> Quirks:
    try:
        return replace(quirks, ways=replace(quirks.ways, zone=ZoneInfo(value)))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Unknown(f"{value!r} is no IANA time zone") from error


def _local_as_z(quirks: Quirks, value: str) -> Quirks:
    return replace(_zone(quirks, value), local_as_z=True)


def _registers_in_kwh(quirks: Quirks, value: str) -> Quirks:
    if value:
        raise Unknown("registers_in_kwh takes no value")
    return replace(quirks, ways=replace(quirks.ways, registers_in_kwh=True))


def _prefix(quirks: Quirks, value: str) -> Quirks:
    if not value:
        raise Unknown("tag_prefix takes the prefix")
    return replace(quirks, tag_prefixes=(*quirks.tag_prefixes, value.casefold()))


def _data(quirks: Quirks, value: str) -> Quirks:
    return replace(quirks, accepted_data=(*quirks.accepted_data, value.casefold()))


SWITCHES: dict[str, Callable[[Quirks, str], Quirks]] = {
    "lenient_correlation": _flag("lenient_correlation"),
    "connector_0_is_1": _flag("connector_0_is_1"),
    "kwh_said_as_wh": _flag("kwh_said_as_wh"),
    "wh_said_as_kwh": _flag("wh_said_as_kwh"),
    "time_without_fraction": _flag("time_without_fraction"),
    "registers_in_kwh": _registers_in_kwh,
    "zone": _zone,
    "local_as_z": _local_as_z,
    "cut_tags": _flag("cut_tags"),
    "tag_prefix": _prefix,
    "vid_tags": lambda quirks, _: _prefix(quirks, "vid:"),
    "plain_tags": _flag("plain_tags"),
    "accept_data": _data,
}
"""
- `lenient_correlation`: an answer under another id answers the one call that is open (T-45, Q-29).
- `connector_0_is_1`: what it says of connector 0 is of its only connector (Q-49).
- `kwh_said_as_wh`, `wh_said_as_kwh`: energy labelled Wh is in kWh, and the other way round (Q-88).
- `time_without_fraction`: it is told the time in whole seconds (Q-43).
- `registers_in_kwh`: meterStart and meterStop are in kWh (Q-77).
- `zone=Europe/Oslo`: times without a zone are of this one (Q-101). `local_as_z=…`: those labelled Z are too (Q-102).
- `cut_tags`: of an id tag, only the first 20 characters count (Q-55). `tag_prefix=VID:`: they may begin so (Q-57); `vid_tags` is the
  same with the prefix of cars.
  `plain_tags`: what is no letter or digit does not count (Q-57).
- `accept_data`, `accept_data=VENDOR`, `accept_data=VENDOR/MESSAGE`: these data transfers are accepted, and ignored (Q-119).
"""


class Hardware(Struct, frozen=True):
    """What a BootNotification said the station is."""

    vendor: str
    model: str
    firmware: str = ""


class Profile(Struct, frozen=True):
    """A row of the table: patterns as of file names, in small letters, and the switches of what they fit."""

    vendor: str
    model: str = "*"
    firmware: str = "*"
    switches: tuple[str, ...] = ()

    def fits(self, hardware: Hardware) -> bool:
        pairs = (
            (hardware.vendor, self.vendor),
            (hardware.model, self.model),
            (hardware.firmware, self.firmware),
        )
        return all(fnmatchcase(said.strip().casefold(), pattern) for said, pattern in pairs)


PROFILES = (
    Profile("en+*", switches=("lenient_correlation",)),
    Profile("enplus*", switches=("lenient_correlation",)),
    Profile("ev-box*", switches=("accept_data=EV-BOX",)),
    Profile("evbox*", switches=("accept_data=EV-BOX", "accept_data=EVBox")),
    Profile("zaptec*", model="*go*2*", switches=("connector_0_is_1",)),
)
"""What is known of hardware that cannot be told from what conforms. What an operator knows better is in the registry."""


def switched(switches: Iterable[str], quirks: Quirks = NONE) -> Quirks:
    """Return what these switches come to, or raise `Unknown`."""
    for switch in switches:
        name, _, value = switch.partition("=")
        if name not in SWITCHES:
            raise Unknown(f"no switch is called {name!r}: there are {', '.join(SWITCHES)}")
        quirks = SWITCHES[name](quirks, value)
    return quirks


@lru_cache(4096)
def quirks_of(registered: tuple[str, ...], hardware: Hardware | None) -> Quirks:
    """Return how a station is to be understood. What the registry names and nobody knows changes nothing."""
    fitting = () if hardware is None else tuple(profile for profile in PROFILES if profile.fits(hardware))
    quirks = switched(switch for profile in fitting for switch in profile.switches)
    for switch in registered:
        try:
            quirks = switched([switch], quirks)
        except Unknown:
            continue
    return quirks


DataStatus = Literal["Accepted", "UnknownMessageId", "UnknownVendorId"]


def accepts(quirks: Quirks, vendor: str, message: str | None) -> DataStatus:
    """Return what a data transfer is answered (M-08)."""
    vendor, message = vendor.strip().casefold(), (message or "").strip().casefold()
    accepted = quirks.accepted_data
    if "" in accepted or vendor in accepted or f"{vendor}/{message}" in accepted:
        return "Accepted"
    known = any(each.partition("/")[0] == vendor for each in accepted)
    return "UnknownMessageId" if known else "UnknownVendorId"
