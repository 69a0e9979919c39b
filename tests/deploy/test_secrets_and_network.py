import hashlib
import re
from base64 import b64decode

import pytest

from tests.deploy.rendered import (
    K8S,
    OVERLAYS,
    ROOT,
    container,
    containers,
    kustomize,
    of_kind,
    pod_labels,
    rendered,
    secret_keys,
    selects,
    services,
    workloads,
)

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


USES = {
    "sql": r"\bchassis(\.| import .*\b)sql\b",
    "clickhouse": r"\bchassis(\.| import .*\b)clickhouse\b",
    "secret": r"\bchassis\.secrets import .*\bSecrets\b",
    "admin_digest": r"\badmin_digest\b",
    "stripe_key": r"\bsettings\.stripe_key\b",
    "stripe_webhook_secrets": r"\bsettings\.stripe_webhook_secrets\b",
}
"""What a program's source looks like that needs a value of the secret."""


def given(overlay: str, key: str) -> set[str]:
    """The services whose pods know a value of the secret."""
    return {name for name, one in services(overlay).items() if key in secret_keys(container(one)).values()}


def needs(program: str, key: str) -> bool:
    sources = [path.read_text() for path in (ROOT / "services" / program).rglob("*.py")]
    return any(re.search(USES[key], text) for text in sources)


@each_overlay
def test_a_value_of_the_secret_becomes_the_setting_of_its_name(overlay: str) -> None:
    for workload in workloads(overlay).values():
        for one in containers(workload):
            assert all(name == f"VOLTSTREAM_{key.upper()}" for name, key in secret_keys(one).items())


@each_overlay
@pytest.mark.parametrize("key", USES)
def test_a_service_is_given_the_secrets_that_its_program_needs_and_no_other(overlay: str, key: str) -> None:
    assert given(overlay, key) == {name for name in services(overlay) if needs(name, key)}


@each_overlay
def test_every_service_knows_where_kafka_is(overlay: str) -> None:
    assert given(overlay, "kafka") == services(overlay).keys()


def test_the_local_overlay_makes_the_whole_secret() -> None:
    [secret] = of_kind("local", "Secret")
    wanted = {
        key
        for workload in workloads("local").values()
        for one in containers(workload)
        for key in secret_keys(one, optional=False).values()
    }
    assert secret["data"].keys() - {"admin_digest"} == wanted


def test_the_local_api_key_is_the_one_in_the_comment() -> None:
    [secret] = of_kind("local", "Secret")
    text = (K8S / "overlays" / "local" / "kustomization.yaml").read_text()
    [key] = re.findall(r"# of the API key (\S+)", text)
    assert b64decode(secret["data"]["admin_digest"]).decode() == hashlib.sha256(key.encode()).hexdigest()


def test_base_and_the_production_overlay_contain_no_secret() -> None:
    assert not [one for one in [*kustomize(K8S / "base"), *rendered("production")] if one["kind"] == "Secret"]


def allowed(direction: str, port: int | str) -> set[str]:
    """The workloads that a network policy of production lets talk (egress) or be talked to (ingress) on a port."""
    rules = [
        (policy["spec"]["podSelector"], one)
        for policy in of_kind("production", "NetworkPolicy")
        for rule in policy["spec"].get(direction, [])
        for one in rule["ports"]
    ]
    chosen = [selector for selector, one in rules if covers(one, port)]
    return {
        name
        for name, one in workloads("production").items()
        if any(selects(selector, pod_labels(one)) for selector in chosen)
    }


def covers(rule: dict[str, int | str], port: int | str) -> bool:
    match rule["port"], port:
        case int(first), int(wanted):
            return first <= wanted <= int(rule.get("endPort", first))
        case one, wanted:
            return one == wanted


def holders(key: str) -> set[str]:
    """The workloads that know an address of the secret."""
    return {
        name
        for name, one in workloads("production").items()
        if any(key in secret_keys(each).values() for each in containers(one))
    }


def test_production_denies_what_no_policy_allows() -> None:
    denied = [
        one["spec"]
        for one in of_kind("production", "NetworkPolicy")
        if "ingress" not in one["spec"] and "egress" not in one["spec"]
    ]
    assert denied == [{"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}]


@pytest.mark.parametrize(
    ("key", "port"), [("kafka", 9092), ("sql", 5432), ("clickhouse", 8123), ("clickhouse", 8443), ("stripe_key", 443)]
)
def test_who_knows_an_address_may_reach_it_and_nobody_else(key: str, port: int) -> None:
    assert allowed("egress", port) == holders(key)


def test_names_resolve_and_stations_people_and_metrics_come_in() -> None:
    assert allowed("egress", 53) == workloads("production").keys()
    assert (allowed("ingress", "ocpp"), allowed("ingress", "http")) == ({"gateway"}, {"api"})
    assert services("production").keys() <= allowed("ingress", "health")
