import copy
import re

import kubernetes_validate
import pytest
import yaml

from services.api import nightly
from tests.deploy.rendered import (
    K8S,
    OVERLAYS,
    ROOT,
    container,
    containers,
    of_kind,
    pod,
    pod_labels,
    rendered,
    selects,
    services,
    workloads,
)

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)
VERSIONS = ("1.30", "1.37")
NOT_SERVICES = {"namespace.yaml", "setup.yaml", "reconciliation.yaml"}


@each_overlay
@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_strictly_valid(overlay: str, version: str) -> None:
    assert {kubernetes_validate.validate(one, version, strict=True) for one in rendered(overlay)} == {version}


def test_the_validation_would_find_a_misspelled_field() -> None:
    wrong = copy.deepcopy(services("production")["gateway"])
    pod(wrong)["topologySpreadConstraints"][0]["maxSkw"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="maxSkw"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_there_is_one_file_in_base_for_every_service() -> None:
    programs = {one.parent.name for one in (ROOT / "services").glob("*/__main__.py")}
    listed = set(yaml.safe_load((K8S / "base" / "kustomization.yaml").read_text())["resources"])
    assert {one.removesuffix(".yaml") for one in listed - NOT_SERVICES} == programs


def test_no_file_of_base_is_forgotten() -> None:
    kustomization = yaml.safe_load((K8S / "base" / "kustomization.yaml").read_text())
    named_there = {
        *kustomization["resources"],
        *(one["path"] for one in kustomization["patches"]),
        "kustomization.yaml",
    }
    assert {one.name for one in (K8S / "base").iterdir()} == named_there


@each_overlay
def test_a_service_runs_its_own_program(overlay: str) -> None:
    commands = {name: container(one)["command"] for name, one in services(overlay).items()}
    assert commands == {name: ["python", "-m", f"services.{name}"] for name in services(overlay)}


@each_overlay
def test_a_file_of_base_makes_the_service_of_its_name(overlay: str) -> None:
    files = {one.stem for one in (K8S / "base").glob("*.yaml")}
    assert services(overlay).keys() == files - {"namespace", "setup", "reconciliation", "kustomization", "every-pod"}


@each_overlay
def test_everything_runs_the_same_tagged_image(overlay: str) -> None:
    [image] = {one["image"] for workload in workloads(overlay).values() for one in containers(workload)}
    assert re.search(r"voltstream(:[\w.-]+|@sha256:[0-9a-f]{64})$", image)
    assert not image.endswith(":latest")


@each_overlay
def test_the_job_makes_topics_then_tables(overlay: str) -> None:
    [job] = of_kind(overlay, "Job")
    commands = [one["command"][2:] for one in containers(job)]
    assert commands == [["chassis.topics", "create"], ["services.views", "migrate"], ["services.analytics", "migrate"]]


@each_overlay
def test_yesterday_is_reconciled_once_a_day_and_a_difference_is_not_looked_for_again(overlay: str) -> None:
    [daily] = of_kind(overlay, "CronJob")
    minute, hour, *days = daily["spec"]["schedule"].split()
    assert (minute.isdigit(), int(hour) >= 12, days, daily["spec"]["timeZone"]) == (True, True, ["*"] * 3, "Etc/UTC")
    assert container(daily)["command"] == ["python", "-m", "services.api", "reconcile"]
    [rule] = daily["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [nightly.DIFFER])


@each_overlay
def test_a_workload_selects_its_own_pods_alone(overlay: str) -> None:
    for name, workload in services(overlay).items():
        selector = workload["spec"]["selector"]
        assert {other for other, one in workloads(overlay).items() if selects(selector, pod_labels(one))} == {name}


@each_overlay
def test_kubernetes_services_lead_to_ports_that_exist(overlay: str) -> None:
    for service in of_kind(overlay, "Service"):
        selector = {"matchLabels": service["spec"]["selector"]}
        chosen = [one for one in services(overlay).values() if selects(selector, pod_labels(one))]
        offered = [{port["name"] for port in container(one)["ports"]} for one in chosen]
        assert chosen
        assert all({port["targetPort"] for port in service["spec"]["ports"]} <= names for names in offered)


@each_overlay
def test_what_the_job_needs_can_be_applied_before_the_services(overlay: str) -> None:
    first = {
        (one["kind"], one["metadata"]["name"])
        for one in rendered(overlay)
        if "app.kubernetes.io/name" not in one["metadata"].get("labels", {})
    }
    [job] = of_kind(overlay, "Job")
    configs = {one["configMapRef"]["name"] for each in containers(job) for one in each["envFrom"]}
    assert {("Namespace", "voltstream"), ("ServiceAccount", pod(job)["serviceAccountName"])} <= first
    assert {("ConfigMap", name) for name in configs} <= first
    assert not {kind for kind, _ in first} & {"Deployment", "StatefulSet", "Job"}
