"""Voltstream's REST API, as a client of it sees it."""

import asyncio
from typing import Any

import httpx

PATIENCE_S = 30


class Refused(Exception):
    """The API refused. The message says what, and its reason."""


class Rest:
    """Asks one API with one key. What is briefly unavailable is asked again."""

    def __init__(self, url: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self._client = httpx.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE_S, trust_env=False)

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, path: str, **query: Any) -> Any:
        return await self._ask("GET", path, params=query)

    async def put(self, path: str, body: Any) -> Any:
        return await self._ask("PUT", path, json=body)

    async def post(self, path: str, body: Any, **query: Any) -> Any:
        return await self._ask("POST", path, json=body, params=query)

    async def delete(self, path: str, **query: Any) -> Any:
        return await self._ask("DELETE", path, params=query)

    async def _ask(self, method: str, path: str, **how: Any) -> Any:
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            answer = await self._answer(method, path, how)
            if answer is not None and answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            if asyncio.get_running_loop().time() > deadline:
                raise Refused(f"{method} {path}: no answer within {PATIENCE_S} s")
            await asyncio.sleep(1)
        if answer.is_error:
            raise Refused(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    async def _answer(self, method: str, path: str, how: dict[str, Any]) -> httpx.Response | None:
        """Return the answer; None if there was nobody to answer."""
        try:
            return await self._client.request(method, path, **how)
        except httpx.TransportError:
            return None
