from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from contracts.authorizations import TokenInfo
from contracts.event import AccountId
from contracts.reference import Token
from contracts.sessions import ChargingBegan
from services.authorization.verdict import Verdict, WithToken, judge
from tests.authorization.reports import (
    DAY,
    FLEET,
    HERE,
    HOUR,
    NOON,
    SECOND,
    account,
    asked,
    charging,
    ended,
    presented,
    standing,
    started,
    token,
)

REPORTS: list[WithToken] = [presented(), started(), ended()]
ACTIVE = Verdict(TokenInfo("Accepted"), "it is active", 3)
BUSY = Verdict(TokenInfo("ConcurrentTx"), "it is charging at station CP-2, evse 1", 3)
EXPIRED = Verdict(TokenInfo("Expired"), "it was valid until 2026-01-01T11:00:00Z", 3)
NOT_YET = Verdict(TokenInfo("Invalid"), "it is valid from 2026-01-01T13:00:00Z only", 3)


def of_start(known: Token, *elsewhere: ChargingBegan, at: datetime = NOON, recorded_at: datetime = NOON) -> Verdict:
    return judge(asked(started(at=at), known, *elsewhere, recorded_at=recorded_at))


@pytest.mark.parametrize("report", REPORTS)
def test_a_token_that_nobody_has_registered_is_invalid(report: WithToken) -> None:
    assert judge(asked(report)) == Verdict(TokenInfo("Invalid"), "nobody has registered it")


@pytest.mark.parametrize("report", REPORTS)
def test_an_active_token_is_accepted_for_as_long_as_it_likes(report: WithToken) -> None:
    assert judge(asked(report, token())) == ACTIVE


@pytest.mark.parametrize("report", REPORTS)
def test_a_blocked_token_is_blocked(report: WithToken) -> None:
    assert judge(asked(report, token(status="blocked"))) == Verdict(TokenInfo("Blocked"), "it is blocked", 3)


@pytest.mark.parametrize("report", REPORTS)
def test_a_token_is_expired_from_its_last_moment_on(report: WithToken) -> None:
    assert judge(asked(report, token(valid_until=NOON - HOUR))) == EXPIRED
    assert judge(asked(report, token(valid_until=NOON))).info.status == "Expired"


@pytest.mark.parametrize("report", REPORTS)
def test_a_token_is_invalid_before_its_first_moment(report: WithToken) -> None:
    assert judge(asked(report, token(valid_from=NOON + HOUR))) == NOT_YET
    assert judge(asked(report, token(valid_from=NOON))) == ACTIVE


def test_a_blocked_token_is_blocked_even_after_its_end() -> None:
    assert judge(asked(presented(), token(status="blocked", valid_until=NOON - DAY))).info.status == "Blocked"


def test_a_station_hears_until_when_a_token_is_valid_and_its_group() -> None:
    known = token(valid_from=NOON - HOUR, valid_until=NOON + SECOND, group="FLEET")
    expected = TokenInfo("Accepted", NOON + SECOND, "FLEET")
    assert judge(asked(presented(), known)).info == expected


def test_a_refusal_says_neither_group_nor_end() -> None:
    known = token(status="blocked", valid_until=NOON + DAY, group="FLEET")
    assert judge(asked(presented(), known)).info == TokenInfo("Blocked")


# ---- whose clock ---------------------------------------------------------------------------------------------------


def test_a_start_is_judged_by_when_it_happened_not_by_when_we_hear_of_it() -> None:
    known = token(valid_until=NOON - HOUR)
    assert of_start(known, at=NOON - 2 * HOUR).info == TokenInfo("Accepted", NOON - HOUR)


@pytest.mark.parametrize("insane", [datetime(1970, 1, 1, tzinfo=UTC), datetime(2014, 12, 31, 23, tzinfo=UTC)])
def test_a_clock_that_was_never_set_does_not_save_an_expired_token(insane: datetime) -> None:
    assert of_start(token(valid_until=NOON - HOUR), at=insane) == EXPIRED


def test_a_clock_that_is_more_than_a_day_ahead_does_not_make_a_token_valid() -> None:
    known = token(valid_from=NOON + HOUR)
    assert of_start(known, at=NOON + DAY + SECOND) == NOT_YET
    assert of_start(known, at=NOON + DAY) == ACTIVE


# ---- charging elsewhere --------------------------------------------------------------------------------------------


def test_a_token_cannot_start_while_it_charges_at_another_station() -> None:
    assert of_start(token(), charging()) == BUSY


def test_a_token_cannot_start_while_it_charges_at_another_evse_of_the_station() -> None:
    assert of_start(token(), charging(station=HERE, evse=2)) == Verdict(
        TokenInfo("ConcurrentTx"), "it is charging at station CP-1, evse 2", 3
    )


def test_a_session_at_the_same_evse_is_its_own_or_over() -> None:
    assert of_start(token(), charging(station=HERE, evse=1)) == ACTIVE


def test_its_own_session_hides_no_other() -> None:
    assert of_start(token(), charging(station=HERE, evse=1), charging()) == BUSY


def test_a_concurrent_token_may_charge_at_several_places() -> None:
    assert of_start(token(concurrent=True), charging()) == Verdict(
        TokenInfo("Accepted"), "it is active, and may charge at several places at once", 3
    )


@pytest.mark.parametrize("report", [presented(), ended()])
def test_only_a_start_asks_whether_a_token_charges_elsewhere(report: WithToken) -> None:
    assert judge(asked(report, token(), charging())) == ACTIVE


def test_an_expired_token_is_expired_wherever_it_charges() -> None:
    assert of_start(token(valid_until=NOON - HOUR), charging()) == EXPIRED


def test_a_start_that_was_kept_offline_is_no_rival_of_a_session_that_began_later() -> None:
    then = NOON - 121 * SECOND
    assert of_start(token(), charging(started_at=then + SECOND), at=then) == ACTIVE


def test_a_start_that_was_kept_offline_is_a_rival_of_a_session_that_had_begun() -> None:
    then = NOON - 121 * SECOND
    assert of_start(token(), charging(started_at=then), at=then) == BUSY


def test_a_start_that_is_a_little_late_is_a_rival_of_every_session() -> None:
    then = NOON - 120 * SECOND
    assert of_start(token(), charging(started_at=then + SECOND), at=then) == BUSY


def test_a_clock_that_was_never_set_makes_no_start_an_offline_one() -> None:
    assert of_start(token(), charging(), at=datetime(2000, 1, 1, tzinfo=UTC)) == BUSY


# ---- who pays ------------------------------------------------------------------------------------------------------

PAID = token(account=FLEET)
AD_HOC = token(account=AccountId("adhoc-p1"))
STARTS: list[WithToken] = [presented(), started()]


def no_credit(why: str) -> Verdict:
    return Verdict(TokenInfo("Blocked"), f"no_credit: {why}", 3)


@pytest.mark.parametrize("report", STARTS)
def test_who_pays_by_the_month_may_charge_unless_the_contrary_is_said(report: WithToken) -> None:
    assert judge(asked(report, PAID, customer=account())) == ACTIVE
    assert judge(asked(report, PAID, customer=account(), standing=standing(may_charge=True))) == ACTIVE
    owes = standing(may_charge=False, why="owes")
    assert judge(asked(report, PAID, customer=account(), standing=owes)) == no_credit("account fleet: owes")


@pytest.mark.parametrize("report", STARTS)
def test_a_prepaid_account_needs_it_said_that_it_has_money(report: WithToken) -> None:
    prepaid = account(kind="prepaid")
    assert judge(asked(report, PAID, customer=prepaid)) == no_credit("account fleet: no_money")
    assert judge(asked(report, PAID, customer=prepaid, standing=standing(may_charge=True))) == ACTIVE


@pytest.mark.parametrize("report", STARTS)
def test_an_ad_hoc_token_charges_once_its_hold_is_there(report: WithToken) -> None:
    assert judge(asked(report, AD_HOC)) == no_credit("account adhoc-p1: no_hold")
    assert judge(asked(report, AD_HOC, standing=standing(may_charge=True, account=AD_HOC.account))) == ACTIVE


@pytest.mark.parametrize("report", STARTS)
def test_nobody_charges_on_an_account_that_is_closed_or_gone(report: WithToken) -> None:
    may = standing(may_charge=True)
    closed = account(closed=True)
    assert judge(asked(report, PAID, customer=closed, standing=may)) == no_credit("account fleet: closed")
    assert judge(asked(report, PAID, standing=may)) == no_credit("there is no account fleet")


def test_no_stop_is_refused_for_money() -> None:
    assert judge(asked(ended(), PAID, customer=account(closed=True))) == ACTIVE


def test_money_does_not_open_what_is_blocked() -> None:
    blocked = token(status="blocked", account=FLEET)
    assert judge(asked(started(), blocked, customer=account())).reason == "it is blocked"


# ---- without a tariff ------------------------------------------------------------------------------------------------


def test_a_start_that_no_tariff_fits_is_blocked_where_the_site_refuses_those() -> None:
    verdict = judge(replace(asked(started(), token()), unpriced=True))
    assert verdict.info == TokenInfo("Blocked")
    assert verdict.reason.startswith("no_tariff")


def test_what_is_wrong_with_the_token_is_said_first() -> None:
    assert judge(replace(asked(started(), token(status="blocked")), unpriced=True)).reason == "it is blocked"
