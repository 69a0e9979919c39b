"""What answers look like: examples for the description, of one station at one harbour."""

from typing import Any

from pydantic import ConfigDict

NOON = "2026-03-01T12:00:00Z"
TOKEN_ID = "9f86d081884c7d659a2feaa0c55ad015"  # noqa: S105 - an id, which opens nothing

SITE = {
    "id": "harbour",
    "name": "Harbour car park",
    "time_zone": "Europe/Oslo",
    "currency": "NOK",
    "address": "Havnegata 1, 0150 Oslo",
    "latitude": 59.9075,
    "longitude": 10.7531,
    "version": 1,
    "changed_at": NOON,
}
STATUS = {"status": "Charging", "error_code": "NoError", "info": None, "vendor_error_code": None, "since": NOON}
CONNECTOR = {"id": 1, "type": "IEC_62196_T2", "max_w": 22000, "declared": True, "status": STATUS}
STATION = {
    "id": "RDAM 123",
    "site": "harbour",
    "name": "Left of the gate",
    "tags": ["ac"],
    "security_profile": 1,
    "protocol": None,
    "has_password": True,
    "boot_answer": "Accepted",
    "heartbeat_s": 300,
    "when_undecided": "Accepted",
    "habits": {
        "ping_s": None,
        "answers_pings": True,
        "drain": "abort",
        "quiet_s": 0,
        "patience_s": None,
        "before_boot": "heard",
        "any_user": False,
        "quirks": ["connector_0_is_1"],
    },
    "version": 2,
    "changed_at": NOON,
    "online": True,
    "connection": {
        "online": True,
        "since": NOON,
        "protocol": "ocpp1.6",
        "security_profile": 1,
        "remote_address": "203.0.113.17",
        "gateway": "gateway-0",
        "closed": None,
    },
    "inventory": {
        "vendor": "Example",
        "model": "One",
        "serial_number": "EX-0017",
        "firmware_version": "1.4.2",
        "iccid": None,
        "imsi": None,
        "meter_type": None,
        "meter_serial_number": None,
        "boot_status": "Accepted",
        "last_boot_at": NOON,
    },
    "status": STATUS | {"status": "Available"},
    "evses": [{"id": 1, "code": "NO*VST*E0001*1", "declared": True, "connectors": [CONNECTOR]}],
}
CREDENTIALS = {
    "station": "RDAM 123",
    "url": "wss://ocpp.example.com/ocpp/RDAM%20123",
    "username": "RDAM 123",
    "password": "k7Qm2ZtRw9XbHc4NvJ8e",
    "version": 2,
}
FRAME: dict[str, Any] = {
    "direction": "received",
    "recorded_at": NOON,
    "at": NOON,
    "meaning": "HeartbeatReceived",
    "text": '[2,"18","Heartbeat",{}]',
    "base64": None,
    "masked": False,
    "command": None,
    "violations": [],
    "epoch": 34,
    "offset": 48,
}
TOKEN = {
    "id": TOKEN_ID,
    "uid": "04A2B3C4D5E6F7",
    "masked_uid": "04…F7",
    "has_uid": True,
    "status": "active",
    "valid_from": None,
    "valid_until": "2030-12-31T23:00:00Z",
    "group": "FLEET-7",
    "concurrent": False,
    "label": "van 12",
    "version": 1,
    "changed_at": NOON,
}
FOUND = {"token_id": TOKEN_ID, "token": TOKEN}
UNKNOWN_TOKEN = {
    "token_id": TOKEN_ID,
    "masked_uid": "04…F7",
    "station": "RDAM 123",
    "purpose": "authorize",
    "seen_at": NOON,
}
READING = {
    "at": NOON,
    "evse": 1,
    "connector": 1,
    "measurand": "Energy.Active.Import.Register",
    "value": "8000",
    "unit": "Wh",
    "phase": None,
    "context": "Sample.Periodic",
    "location": "Outlet",
    "signed": False,
    "recorded_at": NOON,
}
ACCESS_KEY = {
    "id": "4be19f0a62c7",
    "tenant": "default",
    "scopes": ["operate", "tokens:read"],
    "label": "back office",
    "version": 1,
    "changed_at": NOON,
}
SHOWN_KEY = ACCESS_KEY | {"key": "vs_4be19f0a62c7_…"}
ME = {"tenant": "default", "key_id": "4be19f0a62c7", "scopes": ["operate", "read", "tokens:read"]}
REPAIR = {
    "id": "3f2b6a7c-0c0e-5d7e-8a57-2f6a4f0f9b11",
    "session": "7d444840-9dc0-51d1-b245-5ffdce74fad2",
    "station": "RDAM 123",
    "action": "end",
    "state": "done",
    "to": None,
    "reason": "read from the display; the station was replaced",
    "refused_because": None,
    "detail": None,
    "requested_by": "4be19f0a62c7",
    "decided_at": NOON,
    "energy_before_wh": 7100,
    "energy_after_wh": 7500,
}
SESSION = {
    "id": "7d444840-9dc0-51d1-b245-5ffdce74fad2",
    "station": "RDAM 123",
    "evse": 1,
    "connector": 1,
    "site": "harbour",
    "time_zone": "Europe/Oslo",
    "transaction": "17",
    "token_id": "9f86d081884c7d659a2feaa0c55ad015",
    "masked_uid": "04…F7",
    "stop_token_id": None,
    "stop_masked_uid": None,
    "authorization_status": "Accepted",
    "reservation": None,
    "state": "ended",
    "started_at": "2026-03-01T08:00:00Z",
    "ended_at": "2026-03-01T09:12:00Z",
    "meter_start_wh": 500,
    "meter_stop_wh": 8000,
    "energy_wh": 7500,
    "energy_source": "register",
    "attached_to": None,
    "reason": "EVDisconnected",
    "flags": [],
    "final": True,
    "revision": 41,
    "updated_at": "2026-03-01T09:12:01Z",
}
WHOLE_SESSION = SESSION | {"repairs": [REPAIR]}
ENERGY_LEDGER = {
    "first_day": "2026-03-01",
    "last_day": "2026-03-01",
    "items": [
        {
            "site": "harbour",
            "day": "2026-03-01",
            "delivered_wh": 870,
            "attributed_wh": 600,
            "quarantined_wh": 300,
            "unattributed_wh": -30,
        }
    ],
    "total": {"delivered_wh": 870, "attributed_wh": 600, "quarantined_wh": 300, "unattributed_wh": -30},
}
ENERGY_LEDGER_CSV = (
    "site,day,delivered_wh,attributed_wh,quarantined_wh,unattributed_wh\r\nharbour,2026-03-01,870,600,300,-30\r\n"
)
STREAM_TOKEN = {"stream_token": "vst_WyJkZWZhdWx0Ii…", "expires_at": "2026-03-01T12:01:00Z"}
_TOLD = (
    '{"specversion":"1.0","id":"0b0e5c0e-52a8-5f43-9d3c-0d6a4b9b3f10","source":"/voltstream/sessions",'
    '"type":"voltstream.EnergyDelivered","subject":"default/RDAM 123","time":"2026-03-01T12:00:00Z",'
    '"recordedtime":"2026-03-01T12:00:01Z","datacontenttype":"application/json","data":{"type":"EnergyDelivered",'
    '"at":"2026-03-01T12:00:00Z","tenant":"default","station":"RDAM 123",'
    '"session":"7d444840-9dc0-51d1-b245-5ffdce74fad2","energy_wh":7100,"meter_wh":7600}}'
)
STREAM = {
    "its beginning": {"value": ": Voltstream\nretry: 1000\nid: x2B5…AQ\n\n"},
    "an event": {"value": f"event: EnergyDelivered\nid: x2B5…Ag\ndata: {_TOLD}\n\n"},
    "silence": {"value": ": nothing new\nid: x2B5…Ag\n\n"},
}


def like(example: dict[str, Any]) -> ConfigDict:
    """Return the configuration of a model that is described by an example."""
    return ConfigDict(json_schema_extra={"examples": [example]})


TARIFF: dict[str, Any] = {
    "id": "AC",
    "currency": "NOK",
    "tax_included": "YES",
    "elements": [
        {
            "price_components": [
                {"type": "ENERGY", "price": "4.50", "step_size": 1, "vat": "25"},
                {"type": "PARKING_TIME", "price": "60", "step_size": 60, "vat": "25"},
            ]
        }
    ],
}
MEASURED: dict[str, Any] = {
    "timezone": "Europe/Oslo",
    "samples": [
        {"t": "2026-03-01T12:00:00Z", "wh": "1200000", "state": "CHARGING"},
        {"t": "2026-03-01T13:00:00Z", "wh": "1211000", "state": "SUSPENDED_EV"},
        {"t": "2026-03-01T13:25:00Z", "wh": "1211000", "state": "END"},
    ],
    "policy": {"idle_grace_s": 900},
}
QUOTE: dict[str, Any] = {
    "charging_periods": [
        {
            "start_date_time": "2026-03-01T12:00:00Z",
            "state": "CHARGING",
            "dimensions": {"ENERGY": "11.0000", "TIME": "1.0000"},
            "tariff_id": "AC",
        },
        {"start_date_time": "2026-03-01T13:00:00Z", "state": "GRACE", "dimensions": {}, "tariff_id": "AC"},
        {
            "start_date_time": "2026-03-01T13:15:00Z",
            "state": "PARKING",
            "dimensions": {"PARKING_TIME": "0.1667"},
            "tariff_id": "AC",
        },
    ],
    "line_items": [
        {
            "dimension": "ENERGY",
            "element_index": 0,
            "tariff_id": "AC",
            "quantity": "11000.000",
            "billed_quantity": "11000.000",
            "unit": "Wh",
            "unit_price": "4.50",
            "vat_percent": "25",
            "net_exact": "39.600000",
            "gross_exact": "49.500000",
        },
        {
            "dimension": "PARKING_TIME",
            "element_index": 0,
            "tariff_id": "AC",
            "quantity": "600.000",
            "billed_quantity": "600.000",
            "unit": "s",
            "unit_price": "60",
            "vat_percent": "25",
            "net_exact": "8.000000",
            "gross_exact": "10.000000",
        },
    ],
    "total_excl_exact": "47.600000",
    "total_incl_exact": "59.500000",
    "total_excl": "47.60",
    "total_incl": "59.50",
    "currency": "NOK",
    "limit_applied": None,
    "flags": [],
    "explanation": [
        {
            "dimension": "ENERGY",
            "tariff_id": "AC",
            "element_index": 0,
            "component_index": 0,
            "restrictions": {},
            "measured": "11000.000",
            "billed": "11000.000",
            "unit": "Wh",
            "step_size": 1,
            "discount_percent": "0.00",
            "net": "39.60",
            "gross": "49.50",
        },
        {
            "dimension": "PARKING_TIME",
            "tariff_id": "AC",
            "element_index": 0,
            "component_index": 1,
            "restrictions": {},
            "measured": "600.000",
            "billed": "600.000",
            "unit": "s",
            "step_size": 60,
            "discount_percent": "0.00",
            "net": "8.00",
            "gross": "10.00",
        },
    ],
}
TARIFF_SHOWN: dict[str, Any] = {
    "id": "AC",
    "version": 2,
    "valid_from": NOON,
    "changed_at": NOON,
    "tariff": TARIFF,
    "policy": {"idle_grace_s": 900},
    "warnings": [
        {"rule": "step_size", "detail": "PARKING_TIME is rounded up once per session: a step of 1 surprises nobody"}
    ],
}
TARIFF_ASSIGNMENT: dict[str, Any] = {
    "id": "site/harbour",
    "tariff": "AC",
    "free": False,
    "version": 1,
    "changed_at": NOON,
}
PRICED: dict[str, Any] = {
    "currency": "NOK",
    "total_excl": "39.60",
    "total_incl": "49.50",
    "energy_wh": 11000,
    "seconds": 3600,
    "lines": [
        {
            "dimension": "ENERGY",
            "element": 0,
            "component": 0,
            "price": "4.50",
            "unit": "Wh",
            "measured": "11000.000",
            "billed": "11000.000",
            "net_exact": "39.600000",
            "gross_exact": "49.500000",
            "net": "39.60",
            "gross": "49.50",
            "vat": "25",
        }
    ],
    "periods": [{"start": NOON, "state": "CHARGING", "energy_kwh": "11.0000", "hours": "1.0000"}],
    "input_hash": "0f5a0c0e6f3a4a0b9a3a0d6a4b9b3f10",
}
CDR: dict[str, Any] = {
    "id": "5b0c5c1e-7a0e-5d5a-9d0e-3c1f5a1e0b11",
    "kind": "CDR",
    "session": "7d444840-9dc0-51d1-b245-5ffdce74fad2",
    "station": "RDAM 123",
    "site": "harbour",
    "token_id": TOKEN_ID,
    "number": 1,
    "tariff": "AC",
    "tariff_version": 2,
    "started_at": NOON,
    "ended_at": "2026-03-01T13:00:00Z",
    "issued_at": "2026-03-01T13:05:02Z",
    "currency": "NOK",
    "total_excl": "39.60",
    "total_incl": "49.50",
    "energy_wh": 11000,
    "corrects": None,
    "credits": None,
    "credited_by": None,
    "details": PRICED,
}
ALERT: dict[str, Any] = {
    "id": "0f8d2a40-6a0e-5a1c-8a43-6b1f0f6b2a11",
    "rule": "repeated_faults",
    "station": "RDAM 123",
    "evse": 1,
    "connector": 1,
    "state": "cleared",
    "raised_at": NOON,
    "since": "2026-03-01T11:52:00Z",
    "count": 3,
    "within_s": 900,
    "detail": "GroundFailure",
    "cleared_at": "2026-03-01T12:15:00Z",
    "cleared_reason": "quiet",
}
COST: dict[str, Any] = {
    "session": "7d444840-9dc0-51d1-b245-5ffdce74fad2",
    "station": "RDAM 123",
    "state": "billed",
    "tariff": "AC",
    "tariff_version": 2,
    "assignment": "site/harbour",
    "currency": "NOK",
    "total_excl": "39.60",
    "total_incl": "49.50",
    "energy_wh": 11000,
    "due": "2026-03-01T13:05:02Z",
    "held_because": None,
    "cdr": "5b0c5c1e-7a0e-5d5a-9d0e-3c1f5a1e0b11",
    "updated_at": "2026-03-01T13:05:02Z",
    "details": PRICED,
}
