from typing import Annotated, Literal

import pytest
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from httpx import ASGITransport, AsyncClient

from services.api.direct import Direct

Words = Annotated[list[Literal["a", "b"]] | None, Query()]


async def caller(request: Request) -> str:
    return request.headers.get("who", "nobody")


async def of_a_header(who: str) -> str:
    return who


async def answer(
    id: int,
    request: Request,
    response: Response,
    who: Annotated[str, Depends(caller)],
    word: Words = None,
    limit: int = 7,
) -> Response:
    response.headers["Path"] = request.url.path
    return Response(repr((id, who, word, limit)), headers=dict(response.headers))


def served(route_class: type | None = None) -> FastAPI:
    router = APIRouter(route_class=route_class) if route_class else APIRouter()
    router.get("/{id}")(answer)
    app = FastAPI()
    app.include_router(router)
    return app


@pytest.mark.parametrize(
    "path",
    [
        "/1",
        "/1?",
        "/1?limit=3",
        "/1?limit=3&limit=4",
        "/1?word=a",
        "/1?word=a&word=b&limit=2",
        "/1?limit=",
        "/1?limit=x",
        "/1?word=c",
        "/1?what=ever",
        "/x",
    ],
)
async def test_a_direct_route_answers_as_any_other(path: str) -> None:
    answers = []
    for app in (served(), served(Direct)):
        async with AsyncClient(transport=ASGITransport(app), base_url="http://x", headers={"who": "me"}) as client:
            answered = await client.get(path)
            answers.append((answered.status_code, answered.text, answered.headers))
    assert answers[0] == answers[1]


def test_a_direct_route_is_described_as_any_other() -> None:
    assert served(Direct).openapi() == served().openapi()


def test_what_wants_more_than_the_request_is_refused_when_the_route_is_made() -> None:
    async def wrong(who: Annotated[str, Depends(of_a_header)]) -> Response:
        return Response(who)

    with pytest.raises(TypeError, match="more than the request"):
        APIRouter(route_class=Direct).get("/")(wrong)
