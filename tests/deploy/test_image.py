import fnmatch
import re
import tomllib

import pytest

from tests.deploy.rendered import OVERLAYS, ROOT, containers, pod, workloads

DOCKERFILE = (ROOT / "Dockerfile").read_text()
INSTRUCTIONS = [
    line.split(maxsplit=1)
    for line in re.sub(r"\\\n", " ", DOCKERFILE).splitlines()
    if line and not line.startswith("#")
]
IGNORE = (ROOT / ".dockerignore").read_text().splitlines()


def arguments(instruction: str) -> list[str]:
    return [rest for name, rest in INSTRUCTIONS if name == instruction]


def copied() -> list[str]:
    """What the build takes from the source tree."""
    return [source for one in arguments("COPY") if "--from" not in one for source in one.split()[:-1]]


def pins(lock: str) -> dict[str, str]:
    """The versions that a lock file names, with the hashes of each."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (ROOT / lock).read_text())
    return {one.split("==")[0]: one for one in re.split(r"\n(?=\S)", text.strip())}


def plain(requirement: str) -> str:
    """A requirement's name, as lock files write it."""
    [name] = re.findall(r"^[\w.-]+", requirement)
    return str(name).lower().replace("_", "-").replace(".", "-")


def test_there_is_one_base_image_named_once_and_no_other_address() -> None:
    [base] = [one for one in arguments("ARG") if one.startswith("PYTHON_IMAGE")]
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.\d+-slim-\w+", base)
    assert [one.split()[0] for one in arguments("FROM")] == ["${PYTHON_IMAGE}"] * 2
    assert not re.search(r"https?://|index-url|find-links|trusted-host", DOCKERFILE)


def test_the_image_has_the_python_that_the_project_asks_for() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert f"python:{wanted.removeprefix('>=')}-slim" in DOCKERFILE


@pytest.mark.parametrize("source", copied())
def test_what_is_copied_exists_and_is_sent_to_the_build(source: str) -> None:
    assert (ROOT / source).exists()
    assert f"!{source}" in IGNORE


def test_nothing_else_is_sent_to_the_build() -> None:
    assert IGNORE[1] == "*"
    assert {one[1:] for one in IGNORE if one.startswith("!")} == set(copied())
    assert any(fnmatch.fnmatch("services/api/__pycache__", one) for one in IGNORE if "pycache" in one)


def test_every_package_of_the_source_is_in_the_image() -> None:
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    assert set(layers) <= set(copied())


def test_what_the_commands_of_kubernetes_need_is_in_the_image() -> None:
    modules = {
        one["command"][2]
        for overlay in OVERLAYS
        for workload in workloads(overlay).values()
        for one in containers(workload)
    }
    assert {module.split(".")[0] for module in modules} <= set(copied())


def test_the_commands_of_kubernetes_and_of_the_image_exist() -> None:
    modules = {
        one["command"][2]
        for overlay in OVERLAYS
        for workload in workloads(overlay).values()
        for one in containers(workload)
    }
    modules |= set(re.findall(r'"-m", "([\w.]+)"', " ".join(arguments("CMD"))))
    paths = {ROOT / module.replace(".", "/") for module in modules}
    assert {one for one in paths if not (one.with_suffix(".py").exists() or (one / "__main__.py").exists())} == set()


def test_the_image_runs_as_the_user_that_kubernetes_demands() -> None:
    [user] = arguments("USER")
    owners = {
        f"{pod(one)['securityContext']['runAsUser']}:{pod(one)['securityContext']['runAsGroup']}"
        for one in workloads("local").values()
    }
    assert owners == {user}


def test_packages_are_installed_with_hashes_and_never_built() -> None:
    [install] = [one for one in arguments("RUN") if "pip" in one]
    assert {"--require-hashes", "--no-cache-dir", "--only-binary"} <= set(install.split())


def test_the_images_lock_names_hashes_and_no_addresses() -> None:
    text = (ROOT / "requirements-image.lock").read_text()
    assert not re.search(r"https?://|--index-url|--find-links", text)
    assert all("--hash=sha256:" in one for one in pins("requirements-image.lock").values())


def test_the_image_has_what_the_tests_ran_with_to_the_byte() -> None:
    image, tested = pins("requirements-image.lock"), pins("requirements.lock")
    assert {name: tested.get(name) for name in image} == image


def test_the_image_has_all_that_runs_and_nothing_that_only_develops() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    image = pins("requirements-image.lock").keys()
    assert {plain(one) for one in project["dependencies"]} <= image
    assert not {"chdb", "pytest", "mypy", "ruff", "hypothesis", "kubernetes-validate"} & image
