"""deploy/ and the compose file, beside the schemas of Kubernetes and the service's settings."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from lossmeter import __version__
from lossmeter.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
LISTED = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
OBJECTS = {
    (found["kind"], found["metadata"]["name"]): found
    for name in LISTED
    for found in yaml.safe_load_all((FOLDER / name).read_text())
}
PORTS = {"http": Settings().http_port, "grpc": Settings().grpc_port}
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
# Since which a pod may pause before its end without a shell.
OLDEST = "1.30"


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("found", OBJECTS.values(), ids=lambda found: found["kind"])
def test_kubernetes_knows_every_field(found: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(found, version, strict=True)


def test_every_object_is_applied() -> None:
    assert {f"{path.name}" for path in FOLDER.glob("*.yaml")} == {"kustomization.yaml", *LISTED}
    kinds = {kind for kind, _ in OBJECTS}
    assert kinds == {
        *("Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget"),
        "NetworkPolicy",
    }


def test_every_selector_finds_the_pods() -> None:
    labels = OBJECTS["Deployment", "lossmeter"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        OBJECTS["Deployment", "lossmeter"]["spec"]["selector"]["matchLabels"],
        OBJECTS["Service", "lossmeter"]["spec"]["selector"],
        OBJECTS["Service", "lossmeter-grpc"]["spec"]["selector"],
        OBJECTS["PodDisruptionBudget", "lossmeter"]["spec"]["selector"]["matchLabels"],
        OBJECTS["NetworkPolicy", "lossmeter"]["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    scaled = OBJECTS["HorizontalPodAutoscaler", "lossmeter"]["spec"]["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"]) in OBJECTS


def test_ports_are_those_of_the_service() -> None:
    (container,) = OBJECTS["Deployment", "lossmeter"]["spec"]["template"]["spec"]["containers"]
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == PORTS
    for (kind, _), found in OBJECTS.items():
        for port in found["spec"]["ports"] if kind == "Service" else ():
            assert PORTS[port["targetPort"]] == port["port"]
    assert OBJECTS["Service", "lossmeter-grpc"]["spec"]["clusterIP"] == "None"


def test_a_pod_is_held_as_the_image_allows() -> None:
    pod = OBJECTS["Deployment", "lossmeter"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert f"USER {pod['securityContext']['runAsUser']}\n" in (ROOT / "Dockerfile").read_text()
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > pause + Settings().grace_seconds
    for variable in container["env"]:
        assert variable["name"].removeprefix("LOSSMETER_").lower() in Settings.model_fields


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_publishes_on_this_machine_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE[name].get("ports", ()))


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_takes_rights_away_and_pins_what_it_runs(name: str) -> None:
    found = COMPOSE[name]
    assert found["read_only"]
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert re.search(r":v?\d+\.\d+\.\d+", found["image"])


def test_versions_are_the_package_s() -> None:
    image = f"lossmeter:{__version__}"
    (container,) = OBJECTS["Deployment", "lossmeter"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == image
    ours = {found["image"] for found in COMPOSE.values() if "build" in found}
    assert ours == {image, f"{image}-gpu"}
    assert f'image.version="{__version__}"' in (ROOT / "Dockerfile").read_text()


def test_compose_waits_for_what_the_service_finishes() -> None:
    grace = [found["stop_grace_period"] for found in COMPOSE.values() if "build" in found]
    assert all(int(told.removesuffix("s")) > Settings().grace_seconds for told in grace)
