from typing import Any

import msgspec
import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st
from msgspec.structs import replace

from chassis.decider import step
from contracts.event import AccountId, SiteId
from contracts.reference import (
    AccessKeyForgotten,
    CustomerAccountForgotten,
    Forgotten,
    SiteForgotten,
    StationForgotten,
    Thing,
    TokenForgotten,
)
from contracts.requests import (
    Change,
    ChangeAccepted,
    Changed,
    ChangeRefused,
    Delete,
    Kind,
    PutAccessKey,
    PutAccount,
    PutSite,
    PutStation,
    PutTariff,
    PutTariffAssignment,
    PutToken,
    SetPassword,
)
from contracts.topics import of_change
from services.directory import domain
from services.directory.domain import Absent, Asked, Output, Present, Record, State
from tests.directory.changes import (
    ACME,
    CARD,
    CHARGER,
    HASH,
    KEY,
    LATER,
    NOON,
    OSLO,
    OTHER,
    UID,
    accepted,
    account,
    asked,
    assignment,
    key,
    refused,
    site,
    station,
    tariff,
    token,
)
from tests.given import given

PUTS: list[tuple[Kind, Change, Record]] = [
    ("site", PutSite(site(9)), site(1)),
    ("station", PutStation(station(9)), station(1)),
    ("token", PutToken(token(9)), token(1)),
    ("access", PutAccessKey(key(9)), key(1)),
    ("tariff", PutTariff(tariff(9)), tariff(1)),
    ("tariff_assignment", PutTariffAssignment(assignment(9)), assignment(1)),
    ("account", PutAccount(account(9)), account(1)),
]


def test_a_tariff_gets_further_versions_and_is_never_deleted() -> None:
    history = (tariff(1), accepted(1, kind="tariff"))
    dearer = given(domain, *history).when(asked(PutTariff(tariff(price="0.50")), "r2"))
    assert dearer == [tariff(2, "0.50"), accepted(2, "r2", kind="tariff", fingerprint="one")]
    gone = given(domain, *history).when(asked(Delete(), "r2", kind="tariff"))
    assert gone == [refused("not_found", "there is no tariff AC", request="r2", kind="tariff")]


def test_a_tariff_that_is_not_there_cannot_be_assigned() -> None:
    request = asked(PutTariffAssignment(assignment()))
    [answer] = given(domain).when(Asked(request.message, tariff_known=False))
    assert isinstance(answer, ChangeRefused)
    assert (answer.reason, answer.detail) == ("unknown_tariff", "there is no tariff AC")


@pytest.mark.parametrize(("kind", "change", "record"), PUTS)
def test_a_new_thing_has_version_1_whatever_the_request_says(kind: Kind, change: Change, record: Record) -> None:
    assert given(domain).when(asked(change)) == [record, accepted(1, kind=kind)]


def test_a_record_says_who_asked_for_what_and_when_whatever_the_request_holds() -> None:
    stray = site(tenant=OTHER, id=SiteId("elsewhere"))
    assert given(domain).when(asked(PutSite(stray), at=LATER)) == [site(at=LATER), accepted(1, kind="site", at=LATER)]


def test_a_change_counts() -> None:
    assert given(domain, site(3)).when(asked(PutSite(site(name="Oslo V")))) == [
        site(4, name="Oslo V"),
        accepted(4, kind="site"),
    ]


@pytest.mark.parametrize(("kind", "change", "record"), PUTS)
def test_a_put_that_changes_nothing_is_accepted_and_writes_no_record(
    kind: Kind, change: Change, record: Record
) -> None:
    assert given(domain, record).when(asked(change, at=LATER)) == [accepted(1, kind=kind, at=LATER)]


def test_a_change_of_the_expected_version_is_accepted() -> None:
    assert given(domain, station(3)).when(asked(PutStation(station(name="A")), expected_version=3)) == [
        station(4, name="A"),
        accepted(4),
    ]


def test_a_change_of_another_version_is_refused_with_the_present_one() -> None:
    assert given(domain, station(3)).when(asked(PutStation(station(name="A")), expected_version=2)) == [
        refused("version_mismatch", "station CP-1 has version 3, not 2", 3)
    ]


def test_a_put_that_changes_nothing_still_has_to_expect_the_present_version() -> None:
    assert given(domain, station(3)).when(asked(PutStation(station()), expected_version=2)) == [
        refused("version_mismatch", "station CP-1 has version 3, not 2", 3)
    ]


def test_what_must_not_exist_yet_is_refused_if_it_does() -> None:
    assert given(domain, station(3)).when(asked(PutStation(station()), expected_version=0)) == [
        refused("version_mismatch", "station CP-1 exists already", 3)
    ]


def test_what_must_not_exist_yet_is_made() -> None:
    assert given(domain).when(asked(PutStation(station()), expected_version=0)) == [station(1), accepted(1)]


def test_what_should_exist_but_does_not_is_refused() -> None:
    assert given(domain).when(asked(PutStation(station()), expected_version=2)) == [
        refused("version_mismatch", "there is no station CP-1")
    ]


# ---- deleting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "record", "forgotten"),
    [
        ("site", site(3), SiteForgotten(at=NOON, tenant=ACME, id=OSLO)),
        ("station", station(3), StationForgotten(at=NOON, tenant=ACME, id=CHARGER)),
        ("token", token(3), TokenForgotten(at=NOON, tenant=ACME, id=CARD)),
        ("access", key(3), AccessKeyForgotten(at=NOON, tenant=ACME, id=KEY)),
        ("account", account(3), CustomerAccountForgotten(at=NOON, tenant=ACME, id=account().id)),
    ],
)
def test_a_deletion_is_a_version_of_its_own(kind: Kind, record: Record, forgotten: Forgotten) -> None:
    assert given(domain, record).when(asked(Delete(), kind=kind)) == [forgotten, accepted(4, kind=kind)]


def test_what_comes_back_after_its_deletion_has_a_newer_version() -> None:
    history = station(3), StationForgotten(at=NOON, tenant=ACME, id=CHARGER), accepted(4, "r0")
    assert given(domain, *history).when(asked(PutStation(station()), expected_version=0)) == [station(5), accepted(5)]


def test_what_is_not_there_cannot_be_deleted() -> None:
    assert given(domain).when(asked(Delete(), kind="site")) == [
        refused("not_found", "there is no site oslo", kind="site")
    ]


def test_a_deletion_of_another_version_is_refused() -> None:
    assert given(domain, station(3)).when(asked(Delete(), expected_version=2)) == [
        refused("version_mismatch", "station CP-1 has version 3, not 2", 3)
    ]


# ---- stations ------------------------------------------------------------------------------------------------------


def test_a_station_keeps_its_password_when_it_is_changed() -> None:
    history = [station(2, password_hash=HASH)]
    assert given(domain, *history).when(asked(PutStation(station(name="A", password_hash="another")))) == [
        station(3, name="A", password_hash=HASH),
        accepted(3),
    ]


def test_a_password_changes_nothing_else() -> None:
    assert given(domain, station(2, name="A", site=OSLO)).when(asked(SetPassword(HASH))) == [
        station(3, name="A", site=OSLO, password_hash=HASH),
        accepted(3),
    ]


def test_an_unknown_station_gets_no_password() -> None:
    assert given(domain).when(asked(SetPassword(HASH))) == [refused("not_found", "there is no station CP-1")]


def test_a_password_is_for_stations_only() -> None:
    assert given(domain, site()).when(asked(SetPassword(HASH), kind="site")) == [
        refused("not_found", "there is no site oslo", kind="site")
    ]


def test_a_station_cannot_be_put_on_an_unknown_site() -> None:
    assert given(domain, station()).when(asked(PutStation(station(site=OSLO)), site_known=False)) == [
        refused("unknown_site", "there is no site oslo")
    ]


def test_a_new_station_cannot_be_put_on_an_unknown_site() -> None:
    assert given(domain).when(asked(PutStation(station(site=OSLO)), site_known=False)) == [
        refused("unknown_site", "there is no site oslo")
    ]


def test_a_station_may_stay_on_a_site_that_has_been_deleted() -> None:
    assert given(domain, station(site=OSLO)).when(
        asked(PutStation(station(site=OSLO, name="A")), site_known=False)
    ) == [
        station(2, site=OSLO, name="A"),
        accepted(2),
    ]


def test_an_identity_that_another_tenant_has_is_taken() -> None:
    assert given(domain, station(3, tenant=OTHER)).when(asked(PutStation(station()))) == [
        refused("identity_taken", "another tenant has a station CP-1")
    ]


@pytest.mark.parametrize("change", [Delete(), SetPassword(HASH)])
def test_to_a_tenant_what_another_has_is_not_there(change: Change) -> None:
    assert given(domain, station(3, tenant=OTHER)).when(asked(change)) == [
        refused("not_found", "there is no station CP-1")
    ]


def test_an_identity_is_free_again_when_its_tenant_has_given_it_up() -> None:
    history = station(3, tenant=OTHER), StationForgotten(at=NOON, tenant=OTHER, id=CHARGER)
    assert given(domain, *history).when(asked(PutStation(station()))) == [station(5), accepted(5)]


# ---- tokens --------------------------------------------------------------------------------------------------------


def test_a_token_keeps_its_uid_when_only_its_id_is_named() -> None:
    history = [token(uid=UID, masked_uid="04…A2")]
    assert given(domain, *history).when(asked(PutToken(token(status="blocked")))) == [
        token(2, uid=UID, masked_uid="04…A2", status="blocked"),
        accepted(2, kind="token"),
    ]


def test_a_token_that_is_known_by_its_id_alone_gets_its_uid() -> None:
    assert given(domain, token()).when(asked(PutToken(token(uid=UID, masked_uid="04…A2")))) == [
        token(2, uid=UID, masked_uid="04…A2"),
        accepted(2, kind="token"),
    ]


# ---- repetitions ---------------------------------------------------------------------------------------------------


def test_a_request_that_is_heard_again_gets_its_outcome_again_and_nothing_else() -> None:
    history = station(2), accepted(2), station(3, name="since"), accepted(3, "r2")
    repeated = asked(PutStation(station()), at=LATER, expected_version=1)
    assert given(domain, *history).when(repeated) == [accepted(2)]


def test_a_refusal_is_said_again_even_if_the_request_were_acceptable_now() -> None:
    refusal = refused("not_found", "there is no station CP-1")
    assert given(domain, refusal, station(), accepted(1, "r2")).when(asked(Delete(), at=LATER)) == [refusal]


def test_another_request_under_the_same_key_is_refused() -> None:
    assert given(domain, station(), accepted(1)).when(asked(Delete(), fingerprint="two")) == [
        refused("idempotency_key_reused", "another request has been made under this key", fingerprint="two")
    ]


def test_a_refused_reuse_of_a_key_does_not_replace_what_came_of_the_first_request() -> None:
    reuse = refused("idempotency_key_reused", "another request has been made under this key", fingerprint="two")
    assert given(domain, station(), accepted(1), reuse).when(asked(PutStation(station()))) == [accepted(1)]


def test_tenants_may_use_the_same_key() -> None:
    assert given(domain, station(), accepted(1)).when(asked(PutStation(station()), tenant=OTHER)) == [
        refused("identity_taken", "another tenant has a station CP-1", tenant=OTHER)
    ]


def test_the_newest_64_requests_are_remembered() -> None:
    history: list[Output] = [station(1)]
    for version in range(2, 67):
        history += [station(version, name=str(version)), accepted(version, f"r{version}")]
    again = PutStation(station(name="again"))
    assert given(domain, *history).when(asked(again, "r3")) == [accepted(3, "r3")]
    assert given(domain, *history).when(asked(again, "r2")) == [station(67, name="again"), accepted(67, "r2")]


# ---- whatever is asked ---------------------------------------------------------------------------------------------

station_changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(
        lambda name, site: PutStation(station(name=name, site=site)),
        st.sampled_from("AB"),
        st.sampled_from([None, OSLO]),
    ),
    st.builds(SetPassword, st.sampled_from([HASH, "another"])),
    st.just(Delete()),
)
requests = st.builds(
    asked,
    station_changes,
    st.sampled_from(["r1", "r2", "r3", "r4", "r5", "r6"]),
    tenant=st.sampled_from([ACME, OTHER]),
    fingerprint=st.sampled_from(["one", "two"]),
    site_known=st.booleans(),
    expected_version=st.sampled_from([None, None, None, 0, 1, 2]),
)
histories = st.lists(requests, max_size=30)


def all_heard(history: list[Asked], state: State = domain.initial) -> tuple[State, list[list[Output]]]:
    outputs = []
    for request in history:
        state, events = step(domain, state, request)
        outputs.append(list(events))
    return state, outputs


@given_any(histories)
def test_hearing_everything_twice_changes_nothing(history: list[Asked]) -> None:
    state, first = all_heard(history)
    again, second = all_heard(history, state)
    assert again == state
    assert second == [events[-1:] for events in first]


@given_any(histories)
def test_versions_never_fall_nor_repeat(history: list[Asked]) -> None:
    _, outputs = all_heard(history)
    versions = [event.version for events in outputs for event in events if isinstance(event, Thing)]
    assert versions == sorted(set(versions))


@given_any(histories)
def test_every_request_has_one_answer_and_it_comes_last(history: list[Asked]) -> None:
    _, outputs = all_heard(history)
    for request, events in zip(history, outputs, strict=True):
        asked_for, answer = request.message.event, events[-1]
        assert isinstance(answer, Changed)
        assert [event for event in events if isinstance(event, Changed)] == [answer]
        assert (answer.tenant, answer.request) == (asked_for.tenant, asked_for.request)
        assert of_change(answer) == of_change(asked_for)


@given_any(histories)
def test_what_the_log_keeps_folds_to_the_same_state(history: list[Asked]) -> None:
    """Compaction keeps each key's newest record, and none of a key that is deleted."""
    state, outputs = all_heard(history)
    kept: dict[Any, tuple[int, Output]] = {}
    for number, event in enumerate(event for events in outputs for event in events):
        match event:
            case Forgotten():
                kept.pop(event.tenant, None)
            case Thing():
                kept[event.tenant] = number, event
            case _:
                kept[number] = number, event
    folded: State = domain.initial
    for _, event in sorted(kept.values(), key=lambda numbered: numbered[0]):
        folded = domain.evolve(folded, event)
    assert folded == state


@given_any(histories)
def test_a_state_survives_its_record(history: list[Asked]) -> None:
    state, _ = all_heard(history)
    assert msgspec.json.decode(msgspec.json.encode(state), type=domain.State) == state


def test_a_state_fits_its_record() -> None:
    state: State = Present(station(tags=("t" * 40,) * 50, password_hash=HASH))
    for number in range(100):
        answer = accepted(number, f"{number:064}", tenant="t" * 60, id="s" * 60, fingerprint="f" * 64)
        state = domain.evolve(state, station(number, tags=("t" * 40,) * 50))
        state = domain.evolve(state, answer)
    assert isinstance(state, Present)
    assert len(state.outcomes) == domain.REMEMBERED
    assert len(msgspec.json.encode(state)) < 64 * 1024


def test_a_newer_version_without_its_record_means_that_the_thing_is_gone() -> None:
    gone: ChangeAccepted = accepted(4)
    assert domain.evolve(Present(station(3)), gone) == Absent(4, (gone,))


# ---- accounts ------------------------------------------------------------------------------------------------------


def test_an_account_is_kept_with_its_version() -> None:
    wish = replace(account(), version=0, name="Fleet Ltd")
    assert given(domain).when(asked(PutAccount(wish))) == [account(1, name="Fleet Ltd"), accepted(1, kind="account")]


def test_a_token_cannot_be_paid_for_by_an_account_that_is_not_there() -> None:
    wish = PutToken(token(account=AccountId("fleet")))
    assert given(domain).when(asked(wish, account_known=False)) == [
        refused("unknown_account", "there is no account fleet", kind="token")
    ]
    assert given(domain).when(asked(wish)) == [token(1, account=AccountId("fleet")), accepted(1, kind="token")]


def test_a_token_may_stay_on_an_account_that_has_been_deleted() -> None:
    before, wish = token(1, account=AccountId("fleet")), token(account=AccountId("fleet"), label="van 12")
    assert given(domain, before).when(asked(PutToken(wish), account_known=False)) == [
        replace(wish, version=2),
        accepted(2, kind="token"),
    ]
