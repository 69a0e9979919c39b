"""`make torture-money`: people charge and pay while whoever keeps books of it is killed; afterwards all books must agree, SQL's too.

Billing, payments, accounts, invoicing, Kafka and the payment provider are killed again and again. The provider besides does not answer,
or answers late, twice, and out of order. The last line says what it came to; the exit code is 1 if anything was lost, doubled or wrong.
"""

import argparse
import asyncio
import logging
import random
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import uvloop

from chassis import clock
from chassis.kafka import Log, Unavailable
from chassis.settings import Settings
from contracts.bills import CdrIssued
from contracts.event import AccountId, Event
from contracts.ledger import ChargingAllowed, PaymentActionRequired, PaymentSettled, ProviderSilent
from contracts.topics import BILLS, COMMANDS, DECIDERS, DRAFTS, INVOICES, LEDGER, POSTINGS, SESSIONS, Topic
from deploy.local.system import System, build
from tests.payments.fake_books import Books
from tests.payments.till import Till
from tests.system.network import paying_at, settings
from tests.torture import checks, money_books, money_tables, visits
from tests.torture.checks import Verdict
from tests.torture.killing import Killer, Say
from tests.torture.money_books import Provider, Sums
from tests.torture.tail import Tail
from tests.torture.visits import Visit

NAMES = ("billing", "accounts", "payments", "invoicing", "views", "api")
KILLED = ("kafka", "billing", "accounts", "payments", "invoicing")
WITHIN_S = 120.0
"""After the last kill everything must be well within this time, or soon after the provider was to be asked again."""
SOON = timedelta(seconds=30)
AGO = timedelta(minutes=70)
FAULTS: Sequence[dict[str, Any]] = (
    {"request": "payment_intents/capture", "fault": "silent", "seconds": 12},
    {"request": "payment_intents/capture", "fault": "unavailable"},
    {"request": "checkout/sessions", "fault": "silent", "seconds": 12},
    {"request": "payment_intents", "fault": "silent", "seconds": 12},
    {"request": "payment_intents", "fault": "unavailable"},
    {"request": "payment_intents/capture", "fault": "slow", "seconds": 1},
    {"request": "payment_intents/cancel", "fault": "silent", "seconds": 12},
    {"request": "refunds", "fault": "silent", "seconds": 12},
    {"request": "refunds", "fault": "unavailable"},
    {"request": "fetch", "fault": "unavailable"},
)
"""silent is a success of which no answer comes before we give up (10 s)."""
SECRET = "whsec_torture"


@dataclass(frozen=True)
class Terms:
    """How much of it."""

    sessions: int = 2000
    seconds: float = 240
    each: int = 5
    """How often each kind of process is killed at least."""
    stations: int = 100
    seed: int = 1


@dataclass
class Outcome:
    """What it came to."""

    sessions: int = 0
    kills: int = 0
    sums: Sums = field(default_factory=Sums)
    verdict: Verdict = field(default_factory=Verdict)

    def __str__(self) -> str:
        found = self.verdict
        return (
            f"sessions {self.sessions} {self.sums} doubled {len(found.doubled)} lost {len(found.lost)} "
            f"wrong {len(found.wrong)} kills {self.kills}"
        )


class Stripe(Till):
    """The provider's process, which somebody starts again when it has been killed."""

    async def is_ready(self) -> bool:
        return self.child is not None and self.child.exit_code is None and await self.listens()

    async def listens(self) -> bool:
        try:
            return (await self.client.get(f"{self.url}/control/none", timeout=2)).status_code == 404
        except httpx.TransportError:
            return False

    async def is_well(self) -> bool:
        """Have it forget what was to go wrong, and tell whether it has."""
        try:
            await self.control("well")
        except httpx.HTTPError:
            return False
        return True

    async def keep(self) -> None:
        """Start it again for ever."""
        while True:
            await asyncio.sleep(0.2)
            if self.child is not None and self.child.exit_code is not None:
                with suppress(TimeoutError):
                    await self.start()

    def books(self) -> Provider:
        """Return what is in its books now."""
        books = Books(self.folder / "stripe.sqlite")
        try:
            return Provider(tuple(books.things("payment_intent")), tuple(books.things("refund")))
        finally:
            books.close()


def settings_with(stripe: Stripe) -> Settings:
    """Return a deployment that pays at this provider."""
    return settings().model_copy(update={"log_level": "info", **paying_at(stripe.url, SECRET)})


async def money(terms: Terms, folder: Path, say: Say) -> Outcome:
    """Run it all; the logs stay in `folder`, which is there."""
    stripe = Stripe(folder, secret=SECRET)
    system = build(folder / "system", settings_with(stripe), names=NAMES, report=lambda line: say(f"          {line}"))
    stripe.webhook = f"{system.api_url}/v1/webhooks/stripe"
    await stripe.start()
    keeping = asyncio.create_task(stripe.keep())
    try:
        await system.start()
        return await Money(terms, system, stripe, say).run()
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await system.stop()
        await stripe.client.aclose()
        stripe.kill()


class Money:
    """Whoever charges and pays, and the killer, on a running system."""

    def __init__(self, terms: Terms, system: System, stripe: Stripe, say: Say) -> None:
        self._terms, self._system, self._stripe, self._say = terms, system, stripe, say
        self._settings = system.settings.model_copy(update={"kafka": system.kafka.bootstrap})
        self._dice = random.Random(f"{terms.seed}/money")
        killer_dice = random.Random(f"{terms.seed}/killer")
        self._killer = Killer(system, killer_dice, say, kinds=KILLED, others={"stripe": stripe})
        self._visits = visits.visits(terms.seed, terms.sessions, terms.stations)
        self._tail = Tail(
            self._settings,
            (BILLS, LEDGER, DRAFTS, INVOICES, COMMANDS),
            (*(f"{name}.parked" for name in DECIDERS), "sessions.unread", "postings.unread"),
        )
        self._log = Log(self._settings, linger_ms=0)
        self._loop = asyncio.get_running_loop()
        self._held: defaultdict[str, asyncio.Future[bool]] = defaultdict(self._loop.create_future)
        """By payment: whether its session may begin."""
        self._billed: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._silent_until = clock.now()
        self._payers: set[asyncio.Task[None]] = set()
        self._fed = self._faults = 0

    async def run(self) -> Outcome:
        """Charge and kill, and then compare."""
        await self._log.start()
        await self._describe()
        try:
            async with self._tail:
                self._tail.listeners.append(self._hear)
                await self._charge_and_kill()
                return await self._compare()
        finally:
            for payer in self._payers:
                payer.cancel()
            await asyncio.gather(*self._payers, return_exceptions=True)
            await self._log.stop()

    # ---- before ------------------------------------------------------------------------------------------------------

    async def _describe(self) -> None:
        """Write what the directory would have, and have everybody begin with it."""
        sent = [
            await self._log.send(topic, event, id=f"{topic.name}-{number}", source="/torture")
            for number, (topic, event) in enumerate(visits.records(self._visits))
        ]
        await asyncio.gather(*sent)
        for name in ("billing", "accounts"):
            await self._system.parts[name].stop()
        await self._in_time(self._all_ready, within=90)

    async def _all_ready(self) -> Verdict:
        return Verdict(wrong=[f"{name} is not ready again" for name in await self._killer.not_ready()])

    # ---- meanwhile ---------------------------------------------------------------------------------------------------

    async def _charge_and_kill(self) -> None:
        terms = self._terms
        by_station: defaultdict[str, list[Visit]] = defaultdict(list)
        for visit in self._visits:
            by_station[visit.station].append(visit)
        self._say(f"{terms.sessions} sessions at {len(by_station)} stations; the killing begins")
        mischief = asyncio.create_task(self._make_mischief())
        try:
            async with asyncio.TaskGroup() as group:
                for mine in by_station.values():
                    group.create_task(self._station(mine))
                await self._killer.run(terms.seconds, terms.each)
                await self._end(mischief)
                self._say(f"the killing is over, {self._fed} sessions were charged")
        finally:
            mischief.cancel()
        self._say(f"all {self._fed} sessions were charged")

    async def _end(self, mischief: asyncio.Task[None]) -> None:
        """Let the provider be well from now on."""
        mischief.cancel()
        await asyncio.gather(mischief, return_exceptions=True)
        while not await self._stripe.is_well():
            await asyncio.sleep(0.2)

    async def _station(self, mine: Sequence[Visit]) -> None:
        """Let one after the other charge, spread over the time."""
        pause = self._terms.seconds / (len(mine) + 1)
        async with asyncio.TaskGroup() as corrections:
            for visit in mine:
                await asyncio.sleep(pause * self._dice.uniform(0.5, 1.3))
                await self._charge(visit)
                self._fed += 1
                if visit.corrected_wh is not None:
                    corrections.create_task(self._correct(visit))

    async def _charge(self, visit: Visit) -> None:
        if visit.kind == "ad_hoc":
            await self._hold(visit)
        elif visit.kind == "prepaid" and visit.number % 5 == 0:
            await self._append(POSTINGS, visits.top_up_of(visit, clock.now()), f"top-up-{visit.session}", twice=True)
        elif visit.kind == "postpaid" and visit.number % 10 == 0:
            await self._bill(visit.account, f"{visit.session}-bill")
        visit.began = clock.now().replace(microsecond=0) - AGO
        for number, event in enumerate(visits.told(visit)):
            await self._append(SESSIONS, event, f"{visit.session}-{number}")

    async def _hold(self, visit: Visit) -> None:
        """Return once money is held; where that failed somebody begins anew, with another payment."""
        for attempt in range(1, visits.ATTEMPTS + 1):
            visit.attempt = attempt
            await self._append(POSTINGS, visits.hold_of(visit, clock.now()), f"hold-{visit.payment}", twice=True)
            if await self._held[visit.payment]:
                return
        raise AssertionError(f"{visit.session}: {visits.ATTEMPTS} payments failed")

    async def _correct(self, visit: Visit) -> None:
        """Say how it really ended, once it has been billed."""
        await self._billed[visit.session].wait()
        await self._append(SESSIONS, visits.corrected(visit), f"{visit.session}-corrected")

    async def _bill(self, account: AccountId, request: str) -> None:
        asked = visits.invoice_of(account, request, clock.now())
        await self._append(POSTINGS, asked, request, twice=True)

    async def _append(self, topic: Topic[Any], event: Event, id: str, *, twice: bool = False) -> None:
        """Write until Kafka has it, and what may come twice, twice now and then."""
        for _ in range(2 if twice and self._dice.random() < 0.1 else 1):
            while True:
                try:
                    await self._log.append(topic, event, id=id, source="/torture")
                except Unavailable:
                    await asyncio.sleep(0.2)
                else:
                    break

    async def _make_mischief(self) -> None:
        """Have something go wrong at the provider about once in eight sessions."""
        pause = 8 * self._terms.seconds / self._terms.sessions
        while True:
            await asyncio.sleep(pause * self._dice.uniform(0.5, 1.5))
            with suppress(httpx.HTTPError):
                await self._stripe.control("faults", **self._dice.choice(FAULTS))
                self._faults += 1
                await self._stripe.control("webhooks", mode=self._dice.choice(("once", "twice", "backwards")))

    # ---- what is heard -----------------------------------------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        match event:
            case ChargingAllowed():
                self._say_held(event.payment, held=True)
            case PaymentSettled(state="declined" | "failed" | "released"):
                self._say_held(event.payment, held=False)
            case PaymentActionRequired():
                payer = asyncio.create_task(self._pay(event.url))
                self._payers.add(payer)
                payer.add_done_callback(self._payers.discard)
            case ProviderSilent():
                self._silent_until = max(self._silent_until, event.again_at)
            case CdrIssued():
                self._billed[event.session].set()
            case _:
                pass

    def _say_held(self, payment: str, *, held: bool) -> None:
        if not self._held[payment].done():
            self._held[payment].set_result(held)

    async def _pay(self, url: str) -> None:
        """Pay on the page until it says that this was done, or has been."""
        while True:
            with suppress(httpx.HTTPError):
                if await self._stripe.pay(url) in {303, 400}:
                    return
            await asyncio.sleep(0.3)

    # ---- afterwards --------------------------------------------------------------------------------------------------

    def _left(self) -> float:
        """Return how many seconds are left for everything to be well."""
        silent = (self._silent_until + SOON - clock.now()).total_seconds()
        return max(0.1, self._killer.last + WITHIN_S - self._loop.time(), silent)

    async def _compare(self) -> Outcome:
        outcome = Outcome(sessions=self._fed, kills=self._killer.kills.total())
        await self._in_time(self._charged)
        self._say(f"{self._loop.time() - self._killer.last:6.1f} s after the last kill: whoever pays later is billed")
        for account in sorted({visit.account for visit in self._visits if visit.kind == "postpaid"}):
            await self._bill(account, f"{self._terms.seed}-{account}-at-last")
        outcome.verdict = await self._in_time(self._everything)
        outcome.verdict.add(await self._all_ready())
        outcome.sums = self._of_ad_hoc()[1]
        self._say(f"{self._faults} faults of the provider's were prepared")
        self._say("kills: " + ", ".join(f"{kind} {n}" for kind, n in sorted(self._killer.kills.items())))
        return outcome

    async def _charged(self) -> Verdict:
        """Everything but invoices."""
        self._tail.still_reads()
        bills, ledger = self._tail.events["bills"], self._tail.events["ledger"]
        accounts, provider = money_books.accounts_of(ledger), self._stripe.books()
        verdict = money_books.of_bills(self._visits, bills)
        verdict.add(money_books.of_ledger(self._visits, accounts))
        verdict.add(money_books.of_provider(accounts, provider))
        verdict.add(self._of_ad_hoc()[0])
        return verdict

    def _of_ad_hoc(self) -> tuple[Verdict, Sums]:
        accounts = money_books.accounts_of(self._tail.events["ledger"])
        verdict, sums = money_books.of_ad_hoc(self._visits, accounts, self._stripe.books())
        counting = money_books.counting(self._tail.events["bills"])
        sums.cdrs = sum(len(mine) for mine in counting.values())
        return verdict, sums

    async def _everything(self) -> Verdict:
        verdict, events = await self._charged(), self._tail.events
        verdict.add(
            money_books.of_invoices(money_books.accounts_of(events["ledger"]), events["ledger"], events["invoices"])
        )
        rows = await money_tables.read(self._system)
        verdict.add(money_tables.compared(rows, events["bills"], events["ledger"], events["invoices"]))
        decided = {"bills", "ledger", "drafts", "invoices"}
        verdict.add(checks.outputs(record for record in self._tail.records if record.topic in decided))
        verdict.add(checks.put_aside(r for r in self._tail.records if r.topic.endswith((".parked", ".unread"))))
        return verdict

    async def _in_time(self, look: Callable[[], Awaitable[Verdict]], within: float = 0) -> Verdict:
        """Return what is not well as soon as all is, or when no time is left."""
        end = self._loop.time() + within
        while not (verdict := await look()) and (self._left() > 0.1 or self._loop.time() < end):
            await asyncio.sleep(1)
        return verdict


SHOWN = 40


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.money", description=__doc__)
    parser.add_argument("--sessions", type=int, default=2000, help="(%(default)s)")
    parser.add_argument("--seconds", type=float, default=240, help="of killing (%(default)s)")
    parser.add_argument("--each", type=int, default=5, help="how often each kind of process is killed (%(default)s)")
    parser.add_argument("--stations", type=int, default=100, help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="any, and said, if not given")
    terms = Terms(**vars(parser.parse_args()))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it says that Kafka is away
    folder, began = Path(tempfile.mkdtemp(prefix="voltstream-money-")), time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f}  {line}", flush=True)

    say(f"seed {terms.seed}, {terms.sessions} sessions, {terms.seconds:g} s; logs in {folder}")
    outcome = uvloop.run(money(terms, folder, say))
    lines = list(outcome.verdict.lines())
    print(*lines[:SHOWN], sep="\n")
    if len(lines) > SHOWN:
        print(f"... and {len(lines) - SHOWN} more")
    if outcome.verdict:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"seed {terms.seed}; the data and logs of the system stay in {folder}")
    print(outcome)
    return 0 if outcome.verdict else 1


if __name__ == "__main__":
    sys.exit(main())
