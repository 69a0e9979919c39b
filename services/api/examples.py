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
    "without_tariff": "charge",
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
    "evses": [
        {"id": 1, "code": "NO*VST*E0001*1", "meter_public_key": None, "declared": True, "connectors": [CONNECTOR]}
    ],
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
    "account": "fleet-7",
    "version": 1,
    "changed_at": NOON,
}
SUBSCRIPTION: dict[str, Any] = {
    "name": "Plus",
    "monthly_fee": "9.90",
    "tax_included": "YES",
    "vat": "25",
    "allowance_kwh": "100.000",
}
ACCOUNT: dict[str, Any] = {
    "id": "fleet-7",
    "kind": "postpaid",
    "currency": "EUR",
    "credit_limit": "500.00",
    "name": "Fleet Ltd",
    "email": "bills@fleet.example",
    "address": {"name": "Fleet Ltd", "street": "Quay 1", "postal_code": "0150", "city": "Oslo", "country": "NO"},
    "vat_id": "NO999888777MVA",
    "mandate": "cus_17/pm_34",
    "time_zone": "Europe/Oslo",
    "closed": False,
    "subscription": SUBSCRIPTION,
    "version": 1,
    "changed_at": NOON,
    "balance": {"amount": "-12.40", "currency": "EUR", "entry": 3, "updated_at": NOON},
    "standing": {"may_charge": True, "why": "", "since": NOON},
    "month": {
        "name": "Plus",
        "start": "2026-02-28T23:00:00Z",
        "end": "2026-03-31T22:00:00Z",
        "currency": "EUR",
        "net": "7.92",
        "gross": "9.90",
        "allowance_kwh": "100.000",
        "left_kwh": "69.000",
    },
}
ENTRY: dict[str, Any] = {
    "entry": 3,
    "kind": "session",
    "at": NOON,
    "currency": "EUR",
    "amount": "-12.40",
    "balance": "-12.40",
    "place": "revenue",
    "cdr": "b6b1e6a4-0f0c-5a35-8a6e-3a3c8f6a2a11",
    "credits": None,
    "session": "7d444840-9dc0-51d1-b245-5ffdce74fad2",
    "station": "RDAM 123",
    "site": "harbour",
    "energy_wh": 31_000,
    "name": None,
    "started_at": NOON,
    "ended_at": "2026-03-01T13:10:00Z",
    "net": "9.92",
    "gross": "12.40",
    "invoice": "0f7f8a52-6d3e-5b6f-9a37-2f1f5b2d4c10",
    "payment": None,
    "request": None,
    "reason": None,
    "requested_by": None,
}
BEGUN = {"payment": "5f0c1c3e-6a1c-4a33-9a57-0d1a3b1c2f5e", "account": "driver-1"}
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
SIGNED_VALUE = {
    "at": NOON,
    "evse": 1,
    "context": "Transaction.End",
    "data": 'OCMF|{"FV":"1.0","PG":"T32","RD":[{"TM":"2026-03-01T12:00:00,000+0000 S","TX":"E","RV":8.0,"ST":"G"}]}|{"SD":"30…"}',
    "sha256": "5f0c2d1b9f8b3c0c9a2e4c4f1de0b5a1f7f5f9c6b1a64f6c0f3d1f1b7a9e8d2c",
    "masked": False,
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
QUOTED_DOCUMENTS: dict[str, Any] = {
    "documents": [
        {"id": "CDR-1", "type": "CDR", "total_excl": "47.60", "total_incl": "59.50"},
        {
            "id": "CDR-1-C",
            "type": "CREDIT_CDR",
            "total_excl": "-47.60",
            "total_incl": "-59.50",
            "credit": True,
            "credit_reference_id": "CDR-1",
        },
        {"id": "CDR-2", "type": "CDR", "total_excl": "48.00", "total_incl": "60.00"},
    ],
    "balance_incl": "60.00",
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
PRICES: dict[str, Any] = {
    "station": "CP-1",
    "evse": 1,
    "connector": 1,
    "assignment": "site/harbour",
    "free": False,
    "tariff": "AC",
    "tariff_version": 1,
    "currency": "NOK",
    "tax_included": "YES",
    "min_price": None,
    "max_price": {"excl": "320.00", "incl": "400.00"},
    "prices": [
        {
            "what": "energy",
            "per": "kWh",
            "price_excl": "3.60",
            "price_incl": "4.50",
            "vat_percent": "25",
            "step_size": 1,
            "conditions": [],
            "text": "energy 4.50 NOK/kWh",
        },
        {
            "what": "parking after charging",
            "per": "min",
            "price_excl": "0.80",
            "price_incl": "1.00",
            "vat_percent": "25",
            "step_size": 60,
            "conditions": ["from 08:00 to 20:00"],
            "text": "parking after charging 1.00 NOK/min from 08:00 to 20:00",
        },
    ],
    "text": "energy 4.50 NOK/kWh; parking after charging 1.00 NOK/min from 08:00 to 20:00",
    "valid_from": NOON,
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
    "account": "harbour-fleet",
    "tariff": "AC",
    "tariff_version": 2,
    "started_at": NOON,
    "ended_at": "2026-03-01T13:00:00Z",
    "issued_at": "2026-03-01T13:05:02Z",
    "currency": "NOK",
    "total_excl": "39.60",
    "total_incl": "49.50",
    "taxes": [{"rate": "25", "net": "39.60", "gross": "49.50"}],
    "energy_wh": 11000,
    "signed": [],
    "corrects": None,
    "credits": None,
    "credited_by": None,
    "details": PRICED,
}
INVOICE: dict[str, Any] = {
    "id": "0c5f1c3e-6a1c-5a33-9a57-0d1a3b1c2f5e",
    "series": "2026-INV",
    "number": 17,
    "name": "2026-INV-000017",
    "kind": "invoice",
    "account": "fleet-7",
    "issued_at": "2026-04-01T00:00:00Z",
    "period_start": "2026-03-01T00:00:00Z",
    "period_end": "2026-04-01T00:00:00Z",
    "currency": "NOK",
    "net": "39.60",
    "gross": "49.50",
    "lines": 1,
    "refers_to": None,
    "pdf_sha256": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
    "xml_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}
INVOICE_ASKED: dict[str, Any] = {
    "request": "6e0c1c3e-6a1c-4a33-9a57-0d1a3b1c2f5e",
    "account": "fleet-7",
    "invoices": "/v1/invoices?account=fleet-7",
}
CDR_REVIEW: dict[str, Any] = {
    "id": "0b6b4c5e-3a0f-5c1a-8e57-1f6a4f0f9b11",
    "session": "7d444840-9dc0-51d1-b245-5ffdce74fad2",
    "station": "RDAM 123",
    "decision": "release",
    "outcome": "billed",
    "refused_because": None,
    "cdr": "5b0c5c1e-7a0e-5d5a-9d0e-3c1f5a1e0b11",
    "reason": "the driver confirms the energy",
    "requested_by": "4be19f0a62c7",
    "decided_at": "2026-03-01T13:20:00Z",
}
TAKEN: dict[str, Any] = {"written": True}
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
    "account": "harbour-fleet",
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
PAYMENT: dict[str, Any] = {
    "id": "2f1c7b7e-7c0a-5c39-9a55-0d7a6a3f9e11",
    "account": "adhoc-2f1c7b7e-7c0a-5c39-9a55-0d7a6a3f9e11",
    "kind": "hold",
    "state": "action_required",
    "amount": "40.00",
    "currency": "EUR",
    "held": None,
    "taken": None,
    "returned": None,
    "url": "https://checkout.stripe.com/c/pay/cs_live_a1B2c3",
    "reference": "cs_live_a1B2c3",
    "station": "RDAM 123",
    "evse": 1,
    "session": None,
    "reason": None,
    "receipt_url": "/v1/receipts/default/2f1c7b7e-7c0a-5c39-9a55-0d7a6a3f9e11/0c9e5b7f4a1d3e2b8f6a9c0d1e2f3a4b5c6d7e8f",
    "created_at": NOON,
    "updated_at": "2026-03-01T12:00:01Z",
}
RECEIPT: dict[str, Any] = {
    "payment": PAYMENT["id"],
    "state": "captured",
    "seller": {
        "name": "Harbour Charging AS",
        "street": "Havnegata 1",
        "postal_code": "0150",
        "city": "Oslo",
        "country": "NO",
        "vat_id": "NO974760673MVA",
        "tax_number": "",
        "registration": "",
        "email": "hello@example.com",
    },
    "station": "RDAM 123",
    "place": "Harbour",
    "address": "Havnegata 2, Oslo",
    "time_zone": "Europe/Oslo",
    "currency": "NOK",
    "cdrs": [
        {
            "cdr": CDR["id"],
            "kind": "CDR",
            "credits": None,
            "issued_at": CDR["issued_at"],
            "started_at": NOON,
            "ended_at": CDR["ended_at"],
            "energy_wh": 11000,
            "lines": [
                {
                    "dimension": "ENERGY",
                    "price": "4.50",
                    "billed": "11000.000",
                    "unit": "Wh",
                    "vat": "25",
                    "net": "39.60",
                    "gross": "49.50",
                }
            ],
            "taxes": CDR["taxes"],
            "net": "39.60",
            "gross": "49.50",
        }
    ],
    "taxes": CDR["taxes"],
    "net": "39.60",
    "vat": "9.90",
    "gross": "49.50",
    "paid": "49.50",
}
