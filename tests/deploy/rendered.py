"""What `kubectl kustomize` makes of deploy/k8s, as plain objects, and the questions that the tests ask of them."""

import functools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("local", "production")


def kustomize(folder: Path) -> list[Object]:
    """The objects of a kustomization, in kubectl's order."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise FileNotFoundError(
            "kubectl renders deploy/k8s: install it (1.30 or newer; no cluster is needed) and put it on PATH"
        )
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one is not None]


@functools.cache
def rendered(overlay: str) -> tuple[Object, ...]:
    return tuple(kustomize(K8S / "overlays" / overlay))


def of_kind(overlay: str, *kinds: str) -> list[Object]:
    return [one for one in rendered(overlay) if one["kind"] in kinds]


def named(objects: list[Object]) -> dict[str, Object]:
    names = {one["metadata"]["name"]: one for one in objects}
    assert len(names) == len(objects)
    return names


def services(overlay: str) -> dict[str, Object]:
    """The Deployments and StatefulSets by name: one per service."""
    return named(of_kind(overlay, "Deployment", "StatefulSet"))


def workloads(overlay: str) -> dict[str, Object]:
    """The services, the job that sets topics and tables up, and what runs every day."""
    return services(overlay) | named(of_kind(overlay, "Job", "CronJob"))


def template(workload: Object) -> Object:
    """What the pods of a workload are made of."""
    spec: Object = workload["spec"]
    made: Object = spec["jobTemplate"]["spec"]["template"] if workload["kind"] == "CronJob" else spec["template"]
    return made


def pod(workload: Object) -> Object:
    spec: Object = template(workload)["spec"]
    return spec


def pod_labels(workload: Object) -> dict[str, str]:
    labels: dict[str, str] = template(workload)["metadata"]["labels"]
    return labels


def containers(workload: Object) -> list[Object]:
    return [*pod(workload).get("initContainers", []), *pod(workload)["containers"]]


def container(workload: Object) -> Object:
    """The only container of a service's pod."""
    [only] = containers(workload)
    return only


def secret_keys(one: Object, *, optional: bool = True) -> dict[str, str]:
    """The variables that a container takes from the secret `voltstream`, with their keys in it."""
    sources = {entry["name"]: entry.get("valueFrom", {}).get("secretKeyRef") for entry in one.get("env", [])}
    wanted = {name: source for name, source in sources.items() if source and (optional or not source.get("optional"))}
    assert {source["name"].split("-")[0] for source in wanted.values()} <= {"voltstream"}
    return {name: source["key"] for name, source in wanted.items()}


def configured(overlay: str) -> dict[str, str]:
    """The variables that every container takes from the ConfigMap."""
    [config] = [each for each in of_kind(overlay, "ConfigMap") if "VOLTSTREAM_LOG" in each["data"]]
    values: dict[str, str] = config["data"]
    return values


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector chooses a pod with these labels; an empty one chooses all."""
    wanted = selector.get("matchLabels", {}).items()
    return wanted <= labels.items() and all(fits(one, labels) for one in selector.get("matchExpressions", []))


def fits(expression: Object, labels: dict[str, str]) -> bool:
    assert expression["operator"] in {"In", "NotIn"}, "only these are used here"
    return (labels.get(expression["key"]) in expression["values"]) is (expression["operator"] == "In")


def probes(one: Object) -> Iterator[tuple[str, Object]]:
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        yield name, one[name]["httpGet"]
