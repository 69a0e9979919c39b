"""`make replay`: every state, SQL and ClickHouse worked out anew from the log, and compared with what is there."""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from chassis import clickhouse, logs, replay
from chassis.broker import free_port
from chassis.clickhouse import ClickHouse
from chassis.errors import SaysWhatToDo
from chassis.replay import Verdict
from chassis.settings import Settings, load_or_exit
from deploy.local.folder import Folder, InUse
from deploy.local.part import Address, Part
from deploy.local.plan import Plan
from deploy.local.runner import PARTITIONS, parser_of
from deploy.local.system import CannotStart, build
from services.accounts import worker as accounts
from services.analytics import replay as analytics
from services.authorization import worker as authorization
from services.billing import replay as bills
from services.billing import worker as billing
from services.directory import worker as directory
from services.invoicing import worker as invoicing
from services.operations import worker as operations
from services.payments import worker as payments
from services.sessions import worker as sessions
from services.views import replay as views

DECIDERS = (
    directory.build,
    authorization.build,
    sessions.build,
    operations.build,
    billing.build,
    payments.router,
    accounts.build,
    invoicing.build_carrier,
    invoicing.build,
)
PATIENCE_S = 60


async def verdicts(settings: Settings, folder: Path) -> AsyncIterator[Verdict]:
    """Yield what came of each comparison. `folder` takes the databases that are built anew."""
    for decider in DECIDERS:
        yield await replay.states(decider(settings), settings)
    yield await bills.compared(settings)
    for verdict in await views.compared(settings, folder):
        yield verdict
    async with _fresh_clickhouse(folder) as fresh:
        for verdict in await analytics.compared(settings, fresh):
            yield verdict


@asynccontextmanager
async def _fresh_clickhouse(folder: Path) -> AsyncIterator[ClickHouse]:
    """Run an empty ClickHouse of its own while it is entered."""
    port, data = free_port(), str(folder / "clickhouse")
    command = [sys.executable, "-m", "chassis.embedded_clickhouse", "--folder", data, "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VOLTSTREAM_")}
    address = Address("127.0.0.1", port, "")
    part = Part("clickhouse", command, environment, f"http://127.0.0.1:{port}/ping", folder / "clickhouse.log", address)
    part.start()
    db = clickhouse.connect(f"http://127.0.0.1:{port}/replay", threads=2)
    try:
        await db.ready(PATIENCE_S)
        yield db
    finally:
        await db.close()
        await part.stop()


async def compare(settings: Settings) -> int:
    """Print what came of each comparison; returns the exit code."""
    different = 0
    with tempfile.TemporaryDirectory(prefix="voltstream-replay-") as folder:
        async for verdict in verdicts(settings, Path(folder)):
            print("\n".join(verdict.lines()), flush=True)
            different += len(verdict.different)
    print("identical" if not different else f"{different} differences", flush=True)
    return 1 if different else 0


async def against(folder: Path, settings: Settings) -> int:
    """Compare the deployment in `folder`: as it runs, or with Kafka and ClickHouse started for as long as this takes."""
    system = build(folder, settings, names=())
    try:
        await system.start()
    except CannotStart as trouble:
        if not isinstance(trouble.__cause__, InUse):
            raise
        return await compare(_reaching(Plan(Folder(folder), settings), settings))
    try:
        return await compare(_reaching(Plan(Folder(folder), settings), settings, system.kafka.bootstrap))
    finally:
        await system.stop()


def _reaching(plan: Plan, settings: Settings, kafka: str | None = None) -> Settings:
    """Return the settings by which a service of this deployment finds everything."""
    there = {"kafka": kafka or settings.kafka, "sql": SecretStr(plan.sql), "clickhouse": SecretStr(plan.clickhouse)}
    return settings.model_copy(update=there)


def main() -> int:
    """Compare; the exit code is 0 if everything is identical, 1 if not or if it could not be compared."""
    options = _options()
    if not (options.folder / "kafka").is_dir():
        print(f"there is no deployment in {options.folder}: `make run` makes one", file=sys.stderr)
        return 1
    os.environ.setdefault("VOLTSTREAM_PARTITIONS", str(PARTITIONS))
    settings = load_or_exit()
    logs.setup("replay", style="text", level="warning")
    try:
        return asyncio.run(against(options.folder, settings))
    except (CannotStart, SaysWhatToDo) as trouble:
        print(f"nothing could be compared: {trouble}", file=sys.stderr)
        return 1


def _options() -> argparse.Namespace:
    about = (
        "Fold every state, and rebuild SQL and ClickHouse, from the log; compare with what is there, and say what differs. "
        "Nothing is sent and nothing is changed. Voltstream may be running."
    )
    return parser_of(".replay", about).parse_args()


if __name__ == "__main__":
    sys.exit(main())
