"""`make contracts`: what other people's programs read - a JSON Schema per event, and an AsyncAPI 3 document of all topics."""

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from contracts.event import Event
from contracts.topics import CATALOGUE, NULLS, Topic

SCHEMA = Path(__file__).parent / "schema"
HEADERS = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "ce_recordedtime"],
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {
            "type": "string",
            "description": "The same for every repetition of the same event: deduplicate by it.",
        },
        "ce_type": {"type": "string", "description": "`voltstream.` and the event's name."},
        "ce_source": {"type": "string", "description": "The service that wrote it."},
        "ce_subject": {"type": "string", "description": "The record's key."},
        "ce_time": {
            "type": "string",
            "format": "date-time",
            "description": "When it happened, by the station's clock.",
        },
        "ce_recordedtime": {"type": "string", "format": "date-time", "description": "When it was written."},
        "ce_sequence": {"type": "string", "description": "A decider's count of its outputs of this partition number."},
        "content-type": {"type": "string", "const": "application/json"},
        "traceparent": {"type": "string", "description": "W3C Trace Context."},
    },
}


def events() -> list[type[Event]]:
    """Return every event class of the catalogue, by name, but those that are a null on the wire."""
    found = {cls.__name__: cls for topic in CATALOGUE for cls in topic.classes if cls not in NULLS}
    return [found[name] for name in sorted(found)]


def schema_of(event: type[Event]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one event. Readers must ignore fields that they do not know."""
    schema = msgspec.json.schema(event)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": event.__name__, **schema}


def channel_of(topic: Topic[Any]) -> dict[str, Any]:
    keeping: dict[str, Any] = {"cleanup.policy": ["compact" if topic.compacted else "delete"]}
    if not topic.compacted:
        keeping["retention.ms"] = topic.kept_days * 86_400_000 if topic.kept_days else -1
    return {
        "address": f"voltstream.{topic.name}",
        "messages": {cls.__name__: {"$ref": f"#/components/messages/{cls.__name__}"} for cls in topic.classes},
        "bindings": {"kafka": {"topicConfiguration": keeping, "bindingVersion": "0.5.0"}},
    }


def message_of(event: type[Event]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "name": f"voltstream.{event.__name__}",
        "title": event.__name__,
        "summary": (event.__doc__ or "").strip().splitlines()[0],
        "contentType": "application/json",
        "headers": HEADERS,
    }
    return said if event in NULLS else {**said, "payload": {"$ref": f"./{event.__name__}.json"}}


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document."""
    classes = {cls.__name__: cls for topic in CATALOGUE for cls in topic.classes}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Voltstream's events",
            "version": "1.0.0",
            "description": "CloudEvents 1.0 in Kafka's binary mode. Keys are partitioned by murmur2, as Java does; what one "
            "station did is in order. A null value is a deletion.",
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: channel_of(topic) for topic in CATALOGUE},
        "operations": {
            f"read.{topic.name}": {"action": "receive", "channel": {"$ref": f"#/channels/{topic.name}"}}
            for topic in CATALOGUE
        },
        "components": {"messages": {name: message_of(classes[name]) for name in sorted(classes)}},
    }


def documents() -> dict[str, str]:
    """Return every file of contracts/schema and its text."""
    files = {f"{event.__name__}.json": schema_of(event) for event in events()} | {"asyncapi.json": asyncapi()}
    return {
        name: json.dumps(content, indent=2, ensure_ascii=False, sort_keys=False) + "\n"
        for name, content in files.items()
    }


def main() -> int:
    SCHEMA.mkdir(exist_ok=True)
    wanted = documents()
    for stale in {path.name for path in SCHEMA.glob("*.json")} - set(wanted) - {"openapi.json"}:
        (SCHEMA / stale).unlink()
    for name, text in wanted.items():
        (SCHEMA / name).write_text(text)
    print(f"{len(wanted)} files in {SCHEMA.name}/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
