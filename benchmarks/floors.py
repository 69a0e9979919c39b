"""The floors: the least that the work could cost with the libraries we use, on this machine and in this run."""

import argparse
import asyncio
import gc

import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol


async def echo(socket: ServerConnection) -> None:
    """Send back what is heard."""
    try:
        while True:
            await socket.send(await socket.recv(decode=False))
    except ConnectionClosed:
        pass


async def echo_server() -> None:
    """A bare echo server with the gateway's settings: says its port and runs until it is stopped."""
    async with serve(
        echo,
        "127.0.0.1",
        0,
        compression=None,
        subprotocols=[Subprotocol("ocpp1.6")],
        server_header=None,
        ping_interval=45,
        ping_timeout=45,
        max_size=1 << 20,
        max_queue=16,
        backlog=4096,
    ) as server:
        gc.collect()
        gc.freeze()
        print(f"port={server.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.get_running_loop().create_future()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.floors", description=__doc__)
    parser.add_argument("which", choices=["echo"])
    parser.parse_args()
    uvloop.run(echo_server())


if __name__ == "__main__":
    main()
