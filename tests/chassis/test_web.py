"""Listening inside a process, and saying which setting moves us where that fails."""

import socket

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from chassis.web import PortTaken, Web, bound


async def hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello\n")


APP = Starlette(routes=[Route("/", hello)])


async def test_requests_are_answered_from_start_to_stop() -> None:
    web = Web(APP, bound("127.0.0.1", 0, "VOLTSTREAM_API_PORT"), grace_s=1)
    await web.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{web.port}") as client:
        assert (await client.get("/")).text == "hello\n"
        await web.stop()
        with pytest.raises(httpx.TransportError):
            await client.get("/")


def test_a_port_that_somebody_listens_on_is_taken() -> None:
    with bound("127.0.0.1", 0, "VOLTSTREAM_API_PORT") as first:
        port = first.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"127\.0\.0\.1:{port} \(.*\): choose another with VOLTSTREAM_API_PORT"):
            bound("127.0.0.1", port, "VOLTSTREAM_API_PORT")


def test_a_host_that_is_not_here_names_the_setting_of_the_host() -> None:
    with pytest.raises(PortTaken, match="VOLTSTREAM_API_HOST"):
        bound("203.0.113.7", 0, "VOLTSTREAM_API_PORT")


def test_a_port_is_free_again_at_once() -> None:
    with bound("127.0.0.1", 0, "VOLTSTREAM_API_PORT") as first:
        port = first.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            first.accept()[0].close()
    bound("127.0.0.1", port, "VOLTSTREAM_API_PORT").close()


async def test_an_app_that_is_stopped_before_it_was_started_lets_its_port_go() -> None:
    listener = bound("127.0.0.1", 0, "VOLTSTREAM_API_PORT")
    await Web(APP, listener).stop()
    assert listener.fileno() == -1
