"""A gateway whose Kafka goes away (C-013, C-080)."""

import pytest

from chassis.broker import Broker
from chassis.kafka import create_topics
from contracts.authorizations import TokenInfo
from contracts.event import TransactionId
from contracts.gateways import StartAnswered
from contracts.stations import ConnectionClosed, ConnectionOpened, TransactionStarted
from tests.gateway.stage import answer, closed, exchange, refused, settings_for, stage, start_call

HEARTBEAT = '[2,"h","Heartbeat",{}]'


@pytest.mark.covers("C-013", "C-080")
async def test_without_kafka_nothing_is_acknowledged_and_nobody_let_in(broker: Broker) -> None:
    settings = settings_for(broker.bootstrap)
    await create_topics(settings)
    async with stage(settings, append_within=1) as at:
        socket, opened = await at.connected()
        broker.kill()
        assert (await exchange(socket, HEARTBEAT))[1] == "h", "a heartbeat needs no log"
        await socket.send(start_call("5"))
        code, _, frames = await closed(socket)
        assert (code, frames) == (1012, []), "no answer came before"
        response = await refused(at, opened.station)
        assert (response.status_code, "Retry-After" in response.headers) == (503, True)

        await broker.start()
        await at.until(lambda: at.gateway.is_acknowledged)
        socket = await at.connect(opened.station)
        reopened = await at.said(ConnectionOpened, opened.station, 2)
        assert (await at.said(ConnectionClosed, opened.station)).epoch == opened.epoch
        await socket.send(start_call("6"))
        await at.until(lambda: any(started.message_id == '"6"' for started in at.all(TransactionStarted)))
        started = at.all(TransactionStarted)[-1]
        assert started.epoch == reopened.epoch
        await at.tell(StartAnswered(**at.reply(started, transaction=TransactionId("41"), info=TokenInfo("Accepted"))))
        assert (await answer(socket))[2]["transactionId"] == 41
        await socket.close()
