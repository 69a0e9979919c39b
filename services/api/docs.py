"""The description for people, as one page that needs nothing from elsewhere: no script, no font, no network."""

from collections.abc import Iterator
from html import escape
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2630 }
code, pre { font: 14px/1.4 ui-monospace, monospace; background: #f2f5f7; border-radius: 4px; padding: .1em .3em }
pre { padding: .8em; overflow-x: auto } table { border-collapse: collapse; margin: .5rem 0 }
td { border-top: 1px solid #d5dde3; padding: .2rem .8rem .2rem 0; vertical-align: top }
summary { cursor: pointer; padding: .3rem 0 } .method { display: inline-block; min-width: 4.5rem; font-weight: 600 }
"""


def page(described: dict[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    info = described["info"]
    parts = [f"<h1>{escape(info['title'])}</h1>{_prose(info['description'])}"]
    parts.append('<p>For programs: <a href="/openapi.json">openapi.json</a>, OpenAPI 3.1.</p>')
    for tag in described["tags"]:
        parts.append(f"<h2>{escape(tag['name'])}</h2><p>{escape(tag['description'])}</p>")
        parts += _operations(described, tag["name"])
    head = f'<meta charset="utf-8"><title>{escape(info["title"])}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>'


def _prose(text: str) -> str:
    return "".join(f"<p>{escape(part)}</p>" for part in text.strip().split("\n\n"))


def _operations(described: dict[str, Any], tag: str) -> Iterator[str]:
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            if tag in operation["tags"]:
                yield _operation(method.upper(), path, operation)


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    title = f'<span class="method">{method}</span><code>{escape(path)}</code>'
    parts = [_prose(operation.get("description", ""))]
    if parameters := operation.get("parameters"):
        parts.append(_table((f"<code>{escape(p['name'])}</code>", p["in"], escape(_about(p))) for p in parameters))
    if body := operation.get("requestBody"):
        parts.append(f"<p>Body: {', '.join(map(_schema, _contents(body)))}</p>")
    answers = operation["responses"].items()
    parts.append(_table((f"<code>{s}</code>", escape(a["description"]), _schemas(a)) for s, a in answers))
    return f'<details id="{operation["operationId"]}"><summary>{title}</summary>{"".join(parts)}</details>'


def _about(parameter: dict[str, Any]) -> str:
    return str(parameter.get("description") or ("needed" if parameter.get("required") else ""))


def _contents(said: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(kind, content.get("schema", {})) for kind, content in said.get("content", {}).items()]


def _schemas(said: dict[str, Any]) -> str:
    return ", ".join(map(_schema, _contents(said)))


def _schema(content: tuple[str, dict[str, Any]]) -> str:
    kind, schema = content
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return f"<code>{escape(kind)}</code> {escape(name)}"


def _table(rows: Any) -> str:
    return f"<table>{''.join('<tr>' + ''.join(f'<td>{cell}</td>' for cell in row) + '</tr>' for row in rows)}</table>"
