"""A station's line, and frames on it."""

from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema_rs
import msgspec

from chassis.secrets import Secrets
from contracts.event import GatewayId, StationId, TenantId
from contracts.reference import Evse, Station
from services.gateway import protocol, v16

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECRETS = Secrets("s" * 32)
ACME = TenantId("acme")


def line(*evses: Evse, **record: Any) -> v16.Line:
    station = Station(at=NOON, tenant=ACME, version=1, id=StationId("CP-1"), evses=evses, **record)
    return v16.knowing(v16.Line(ACME, station.id, GatewayId("g-1"), 3, station, SECRETS, epoch=70), station)


LINE = line()


def heard(action: str, payload: Any, *, on: v16.Line = LINE, id: str = '"1"') -> v16.CallReport:
    """What a call with this payload, JSON or not, reports."""
    text = payload if isinstance(payload, str) else msgspec.json.encode(payload).decode()
    call = protocol.Connection().receive(f'[2,{id},"{action}",{text}]'.encode())
    assert isinstance(call, protocol.Call), call
    return v16.report(on, call, NOON)


def rules(report: Any) -> list[str]:
    return [violation.rule for violation in report.violations]


@cache
def schema(name: str) -> Any:
    """OCPP 1.6's JSON schema, with its formats checked."""
    text = (files("ocpp") / "v16" / "schemas" / f"{name}.json").read_text("utf-8-sig")
    return jsonschema_rs.Draft4Validator(text, validate_formats=True)


def valid(name: str, payload: bytes) -> Any:
    """Return what `payload` says, which OCPP's schema finds nothing wrong with."""
    said = msgspec.json.decode(payload)
    schema(name).validate(said)
    return said
