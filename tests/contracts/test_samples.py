"""Whatever was once written can be read for ever."""

from pathlib import Path

import msgspec
import pytest
from msgspec import inspect

from contracts import generate
from tests.samples import SAMPLES, example, newest, shapes

ALL = sorted(SAMPLES.glob("*.json"))
SHAPES = shapes()


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_every_sample_ever_made_is_readable(path: Path) -> None:
    name = path.name.rsplit(".", 2)[0]
    assert name in SHAPES, f"nothing is called {name} any more, but records of it exist: keep an upcast"
    msgspec.json.decode(path.read_bytes(), type=SHAPES[name])


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_every_shape_has_a_sample_with_all_its_fields(name: str) -> None:
    path = newest(name)
    assert path is not None, "make contracts"
    assert msgspec.json.decode(path.read_bytes()) == example(inspect.type_info(SHAPES[name])), "make contracts"


def test_the_schemas_are_those_of_the_code() -> None:
    written = {path.name: path.read_text() for path in generate.SCHEMA.glob("*.json") if path.name != "openapi.json"}
    assert written == generate.documents(), "make contracts"
    assert generate.EVENTS.read_text() == generate.catalogue(), "make contracts"


@pytest.mark.parametrize("event", generate.events(), ids=lambda event: event.__name__)
def test_a_sample_satisfies_its_schema(event: type[msgspec.Struct]) -> None:
    from jsonschema import Draft202012Validator

    schema = generate.schema_of(event)  # type: ignore[arg-type]
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(example(inspect.type_info(event)))
