"""The OpenAPI document, as it is committed: contracts/schema/openapi.json."""

import json
from pathlib import Path

from services.api.app import describe

FILE = Path(__file__).parents[2] / "contracts" / "schema" / "openapi.json"


def document() -> str:
    """Return the text of the document."""
    return json.dumps(describe().openapi(), indent=2, ensure_ascii=False) + "\n"


def write() -> None:
    """Write the document where it is kept."""
    FILE.write_text(document(), "utf-8")
    print(f"{FILE.name} in {FILE.parent.name}/")
