import re

from httpx import AsyncClient

from services.api.app import describe


async def test_the_description_for_people_shows_every_operation_and_loads_nothing(admin: AsyncClient) -> None:
    answer = await admin.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    for path, operations in describe().openapi()["paths"].items():
        for operation in operations.values():
            assert f'id="{operation["operationId"]}"' in answer.text
            assert f"<code>{path}</code>" in answer.text
    assert re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')>]+)", answer.text) == ["/openapi.json"]
    assert "<script" not in answer.text
