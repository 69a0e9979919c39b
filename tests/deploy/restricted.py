"""Kubernetes' restricted pod security profile, as far as pods like ours can break it, and a little stricter."""

from collections.abc import Iterator

from tests.deploy.rendered import Object

ALLOWED_VOLUMES = {"configMap", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def violations(pod: Object) -> Iterator[str]:
    """What the restricted profile, or we, would refuse in a pod's spec."""
    security = pod.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or security.get("runAsUser", 0) < 10_000:
        yield "may run as root or as a user of the node"
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "has no seccomp profile"
    if any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield "shares the node's namespaces"
    if pod.get("automountServiceAccountToken") is not False or pod.get("enableServiceLinks") is not False:
        yield "is told about the cluster"
    for volume in pod.get("volumes", []):
        if not (volume.keys() - {"name"}) <= ALLOWED_VOLUMES:
            yield f"mounts {volume['name']}"
    for one in [*pod.get("initContainers", []), *pod["containers"]]:
        yield from (f"{one['name']} {what}" for what in container_violations(one))


def container_violations(one: Object) -> Iterator[str]:
    security = one.get("securityContext", {})
    if security.get("privileged") or security.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if security.get("capabilities") != {"drop": ["ALL"]}:
        yield "keeps capabilities"
    if security.get("readOnlyRootFilesystem") is not True:
        yield "may write to its image"
    if security.keys() & {"runAsUser", "runAsNonRoot", "seccompProfile", "procMount"}:
        yield "departs from its pod"
    if any("hostPort" in port for port in one.get("ports", [])):
        yield "takes a port of the node"
