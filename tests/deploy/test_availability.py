import pytest

from chassis import metrics
from tests.deploy.rendered import (
    OVERLAYS,
    configured,
    container,
    named,
    of_kind,
    pod,
    pod_labels,
    selects,
    services,
    workloads,
)

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)
DRAIN_SECONDS = 300


@each_overlay
def test_every_service_may_lose_one_pod_at_a_time(overlay: str) -> None:
    budgets = named(of_kind(overlay, "PodDisruptionBudget"))
    assert budgets.keys() == services(overlay).keys()
    for name, budget in budgets.items():
        spec = budget["spec"]
        chosen = {other for other, one in workloads(overlay).items() if selects(spec["selector"], pod_labels(one))}
        assert (chosen, spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == ({name}, 1, "AlwaysAllow")


@each_overlay
def test_what_has_stable_names_is_what_shares_partitions(overlay: str) -> None:
    stable = named(of_kind(overlay, "StatefulSet"))
    assert services(overlay).keys() - stable.keys() == {"gateway", "api"}
    assert {(one["spec"]["podManagementPolicy"], one["spec"]["serviceName"]) for one in stable.values()} == {
        ("Parallel", "members")
    }
    for workload in services(overlay).values():
        members = [one for one in container(workload)["env"] if one["name"] == "VOLTSTREAM_MEMBER"]
        assert members == [{"name": "VOLTSTREAM_MEMBER", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]


@each_overlay
def test_no_service_has_more_members_than_partitions(overlay: str) -> None:
    members = {name: one["spec"].get("replicas", 1) for name, one in named(of_kind(overlay, "StatefulSet")).items()}
    assert max(members.values()) <= int(configured(overlay)["VOLTSTREAM_PARTITIONS"])


@each_overlay
def test_a_gateway_has_time_to_close_its_sockets_in_slices(overlay: str) -> None:
    gateway = services(overlay)["gateway"]
    pause = container(gateway)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod(gateway)["terminationGracePeriodSeconds"] >= pause + DRAIN_SECONDS + 10
    assert gateway["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert gateway["spec"]["minReadySeconds"] == 30


def test_the_autoscaler_alone_says_how_many_gateways_there_are() -> None:
    [autoscaler] = of_kind("production", "HorizontalPodAutoscaler")
    gateway = services("production")["gateway"]
    assert autoscaler["spec"]["scaleTargetRef"]["name"] == "gateway"
    assert autoscaler["spec"]["metrics"][0]["containerResource"]["container"] == container(gateway)["name"]
    assert "replicas" not in gateway["spec"]
    assert all(one["spec"]["replicas"] >= 2 for name, one in services("production").items() if name != "gateway")


def test_the_metric_that_scales_gateways_is_one_that_they_export() -> None:
    [autoscaler] = of_kind("production", "HorizontalPodAutoscaler")
    [wanted] = [one["pods"]["metric"]["name"] for one in autoscaler["spec"]["metrics"] if one["type"] == "Pods"]
    assert f"# TYPE {wanted} gauge" in metrics.exposition().decode()


def test_production_spreads_a_service_where_it_can_and_never_refuses_to_place_a_pod() -> None:
    for workload in services("production").values():
        spread = pod(workload)["topologySpreadConstraints"]
        assert [one["topologyKey"] for one in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
        assert {one["whenUnsatisfiable"] for one in spread} == {"ScheduleAnyway"}
        assert all(selects(one["labelSelector"], pod_labels(workload)) for one in spread)
        assert all(key in pod_labels(workload) for one in spread for key in one["matchLabelKeys"])
