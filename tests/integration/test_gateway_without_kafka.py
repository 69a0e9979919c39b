"""A gateway whose Kafka goes away (C-013, C-080)."""

async def test_without_kafka_nothing_is_acknowledged_and_nobody_let_in_c013_c080(broker: Broker) -> None:
    settings = settings_for(broker.bootstrap)
    await create_topics(settings)
    async with stage(settings, append_within=1) as at:
        socket, opened = await at.connected()
        broker.kill()
        await socket.send(start_call("5"))
        code, _ = await closed(socket)
        assert code == 1012, "and no answer came before"
        response = await refused(at, opened.station)
        assert (response.status_code, "Retry-After" in response.headers) == (503, True)
        await broker.start()
        await at.until(lambda: at.gateway._acknowledged)
        socket = await at.connect(opened.station)
        await at.said(ConnectionOpened, opened.station, 2)
        await at.said(HasClosed, opened.station)
        await socket.send(start_call("6"))
        started = [await at.said(TransactionStarted, opened.station)]
        await at.until(lambda: any(isinstance(e, TransactionStarted) and e.message_id == '"6"' for e in at.heard))
        started = [e for e in at.heard if isinstance(e, TransactionStarted) and e.message_id == '"6"']
        await at.tell(
            StartAnswered(**at.reply(started[0], transaction=TransactionId("41"), info=TokenInfo("Accepted")))
        )
        assert (await answer(socket))[2]["transactionId"] == 41
        await socket.close()


