import copy
from base64 import b64decode

import pytest

from chassis.settings import load
from tests.deploy.rendered import (
    OVERLAYS,
    Object,
    configured,
    container,
    containers,
    of_kind,
    pod,
    probes,
    rendered,
    secret_keys,
    services,
    workloads,
)
from tests.deploy.restricted import violations

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@each_overlay
def test_every_pod_keeps_the_restricted_profile(overlay: str) -> None:
    broken = {name: list(violations(pod(one))) for name, one in workloads(overlay).items()}
    assert broken == {name: [] for name in broken}


@pytest.mark.parametrize("name", ["securityContext", "automountServiceAccountToken", "enableServiceLinks"])
def test_a_pod_without_its_security_would_be_found(name: str) -> None:
    wrong = copy.deepcopy(pod(services("local")["gateway"]))
    del wrong[name]
    assert list(violations(wrong))


@each_overlay
def test_the_namespace_enforces_the_restricted_profile(overlay: str) -> None:
    [namespace] = of_kind(overlay, "Namespace")
    labels = namespace["metadata"]["labels"]
    assert {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {"restricted"}
    elsewhere = [
        one for one in rendered(overlay) if one is not namespace and one["metadata"]["namespace"] != "voltstream"
    ]
    assert (namespace["metadata"]["name"], elsewhere) == ("voltstream", [])


@each_overlay
def test_only_tmp_can_be_written(overlay: str) -> None:
    writable = {"name": "tmp", "mountPath": "/tmp"}
    certificates = {"name": "certificates", "mountPath": "/certificates", "readOnly": True}
    sellers = {"name": "sellers", "mountPath": "/sellers", "readOnly": True}
    for name, workload in workloads(overlay).items():
        read = [certificates, sellers] if name in {"invoicing", "api"} else [certificates]
        kinds = {volume["name"]: volume.keys() - {"name"} for volume in pod(workload)["volumes"]}
        assert kinds == {"tmp": {"emptyDir"}} | {one["name"]: {"configMap"} for one in read}
        mounted = [sorted(one["volumeMounts"], key=lambda each: str(each["name"])) for one in containers(workload)]
        assert all(mounts == [*read, writable] for mounts in mounted)


@each_overlay
def test_probes_ask_health_to_live_and_readiness_to_serve(overlay: str) -> None:
    for workload in services(overlay).values():
        paths = {name: (probe["path"], probe["port"]) for name, probe in probes(container(workload))}
        alive, ready = ("/healthz", "health"), ("/readyz", "health")
        assert paths == {"startupProbe": alive, "livenessProbe": alive, "readinessProbe": ready}


@each_overlay
def test_the_ports_of_the_pods_are_those_the_settings_say(overlay: str) -> None:
    settings = configured(overlay)
    expected = {"health": int(settings["VOLTSTREAM_HEALTH_PORT"])}
    special = {
        "gateway": {"ocpp": int(settings["VOLTSTREAM_OCPP_PORT"])},
        "api": {"http": int(settings["VOLTSTREAM_API_PORT"])},
    }
    for name, workload in services(overlay).items():
        ports = {port["name"]: port["containerPort"] for port in container(workload)["ports"]}
        assert ports == expected | special.get(name, {})


@each_overlay
def test_a_container_has_as_much_memory_as_it_may_use_and_no_limit_of_processor_time(overlay: str) -> None:
    for workload in workloads(overlay).values():
        for one in containers(workload):
            requests, limits = one["resources"]["requests"], one["resources"]["limits"]
            assert (requests.keys(), limits.keys()) == (
                {"cpu", "memory", "ephemeral-storage"},
                {"memory", "ephemeral-storage"},
            )
            assert overlay == "local" or requests["memory"] == limits["memory"]


@each_overlay
def test_every_container_starts_with_settings_that_are_known_and_fit(
    overlay: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for workload in workloads(overlay).values():
        for one in containers(workload):
            with monkeypatch.context() as environment:
                for name, value in environment_of(overlay, one).items():
                    environment.setenv(name, value)
                settings = load()
            assert settings.log == "json"
            assert (settings.health_host, settings.ocpp_host, settings.api_host) == ("0.0.0.0",) * 3


def environment_of(overlay: str, one: Object) -> dict[str, str]:
    """What a container is given; the secret's values are those of the local overlay."""
    [secret] = of_kind("local", "Secret")
    values = {key: b64decode(value).decode() for key, value in secret["data"].items()}
    secrets = {name: values.get(key, "") for name, key in secret_keys(one).items()}
    plain = {entry["name"]: "sessions-0" for entry in one.get("env", []) if entry["name"] not in secrets}
    return configured(overlay) | plain | secrets
