"""What has been said at a real gateway, through today's rules again."""

import asyncio
import os
import random
import subprocess
import sys

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection

from chassis.kafka import create_topics
from chassis.settings import Settings
from contracts.stations import CallAnswered, ConnectorStatusReported, StationBooted, TransactionEnded
from services.gateway import v16
from services.gateway.retranslate import Result, retranslated
from tests.gateway.mutants import mutant
from tests.gateway.stage import SECRET, Stage, answer, settings_for, some_identity, stage
from tests.quirks.replay import stop_asked

BOOT = '[2,"b","BootNotification",{"chargePointVendor":"Zaptec","chargePointModel":"Go 2"}]'
STOP = (
    '[2,"s","StopTransaction",{"transactionId":41,"meterStop":900,"timestamp":"2026-01-01T11:59:00","reason":"Moon"}]'
)
STATUS = '[2,"c","StatusNotification",{"connectorId":0,"errorCode":"Error","status":"Charging"}]'


@pytest.fixture(scope="module")
def settings(kafka: str) -> Settings:
    """A deployment of this module's own."""
    made = settings_for(kafka)
    with asyncio.Runner() as runner:
        runner.run(create_topics(made))
    return made


async def busy_hour(at: Stage) -> None:
    """Let stations boot, charge, answer a call, say what nobody understands, and say things twice."""
    socket, opened = await at.connected(some_identity(), boot_status="Pending", heartbeat_s=60)
    for frame in (BOOT, STOP, STOP, STATUS, STATUS.replace('"c"', '"s"'), "nonsense", '[3,"x",{}]'):
        await socket.send(frame)
    await at.tell(stop_asked(**at.reply(opened)))
    await said_all(at, socket, opened.station)
    dice = random.Random(7)
    for _ in range(2):
        strange, _ = await at.connected()
        for _ in range(200):
            await strange.send(mutant(dice, f"id-{dice.getrandbits(48):012x}"))
        await strange.send('[2,"the end","Heartbeat",{}]')
        while b"the end" not in await strange.recv(decode=False):
            pass
        await strange.close()


async def said_all(at: Stage, socket: ClientConnection, identity: str) -> None:
    call = None
    while call is None:
        said = await answer(socket)
        call = said if said[0] == 2 else None
    await socket.send(msgspec.json.encode([3, call[1], {"status": "accepted"}]).decode())
    await at.said(StationBooted, identity)
    await at.said(TransactionEnded, identity)
    await at.said(CallAnswered, identity)
    await at.said(ConnectorStatusReported, identity, 2)
    await socket.close()


def shown(result: Result) -> str:
    return f"{result}: {result.shown}"


@pytest.mark.covers("C-085")
async def test_todays_rules_make_of_a_busy_log_what_was_made_of_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage(settings, undecided_after=0.05, frames_per_s=0) as at:
        await busy_hour(at)
        written = len(at.heard)
        same = await retranslated(settings, most=5)
        assert (same.differences, same.left_out, same.unreadable) == (0, 0, 0), shown(same)
        assert same.frames > 250
        monkeypatch.setattr(v16, "REASONS", v16.REASONS | {"Moon"})
        changed = await retranslated(settings, most=5)
        assert (changed.frames, changed.differences) == (same.frames, 1)
        [difference] = changed.shown
        assert difference.what == 'TransactionEnded: reason: "Other" -> "Moon"; reason_said: "Moon" -> null'
        assert len(at.heard) - written <= 2, "only sockets that have closed since were written of"


def test_the_command_prints_a_line_that_counts_them(settings: Settings) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "services.gateway", "retranslate"],
        env=os.environ
        | {
            "VOLTSTREAM_KAFKA": settings.kafka,
            "VOLTSTREAM_TOPIC_PREFIX": settings.topic_prefix,
            "VOLTSTREAM_PARTITIONS": str(settings.partitions),
            "VOLTSTREAM_SECRET": SECRET,
        },
        check=False,
        capture_output=True,
        text=True,
    )
    last = said.stdout.strip().splitlines()[-1]
    count = last.split()[1].rstrip(",")
    assert (last, said.returncode) == (f"frames {count}, same {count}, different 0", 0), said
    assert int(count) > 250
