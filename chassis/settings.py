"""What a deployment can set: environment variables named `VOLTSTREAM_*`, and nothing else."""

import os
import sys
import textwrap
from decimal import Decimal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.errors import SaysWhatToDo


class BrokenSetting(SaysWhatToDo):
    """A setting cannot be used. The message names it and says what it should be."""


class Settings(BaseSettings):
    """Every setting of every service; a service uses those it needs."""

    model_config = SettingsConfigDict(env_prefix="VOLTSTREAM_", extra="forbid", frozen=True, hide_input_in_errors=True)

    kafka: str = Field("127.0.0.1:9092", description="Kafka's bootstrap servers, host:port with commas between")
    kafka_security: str = Field(
        "PLAINTEXT", pattern="^(PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL)$", description="how to talk to Kafka"
    )
    kafka_mechanism: str = Field("SCRAM-SHA-512", description="the SASL mechanism, where one is used")
    kafka_username: str = Field("", description="the SASL user")
    kafka_password: SecretStr = Field(SecretStr(""), description="its password")
    kafka_ca: str = Field(
        "", description="a file with the certificates that Kafka's is checked against; none: the system's"
    )
    topic_prefix: str = Field(
        "voltstream.", pattern=r"^[a-zA-Z0-9._-]*$", description="what the names of all topics and groups begin with"
    )
    partitions: int = Field(12, ge=1, le=1000, description="partitions of each topic; never changed in place")
    replication: int = Field(1, ge=1, le=10, description="replicas of each partition: 3 in production")
    sql: SecretStr = Field(
        SecretStr("sqlite+aiosqlite:///.voltstream/voltstream.sqlite"),
        description="the read model's database: sqlite+aiosqlite:///FILE or postgresql+asyncpg://USER:PASSWORD@HOST/DB",
    )
    clickhouse: SecretStr = Field(
        SecretStr("http://127.0.0.1:8123/voltstream"), description="ClickHouse: http(s)://USER:PASSWORD@HOST:PORT/DB"
    )
    clickhouse_password: SecretStr = Field(
        SecretStr(""), description="what the embedded ClickHouse asks for from user `default`; none: nothing"
    )
    clickhouse_cluster: str = Field("", description="the ClickHouse cluster to create replicated tables on, if any")
    secret: SecretStr = Field(
        SecretStr(""),
        description="the deployment's secret, at least 32 characters: names id tokens and seals what is secret. "
        "Never change it: token ids derive from it",
    )
    member: str = Field("", description="this process's name for static group membership, such as its pod's name")
    log: str = Field(
        "auto", pattern="^(auto|json|text)$", description="log lines as json or text; auto: text on a terminal"
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="the least level that is logged")
    health_host: str = Field("127.0.0.1", description="where /healthz, /readyz and /metrics are served")
    health_port: int = Field(0, ge=0, le=65535, description="their port; 0: any free one, which the log names")
    ocpp_host: str = Field("127.0.0.1", description="where the gateway listens for stations")
    ocpp_port: int = Field(9000, ge=0, le=65535, description="its port")
    ocpp_handshakes_per_s: float = Field(
        200, gt=0, le=10_000, description="how many stations may connect per second, of each gateway process"
    )
    ocpp_handshakes_at_once: float = Field(2000, ge=1, le=100_000, description="and how many at once")
    ocpp_ping_s: float = Field(
        45, ge=0, le=3600, description="after so many seconds of silence a station is pinged; 0: never"
    )
    ocpp_pong_within_s: float = Field(
        30, gt=0, le=300, description="how long it has to answer that before its connection is ended"
    )
    ocpp_frames_per_s: float = Field(
        20, ge=0, le=100_000, description="how many messages of one station are read per second; 0: all it sends"
    )
    ocpp_frames_at_once: float = Field(100, ge=1, le=100_000, description="and how many at once")
    ocpp_drain_s: float = Field(
        5, gt=0, le=25, description="over how many seconds a gateway that stops sends its stations away"
    )
    ocpp_default_protocol: str = Field(
        "",
        pattern=r"^(ocpp1\.6)?$",
        description="what a station speaks that names no subprotocol and is pinned to none; none: it is sent away",
    )
    ocpp_hide_unknown_stations: bool = Field(
        False,
        description="answer an unknown station like a wrong password (401), not with 404",
    )
    ocpp_passwordless_stations: bool = Field(
        True,
        description="let stations of security profile 0 in: laboratories and closed networks only",
    )
    public_ocpp_url: str = Field(
        "ws://127.0.0.1:9000/ocpp", pattern=r"^wss?://", description="what stations are told to connect to"
    )
    api_host: str = Field("127.0.0.1", description="where the REST API listens")
    api_port: int = Field(8000, ge=0, le=65535, description="its port")
    admin_digest: str = Field(
        "", pattern="^([0-9a-f]{64})?$", description="SHA-256, in hex, of the API key that may do everything"
    )
    undecided_after_s: float = Field(8, gt=0, le=25, description="after how long a gateway answers a call by itself")
    cdr_hold_s: float = Field(
        300,
        ge=0,
        le=30 * 86_400,
        description="how long after its end a session is billed, so that late values still count; an ad-hoc one with its last register at once",
    )
    cost_shown_every_s: float = Field(
        60,
        ge=10,
        le=3600,
        description="how often a station that shows costs is told the running one while no price changes, at most",
    )
    sellers: str = Field(
        "", description="a JSON file that says for each tenant who issues its invoices; none: they are not written"
    )
    fonts: str = Field("", description="a folder with further fonts for invoices, such as for Chinese names")
    stripe_key: SecretStr = Field(
        SecretStr(""),
        description="the secret key of the account at Stripe that holds and takes money; none: nobody pays here",
    )
    stripe_webhook_secrets: SecretStr = Field(
        SecretStr(""),
        description="the signing secrets of the webhook at Stripe, whsec_…, with commas between: several while one "
        "takes the place of another",
    )
    stripe_api: str = Field(
        "", pattern=r"^(https?://.+)?$", description="where Stripe's API is, for tests; none: Stripe itself"
    )
    payment_return_url: str = Field(
        "", pattern=r"^(https?://.+)?$", description="where a payer is sent who has paid on the provider's page"
    )
    payment_hold: Decimal = Field(
        Decimal(50),
        gt=0,
        le=100_000,
        description="what is held before somebody without an account charges, where the tariff has no max_price",
    )
    transaction_timeout_ms: int = Field(
        10_000, ge=1000, le=900_000, description="after how long Kafka ends the transaction of a process that died"
    )
    session_timeout_ms: int = Field(
        10_000, ge=6000, le=300_000, description="after how long a member of a group that fell silent is replaced"
    )

    alert_faults: int = Field(3, ge=1, le=100, description="so many reports that a connector is faulted raise an alert")
    alert_faults_within_s: int = Field(900, ge=1, le=43_200, description="within so many seconds")
    alert_connections: int = Field(10, ge=1, le=100, description="so many connections of a station raise an alert")
    alert_connections_within_s: int = Field(600, ge=1, le=43_200, description="within so many seconds")
    alert_refused_starts: int = Field(
        5, ge=1, le=100, description="so many starts with a refused token at a station raise an alert"
    )
    alert_refused_starts_within_s: int = Field(900, ge=1, le=43_200, description="within so many seconds")
    alert_failed_starts: int = Field(
        3, ge=1, le=100, description="so many remote starts that come to nothing at a station raise an alert"
    )
    alert_failed_starts_within_s: int = Field(3600, ge=1, le=43_200, description="within so many seconds")

    @field_validator("kafka")
    @classmethod
    def _hosts_and_ports(cls, value: str) -> str:
        for server in value.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or not port.isdigit():
                raise ValueError("should be host:port, or several with commas between")
        return value

    @field_validator("secret")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < 32:
            raise ValueError("should have at least 32 characters")
        return value


def load() -> Settings:
    """Return the settings of this process, or raise `BrokenSetting`, naming each that is wrong but not its value."""
    known = {f"VOLTSTREAM_{name.upper()}" for name in Settings.model_fields}
    strangers = sorted(name for name in os.environ if name.upper().startswith("VOLTSTREAM_") and name not in known)
    if strangers:
        raise BrokenSetting(f"{', '.join(strangers)}: there is no such setting; --help lists them all")
    try:
        return Settings()
    except ValidationError as error:
        raise BrokenSetting("\n".join(_sentence(e["loc"], e["msg"]) for e in error.errors())) from None


def _sentence(where: tuple[int | str, ...], what: str) -> str:
    name = ".".join(str(part) for part in where)
    about = Settings.model_fields[name].description if name in Settings.model_fields else ""
    return f"VOLTSTREAM_{name.upper()}: {what.removeprefix('Value error, ')} ({about})"


def describe() -> str:
    """Return the list of all settings, for `--help`."""
    lines = ["Settings (environment variables):"]
    for name, field in Settings.model_fields.items():
        default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        text = f"{field.description} (default: {default if default != '' else 'none'})"
        lines.append(f"  VOLTSTREAM_{name.upper()}")
        lines += textwrap.wrap(text, 100, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)


def load_or_exit() -> Settings:
    """Return the settings, or end the process with what is wrong (exit code 78, EX_CONFIG)."""
    try:
        return load()
    except BrokenSetting as broken:
        print(f"Voltstream cannot start:\n{broken}", file=sys.stderr)
        raise SystemExit(78) from None
