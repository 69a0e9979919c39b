import hashlib
import re
import subprocess
from pathlib import Path

from chassis.settings import Settings
from tests.deploy.rendered import K8S, ROOT, Object, container, kustomize, named, secret_keys, services, workloads

GUIDE = (ROOT / "docs" / "operating-on-kubernetes.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


def commands() -> list[str]:
    return [line for block in blocks("sh") for line in re.sub(r"\\\n\s*", "", block).splitlines()]


def test_the_overlay_in_the_guide_refines_the_production_overlay(tmp_path: Path) -> None:
    [text] = blocks("yaml")
    (tmp_path / "voltstream").symlink_to(ROOT)
    (tmp_path / "kustomization.yaml").write_text(text)
    objects = kustomize(tmp_path)
    assert services_named(objects, "gateway")["spec"]["type"] == "LoadBalancer"
    images = set(re.findall(r"'image': '(.*?)'", str(objects)))
    assert images == {"registry.example.net/charging/voltstream:0.1.0"}
    [config] = [one["data"] for one in objects if one["kind"] == "ConfigMap" and "VOLTSTREAM_LOG" in one["data"]]
    assert (config["VOLTSTREAM_TOPIC_PREFIX"], config["VOLTSTREAM_PARTITIONS"]) == ("charging.", "12")


def services_named(objects: list[Object], name: str) -> Object:
    return named([one for one in objects if one["kind"] == "Service"])[name]


def test_every_overlay_that_the_guide_applies_exists() -> None:
    paths = {path for one in commands() for path in re.findall(r"-k (\S+)", one)}
    assert paths == {f"deploy/k8s/overlays/{one.name}" for one in (K8S / "overlays").iterdir()}


def test_every_workload_that_the_guide_names_exists() -> None:
    kinds = {name: one["kind"].lower() for name, one in workloads("production").items()}
    mentioned = re.findall(r"\b(deployment|statefulset|job)/(\w+)", GUIDE)
    assert mentioned
    assert all(kinds.get(name) == kind for kind, name in mentioned)


def test_the_guide_says_who_is_given_which_secret() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \| `VOLTSTREAM_\w+` \|.*\| ([\w, ]+) \|$", GUIDE)
    known = services("production")
    said = {key: set(known) if who == "all" else set(who.split(", ")) for key, who in rows}
    assert said == {
        key: {name for name, one in known.items() if key in secret_keys(container(one)).values()} for key in said
    }
    assert said.keys() == {key for one in known.values() for key in secret_keys(container(one)).values()}


def test_every_setting_that_the_guide_names_exists() -> None:
    mentioned = set(re.findall(r"VOLTSTREAM_(\w+)", GUIDE))
    assert mentioned <= {name.upper() for name in Settings.model_fields}


def test_the_files_of_the_guide_make_the_secret_that_the_services_read(tmp_path: Path) -> None:
    made = [one for one in commands() if one.startswith("openssl")]
    subprocess.run(["bash", "-euo", "pipefail", "-c", "\n".join(made)], cwd=tmp_path, check=True)
    files = {name: (tmp_path / f"{name}.txt").read_text() for name in ("secret", "admin_digest")}
    settings = Settings.model_validate(files)
    assert settings.admin_digest == hashlib.sha256((tmp_path / "admin.key").read_bytes()).hexdigest()
