"""What answers about the past look like: examples for the description, of the same station and harbour as the others."""

from typing import Any

from services.api.examples import NOON

RE_RATING_WISH: dict[str, Any] = {
    "from": "2026-02-01T00:00:00Z",
    "to": "2026-03-01T00:00:00Z",
    "site": "harbour",
    "with": {"tariff": "AC", "version": 3},
    "reason": "the night price was missing",
}
RE_RATING: dict[str, Any] = {
    "id": "6c2d1a51-8a0f-5b0e-9c36-6f1b0f3c7a11",
    "state": "finished",
    "mode": "dry_run",
    "asked_at": NOON,
    "updated_at": NOON,
    "requested_by": "4be19f0a62c7",
    "reason": "the night price was missing",
    "progress": 1.0,
    "sessions": 412,
    "differing": 97,
    "skipped": {"other_currency": 2},
    "unbilled": 3,
    "applied": 0,
    "sums": [
        {
            "currency": "NOK",
            "tariff": "AC",
            "site": "harbour",
            "sessions": 412,
            "differing": 97,
            "net_before": "16315.20",
            "net_after": "15790.80",
            "gross_before": "20394.00",
            "gross_after": "19738.50",
        }
    ],
    "failed_because": None,
    "detail": None,
}
RATED_CSV = (
    '"session","station","site","started_at","ended_at","energy_wh","cdr","tariff","tariff_version","new_tariff",'
    '"new_version","currency","net_before","net_after","gross_before","gross_after","state"\n'
    '"7d444840-9dc0-51d1-b245-5ffdce74fad2","RDAM 123","harbour","2026-03-01T12:00:00Z","2026-03-01T13:00:00Z",11000,'
    '"5b0c5c1e-7a0e-5d5a-9d0e-3c1f5a1e0b11","AC",2,"AC",3,"NOK","39.60","33.00","49.50","41.25","differs"\n'
)
REVENUE: dict[str, Any] = {
    "first_day": "2026-03-01",
    "last_day": "2026-03-01",
    "by": ["day", "site", "tariff"],
    "items": [
        {
            "day": "2026-03-01",
            "site": "harbour",
            "tariff": "AC",
            "currency": "NOK",
            "sessions": 14,
            "energy_wh": 154000,
            "net": "554.40",
            "gross": "693.00",
            "credited": "-49.50",
            "without_total": 0,
        }
    ],
}
REVENUE_CSV = (
    "day,site,tariff,currency,sessions,energy_wh,net,gross,credited,without_total\r\n"
    "2026-03-01,harbour,AC,NOK,14,154000,554.40,693.00,-49.50,0\r\n"
)
CDRS_CSV = (
    '"id","kind","session","station","site","token_id","account","tariff","tariff_version","started_at","ended_at",'
    '"issued_at","currency","net","gross","energy_wh","corrects","credits"\n'
    '"5b0c5c1e-7a0e-5d5a-9d0e-3c1f5a1e0b11","CDR","7d444840-9dc0-51d1-b245-5ffdce74fad2","RDAM 123","harbour",'
    '"9f86d081884c7d659a2feaa0c55ad015","","AC",2,"2026-03-01T12:00:00.000000Z","2026-03-01T13:00:00.000000Z",'
    '"2026-03-01T13:05:02.000000Z","NOK","39.60","49.50",11000,"",""\n'
)
RECONCILIATION: dict[str, Any] = {
    "day": "2026-03-01",
    "sites": [
        {
            "site": "harbour",
            "currency": "NOK",
            "sessions": 14,
            "cdrs": 14,
            "register_wh": 154000,
            "session_wh": 154000,
            "cdr_wh": 154000,
            "gross": "693.00",
            "charged": "643.50",
            "paid": "0.00",
        }
    ],
    "meters": [{"site": "harbour", "delivered_wh": 158200, "quarantined_wh": 0, "unattributed_wh": 120}],
    "unexplained": 1,
    "differences": 1,
    "items": [
        {
            "session": "7d444840-9dc0-51d1-b245-5ffdce74fad2",
            "station": "RDAM 123",
            "site": "harbour",
            "kind": "not_charged",
            "amount": "-49.50",
            "unit": "NOK",
            "why": None,
            "explained": False,
        }
    ],
}
