"""Every fixture of tests/quirks through the rules: from bytes to the report and the answer."""

from typing import Any

import msgspec
import pytest

from contracts.gateways import AuthorizeAnswered, StartAnswered, StopAnswered
from contracts.stations import CallFailed, CallRefused, FrameUnread, Report, StationBooted
from services.gateway import v16
from services.gateway.protocol import Answered, Broken, Call, Connection, Refused, Repeated, Unread
from tests.gateway.lines import NOON, SECRETS, line
from tests.quirks.replay import Case, Exchange, cases, check_answer, check_report, decision, stop_asked


class Replay:
    """A connection without its socket and its log."""

    def __init__(self, case: Case) -> None:
        self.line = line(*case.record().pop("evses"), habits=case.record()["habits"])
        self.connection = Connection()
        self.connection.is_lenient = self.line.quirks.lenient_correlation
        self.id = ""
        if case.asked:
            ask = v16.ask(self.line, stop_asked(**self.common()), SECRETS.open)
            self.id = ask.id
            self.connection.ask(ask)
            self.connection.next_ask(NOON)

    def common(self) -> dict[str, Any]:
        names = ("tenant", "station", "gateway", "reply_to", "epoch")
        return {"at": NOON} | {name: getattr(self.line, name) for name in names}

    def heard(self, exchange: Exchange) -> tuple[Report | None, bytes | None]:
        """Return what a frame is reported as, and its answer."""
        match self.connection.receive(exchange.data(self.id)):
            case Call() as call:
                return self._called(call)
            case Broken() as broken:
                refused = v16.refused(self.line, broken, NOON)
                return refused, self.connection.refuse(broken.call, broken.code, broken.description)
            case Repeated(answer):
                return None, answer
            case Answered() as answered:
                return v16.outcome(self.line, answered, NOON), None
            case Refused() as refused:
                return CallFailed(
                    **self.common(),
                    command=refused.ask.command,
                    reason="CallError",
                    code=refused.code,
                    description=refused.description,
                    violations=refused.violations,
                ), None
            case Unread(frame, reason, violations):
                return FrameUnread(**self.common(), frame=frame, reason=reason, violations=violations), None
            case None:
                return None, None

    def _called(self, call: Call) -> tuple[Report, bytes]:
        report = v16.report(self.line, call, NOON)
        if isinstance(report, CallRefused):
            return report, self.connection.refuse(call, report.code, report.description)
        if isinstance(report, StationBooted):
            self.line = v16.knowing(self.line, self.line.record, v16.hardware_of(report))
            self.connection.is_lenient = self.line.quirks.lenient_correlation
        payload = v16.answer(call.action, report, NOON)
        if payload is None:
            decided = decision(report)
            assert isinstance(decided, AuthorizeAnswered | StartAnswered | StopAnswered)
            payload = v16.decided(decided)
        return report, self.connection.answer(call, v16.told(self.line, payload))


@pytest.mark.covers("C-075")
@pytest.mark.parametrize("case", list(cases()))
def test_every_quirk_is_answered_reported_and_counted(case: Case) -> None:
    replay = Replay(case)
    for exchange in case.exchanges:
        report, answer = replay.heard(exchange)
        check_report(report, exchange)
        check_answer(answer, exchange, report)
        assert report is None or msgspec.json.encode(report), "it can be written down"
