"""A network without Kafka: the directory's own rules and the views' own tables, behind the real application."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from hashlib import sha256
from typing import Any

from httpx import ASGITransport, AsyncClient
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from chassis import clickhouse, clock
from chassis.kafka import Chunk, Place, Unavailable
from chassis.secrets import Secrets
from chassis.settings import Settings
from contracts.commands import CommandIssued, SessionRepairRequested
from contracts.event import Event, Message
from contracts.ledger import ProviderAsked
from contracts.operations import CommandRequested
from contracts.postings import OfAccount, ProviderAnswered
from contracts.ratings import OfRating
from contracts.reference import CustomerAccount
from contracts.requests import ChangeRequested, PutStation, PutTariffAssignment, PutToken
from contracts.reviews import CdrReviewed
from contracts.topics import (
    ACCESS,
    ACCOUNTS,
    BILLS,
    DIRECTORY,
    LEDGER,
    OPERATIONS,
    RATINGS,
    REGISTRY,
    SESSIONS,
    SITES,
    STANDINGS,
    TARIFFS,
    TOKENS,
    Topic,
    of_change,
)
from services.accounts import domain as accounts
from services.accounts.heard import Heard
from services.accounts.state import Account
from services.api.app import Api, build
from services.api.backends import Backends
from services.api.queries import Queries
from services.directory import domain
from services.directory.domain import Asked
from services.views.worker import TOPICS, Views
from tests.views.given import record

FIRST_KEY = "vs_admin_" + "0123456789abcdef" * 4
NOWHERE = "http://127.0.0.1:9/nothing"
PARTS = 2


def settings_of(**more: Any) -> Settings:
    return Settings(
        secret=SecretStr("a-secret-of-the-tests-and-of-nobody-else"),
        admin_digest=sha256(FIRST_KEY.encode()).hexdigest(),
        public_ocpp_url="wss://ocpp.example.com/ocpp",
        **more,
    )


class Network:
    """Takes the place of Kafka, the directory, operations' first step, and views' reading."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.views = Views(engine)
        self.written: list[Event] = []
        self.traces: list[str] = []
        self.away = False
        self.deaf = False
        """Kafka has it, but nobody hears it yet."""
        self.repairs: Callable[[SessionRepairRequested], list[Event]] = lambda _: []
        """What sessions say to a repair."""
        self.provider: Callable[[ProviderAsked], list[ProviderAnswered]] = lambda _: []
        """What the payment provider says to what it is asked."""
        self.reviews: Callable[[CdrReviewed], list[Event]] = lambda _: []
        """What billing says to a review."""
        self._states: defaultdict[str, domain.State] = defaultdict(lambda: domain.initial)
        self._money: defaultdict[str, Account] = defaultdict(Account)
        self._ends: defaultdict[tuple[str, int], int] = defaultdict(int)

    async def begin(self) -> None:
        await self.views.positions({(topic.name, part) for topic in TOPICS for part in range(PARTS)})

    async def append(self, topic: Topic[Any], event: Event, id: str, trace: str) -> Place:
        if self.away:
            raise Unavailable("Kafka did not acknowledge within 5 s")
        assert type(event) in topic.classes
        self.written.append(event)
        self.traces.append(trace)
        if not self.deaf:
            await self.hear(event, id)
        return Place(0, len(self.written))

    async def hear(self, event: Event, id: str) -> None:
        match event:
            case ChangeRequested():
                await self._decide(event, id)
            case CommandIssued():
                await self.says(OPERATIONS, requested(event))
            case CdrReviewed():
                for decided in self.reviews(event):
                    await self.says(BILLS, decided)
            case OfRating():
                await self.says(RATINGS, event)
            case SessionRepairRequested():
                for outcome in self.repairs(event):
                    await self.says(SESSIONS, outcome)
            case OfAccount():
                await self._post(event)
            case _:
                raise AssertionError(f"the api writes no {type(event).__name__}")

    async def _decide(self, event: ChangeRequested, id: str) -> None:
        key = of_change(event)
        asked = Asked(
            Message(event, id, event.at), self._site_known(event), self._tariff_known(event), self._account_known(event)
        )
        outputs = domain.decide(self._states[key], asked)
        self._states[key] = reduce(domain.evolve, outputs, self._states[key])
        for output in outputs:
            topic = next(
                t for t in (DIRECTORY, SITES, REGISTRY, TOKENS, ACCESS, TARIFFS, ACCOUNTS) if type(output) in t.classes
            )
            await self.says(topic, output)

    def _site_known(self, event: ChangeRequested) -> bool:
        match event.change:
            case PutStation(station=station) if station.site is not None:
                return isinstance(self._states[f"{event.tenant}/site/{station.site}"], domain.Present)
            case _:
                return True

    def _tariff_known(self, event: ChangeRequested) -> bool:
        match event.change:
            case PutTariffAssignment(assignment=assignment) if assignment.tariff is not None:
                return isinstance(self._states[f"{event.tenant}/tariff/{assignment.tariff}"], domain.Present)
            case _:
                return True

    def _account_known(self, event: ChangeRequested) -> bool:
        match event.change:
            case PutToken(token=token) if token.account is not None:
                known = isinstance(self._states[f"{event.tenant}/account/{token.account}"], domain.Present)
                return known or token.account.startswith("adhoc-")
            case _:
                return True

    async def _post(self, event: OfAccount) -> None:
        """Let the rules of accounts decide."""
        key = f"{event.tenant}/{event.account}"
        known = self._states[f"{event.tenant}/account/{event.account}"]
        customer = known.thing if isinstance(known, domain.Present) else None
        assert customer is None or isinstance(customer, CustomerAccount)
        outputs = accounts.decide(self._money[key], Heard(event, customer))
        self._money[key] = reduce(accounts.evolve, outputs, self._money[key])
        for output in outputs:
            await self.says(next(t for t in (LEDGER, STANDINGS) if type(output) in t.classes), output)
        for output in outputs:
            if isinstance(output, ProviderAsked):
                for answer in self.provider(output):
                    await self._post(answer)

    async def says(self, topic: Topic[Any], *events: Event, part: int = 0) -> None:
        """Let views take in what somebody writes to a partition."""
        await self.show(self.hold(topic, *events, part=part))

    def hold(self, topic: Topic[Any], *events: Event, part: int) -> Chunk:
        """Write to a partition what views do not take in yet."""
        first = self._ends[topic.name, part]
        self._ends[topic.name, part] += len(events)
        records = [
            record(topic, event, partition=part, offset=first + n, recorded=clock.now())
            for n, event in enumerate(events)
        ]
        return Chunk(topic, part, records, first + len(records))

    async def show(self, chunk: Chunk) -> None:
        await self.views.apply([chunk])


def requested(event: CommandIssued) -> CommandRequested:
    return CommandRequested(
        at=event.at,
        tenant=event.tenant,
        station=event.station,
        command=event.command,
        task=event.task,
        requested_by=event.requested_by,
        expires_at=event.expires_at,
        fingerprint=event.fingerprint,
    )


def app_of(network: Network, *, archive: str = NOWHERE, patience_s: float = 10) -> Api:
    settings = settings_of()
    secrets = Secrets(settings.secret.get_secret_value())
    db = clickhouse.connect(archive)
    return build(Backends(settings, secrets, Queries(network.engine), db, network, patience_s=patience_s))


def client_of(app: Api, key: str | None = FIRST_KEY) -> AsyncClient:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return AsyncClient(transport=ASGITransport(app), base_url="http://api.example", headers=headers)


def impatient(app: Api) -> Api:
    """Let writes wait for a moment only."""
    app.state.backends = replace(app.state.backends, patience_s=0.05)
    return app


async def key_of(admin: AsyncClient, scopes: Sequence[str], tenant: str | None = None) -> str:
    """Return a new key."""
    answer = await admin.post("/v1/access-keys", json={"scopes": list(scopes), "tenant": tenant})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])
