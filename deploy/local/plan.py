"""What runs on this machine: the command, the settings and the ports of every part."""

import hashlib
import os
import secrets
import sys
from pathlib import Path
from urllib.parse import quote, urlsplit

from chassis.broker import free_port
from chassis.settings import Settings
from deploy.local.folder import Folder
from deploy.local.part import Address, Part

SELLERS = Path(__file__).with_name("sellers.json")
"""Who issues invoices here, unless the settings name another file."""
EDGES = {"gateway": "ocpp", "api": "api"}
"""The services that listen for the world, and how their settings are called."""


STRIPE = ("stripe_key", "stripe_webhook_secrets")


class Plan:
    """Says how each part is run. Ports that the settings leave open (0) are chosen once."""

    def __init__(self, folder: Folder, settings: Settings) -> None:
        self._folder, self._settings = folder, settings
        self.secret = folder.secret("secret")
        self.admin_key = folder.secret("admin.key", lambda: f"vs_admin_{secrets.token_urlsafe(32)}")
        self.clickhouse_password = folder.secret("clickhouse.password")
        named = int(settings.kafka.rpartition(":")[2])
        self.clickhouse_port = urlsplit(settings.clickhouse.get_secret_value()).port or 8123
        self._chosen = {named, self.clickhouse_port, settings.ocpp_port, settings.api_port}
        self.kafka_port = named or self._free_port()
        self._gateway = self._edge("gateway", settings.ocpp_port)
        self._api = self._edge("api", settings.api_port)

    @property
    def clickhouse(self) -> str:
        """The URL of ClickHouse, with its password."""
        database = urlsplit(self._settings.clickhouse.get_secret_value()).path.strip("/") or "voltstream"
        password = quote(self.clickhouse_password, safe="")
        return f"http://default:{password}@127.0.0.1:{self.clickhouse_port}/{database}"

    @property
    def sql(self) -> str:
        """The URL of the read model's database: SQLite in the folder, unless the settings name another."""
        if "sql" in self._settings.model_fields_set:
            return self._settings.sql.get_secret_value()
        return f"sqlite+aiosqlite:///{self._folder.path / 'voltstream.sqlite'}"

    @property
    def ocpp_url(self) -> str:
        """What stations are told to connect to."""
        if "public_ocpp_url" in self._settings.model_fields_set:
            return self._settings.public_ocpp_url
        return f"ws://{self._gateway}/ocpp"

    @property
    def api_url(self) -> str:
        return f"http://{self._api}"

    def environment(self) -> dict[str, str]:
        """Return the settings of every part. They talk to one another without any proxy."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith("VOLTSTREAM_")}
        plain = self._settings.model_dump(
            exclude={"sql", "clickhouse", "secret", "kafka_password", "clickhouse_password", *STRIPE}
        )
        ours = {f"VOLTSTREAM_{name.upper()}": str(value) for name, value in plain.items() if value not in ("", None)}
        local = {
            "VOLTSTREAM_KAFKA": f"127.0.0.1:{self.kafka_port}",
            "VOLTSTREAM_SQL": self.sql,
            "VOLTSTREAM_CLICKHOUSE": self.clickhouse,
            "VOLTSTREAM_SECRET": self.secret,
            "VOLTSTREAM_ADMIN_DIGEST": hashlib.sha256(self.admin_key.encode()).hexdigest(),
            "VOLTSTREAM_PUBLIC_OCPP_URL": self.ocpp_url,
            "VOLTSTREAM_SELLERS": self._settings.sellers or str(SELLERS),
            "VOLTSTREAM_LOG": "text",
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
        }
        return mine | ours | self._stripe() | local | dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")

    def _stripe(self) -> dict[str, str]:
        """Return what our settings know of an account at Stripe."""
        named = {name: getattr(self._settings, name).get_secret_value() for name in STRIPE}
        return {f"VOLTSTREAM_{name.upper()}": value for name, value in named.items() if value}

    def part(self, name: str) -> Part:
        """Return a part that is not yet started: ClickHouse, a service, or another process of one (`gateway-2`)."""
        return self._clickhouse() if name == "clickhouse" else self._service(name)

    def _clickhouse(self) -> Part:
        port, folder = self.clickhouse_port, str(self._folder.path / "clickhouse")
        command = [sys.executable, "-m", "chassis.embedded_clickhouse", "--folder", folder, "--port", str(port)]
        environment = {**self.environment(), "VOLTSTREAM_CLICKHOUSE_PASSWORD": self.clickhouse_password}
        address = Address("127.0.0.1", port, "VOLTSTREAM_CLICKHOUSE=http://127.0.0.1:PORT/voltstream")
        log = self._folder.logs / "clickhouse.log"
        return Part("clickhouse", command, environment, f"http://127.0.0.1:{port}/ping", log, address)

    def _service(self, name: str) -> Part:
        service, _, number = name.partition("-")
        health, address = self._free_port(), self._address(service, another=bool(number))
        environment = {
            **self.environment(),
            "VOLTSTREAM_MEMBER": name,
            "VOLTSTREAM_HEALTH_HOST": "127.0.0.1",
            "VOLTSTREAM_HEALTH_PORT": str(health),
        }
        if address is not None:
            environment[address.setting] = str(address.port)
        command = [sys.executable, "-m", f"services.{service}"]
        log = self._folder.logs / f"{name}.log"
        return Part(name, command, environment, f"http://127.0.0.1:{health}/readyz", log, address)

    def _address(self, service: str, *, another: bool) -> Address | None:
        if service not in EDGES:
            return None
        if another:
            return self._edge(service, 0)
        return self._gateway if service == "gateway" else self._api

    def _edge(self, service: str, port: int) -> Address:
        name = EDGES[service]
        host: str = getattr(self._settings, f"{name}_host")
        return Address(host, port or self._free_port(), f"VOLTSTREAM_{name.upper()}_PORT")

    def _free_port(self) -> int:
        """Return a port on which nobody listens, and that no other part has."""
        while (port := free_port()) in self._chosen:
            pass
        self._chosen.add(port)
        return port
