"""What a process says of itself: told by processes of their own, since there is one logging per process."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

SECRET = "0123456789abcdef-the-deployments-secret"


def says(code: str, *, style: str = "json", level: str = "info") -> str:
    """Return what a process writes whose logs are set up so and that runs `code`."""
    begin = f"from chassis import logs\nfrom chassis.logs import log\nlogs.setup('views', style={style!r}, level={level!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", begin + code], capture_output=True, text=True, timeout=60, check=True, env=os.environ
    )
    assert done.stderr == ""
    return done.stdout


def lines(code: str, **how: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in says(code, **how).splitlines()]


def test_a_line_is_one_json_object() -> None:
    (line,) = lines("log.info('ready', port=9000, station='A\\nB')")
    assert line.pop("ts").endswith("Z")
    assert line == {"service": "views", "event": "ready", "level": "info", "port": 9000, "station": "A\nB"}


def test_the_lines_of_libraries_come_out_the_same_way() -> None:
    (line,) = lines("import logging\nlogging.getLogger('uvicorn.error').warning('odd %s', 'thing')")
    assert (line["event"], line["level"], line["service"]) == ("odd thing", "warning", "views")
    assert "ts" in line


def test_retries_of_aiokafka_are_silent() -> None:
    assert lines("import logging\nlogging.getLogger('aiokafka.producer.sender').error('retrying')") == []


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_nothing_below_the_level_is_said(level: str, count: int) -> None:
    code = "log.debug('x')\nlog.info('x')\nlog.warning('x')\nlog.error('x')"
    assert len(lines(code, level=level)) == count


FAILS = f"""
def open_database(password):
    raise ZeroDivisionError('it is broken')
try:
    open_database({SECRET!r})
except ZeroDivisionError as error:
    log.error('failed', exc_info=error)
"""


def test_a_traceback_is_part_of_its_json_line() -> None:
    (line,) = lines(FAILS)
    assert "ZeroDivisionError: it is broken" in line["exception"]


def test_a_traceback_as_text_shows_no_local_variables() -> None:
    text = says(FAILS, style="text")
    assert "ZeroDivisionError: it is broken" in text
    assert SECRET not in text


def test_what_json_does_not_know_is_written_as_python_would() -> None:
    (line,) = lines("from chassis.settings import Settings\nlog.info('x', settings=Settings(), raw=b'\\xff', who={1})")
    assert line["raw"] == "b'\\xff'"
    assert "SecretStr" in line["settings"]


def test_without_a_terminal_auto_is_json() -> None:
    assert json.loads(says("log.info('x')", style="auto"))["event"] == "x"
