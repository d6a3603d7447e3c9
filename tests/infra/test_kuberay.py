"""The Kustomize overlays: built by kubectl, checked strictly, in step with the jobs and their settings."""

from __future__ import annotations

import copy
import importlib.util
import re
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml

from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.evaluate.settings import EvaluateConfig
from pipeline.retraining.champion import RetrainConfig
from pipeline.training.settings import TrainConfig
from tests.support.kuberay_schema import check
from tests.support.paths import REPO

KUBERAY = REPO / "infra" / "kuberay"
OVERLAYS = sorted(path.name for path in (KUBERAY / "overlays").iterdir())
UNITS = {"Mi": 2**20, "Gi": 2**30}
SECRETS = {"ray-token", "s3-credentials"}  # docs/deploy.md makes them by hand

needs_kubectl = pytest.mark.skipif(
    not shutil.which("kubectl"), reason="kubectl, which has kustomize, is not installed"
)


def kustomize(folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@cache
def built(overlay: str) -> list[dict[str, Any]]:
    return kustomize(KUBERAY / "overlays" / overlay)


def of_kind(overlay: str, kind: str) -> list[dict[str, Any]]:
    return [manifest for manifest in built(overlay) if manifest["kind"] == kind]


def pods(value: Any) -> list[dict[str, Any]]:
    """Every pod's spec anywhere in a manifest."""
    if isinstance(value, list):
        return [result for item in value for result in pods(item)]
    if not isinstance(value, dict):
        return []
    return [value] if "containers" in value else [result for item in value.values() for result in pods(item)]


def amount(quantity: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([A-Z]i)?", quantity).groups()  # type: ignore[union-attr]
    return int(number) * UNITS.get(unit, 1)


def job_module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"job_{name}", REPO / "jobs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_file_parses_and_every_resource_it_names_exists() -> None:
    """What can be said without kustomize."""
    files = sorted(KUBERAY.rglob("*.yaml"))
    for file in files:
        documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
        assert all(documents), file
        if file.name == "kustomization.yaml":
            named = [*documents[0].get("resources", []), *documents[0].get("components", [])]
            assert [name for name in named if not (file.parent / name).exists()] == [], file
    assert len(files) > 10


def test_the_cluster_of_the_base_is_valid_without_kustomize() -> None:
    check(yaml.safe_load((KUBERAY / "base" / "cluster.yaml").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "path", ["spec", "spec/headGroupSpec", "spec/headGroupSpec/template/spec/containers/0"]
)
def test_an_unknown_field_is_an_error(path: str) -> None:
    manifest = yaml.safe_load((KUBERAY / "base" / "cluster.yaml").read_text(encoding="utf-8"))
    at: Any = manifest
    for step in path.split("/"):
        at = at[int(step)] if step.isdigit() else at[step]
    at["imagee"] = "x"
    with pytest.raises(jsonschema.ValidationError, match="imagee"):
        check(manifest)


@pytest.mark.slow
@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_strictly_valid(overlay: str) -> None:
    kinds = {manifest["kind"] for manifest in built(overlay)}
    assert {"RayJob", "CronJob", "ServiceAccount", "Role", "RoleBinding", "NetworkPolicy"} <= kinds
    assert not kinds & {"Secret", "RayCluster"}  # secrets come by reference, the cluster within the jobs
    for manifest in built(overlay):
        check(manifest)
        assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "fiat-color"


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_an_overlay_refers_to_is_there(overlay: str) -> None:
    maps = {manifest["metadata"]["name"] for manifest in of_kind(overlay, "ConfigMap")}
    accounts = {manifest["metadata"]["name"] for manifest in of_kind(overlay, "ServiceAccount")}
    patterns = {manifest["metadata"]["name"] for manifest in of_kind(overlay, "RayJob")}
    for pod in pods(built(overlay)):
        sources = [source for container in pod["containers"] for source in container.get("envFrom", [])]
        sources += pod.get("volumes", [])
        assert {s[key]["name"] for s in sources for key in ("configMapRef", "configMap") if key in s} <= maps
        assert {s["secretRef"]["name"] for s in sources if "secretRef" in s} <= SECRETS
        assert pod.get("serviceAccountName", "fiat-color") in accounts
    for cron in of_kind(overlay, "CronJob"):
        assert cron["spec"]["concurrencyPolicy"] == "Forbid"
        assert pods(cron)[0]["containers"][0]["command"][-1] in patterns


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_ray_has_a_token_and_no_container_any_privilege(overlay: str) -> None:
    for job in of_kind(overlay, "RayJob"):
        assert job["spec"]["suspend"] is True
        assert job["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token", "secretName": "ray-token"}
        assert job["spec"]["submitterPodTemplate"]["spec"]["containers"]
    for pod in pods(built(overlay)):
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert re.fullmatch(r"(registry\.example\.org/)?fiat-color:[\d.]+-(cpu|cuda)", container["image"])
            assert container["resources"]["requests"]["memory"] == container["resources"]["limits"][
                "memory"
            ] or (container["name"] in ("run-job", "ray-job-submitter"))


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_head_is_without_work_and_workers_begin_at_zero(overlay: str) -> None:
    for job in of_kind(overlay, "RayJob"):
        cluster = job["spec"]["rayClusterSpec"]
        assert cluster["enableInTreeAutoscaling"] is True
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
        groups = {group["groupName"]: group for group in cluster["workerGroupSpecs"]}
        assert [(g["replicas"], g["minReplicas"]) for g in groups.values()] == [(0, 0)] * len(groups)
        if "gpu" in groups:
            pod = groups["gpu"]["template"]["spec"]
            assert {"nvidia.com/gpu", "spot"} <= {toleration["key"] for toleration in pod["tolerations"]}
            assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
            assert pod["containers"][0]["image"].endswith("-cuda")


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_cluster_is_large_enough_for_what_colouring_asks(overlay: str) -> None:
    """The entrypoint as the job itself reads it: every worker has a CPU, and every CPU a decoder's memory."""
    job = next(job for job in of_kind(overlay, "RayJob") if job["metadata"]["name"] == "colorize")
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[:2] == ["python", "jobs/colorize_bucket.py"]
    args = job_module("colorize_bucket").parse(words[2:])
    config = load(JobConfig, args.config and str(REPO / args.config), args.overrides)
    groups = {group["groupName"]: group for group in job["spec"]["rayClusterSpec"]["workerGroupSpecs"]}
    pod = groups["cpu"]["template"]["spec"]
    resources = pod["containers"][0]["resources"]["limits"]
    shm = next(volume for volume in pod["volumes"] if volume["name"] == "shm")["emptyDir"]["sizeLimit"]
    assert config.run.workers == groups["cpu"]["maxReplicas"] * int(resources["cpu"])
    assert amount(resources["memory"]) >= int(resources["cpu"]) * config.limits.memory + amount(shm)


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_training_and_evaluation_are_asked_for_as_their_jobs_understand(overlay: str) -> None:
    models: dict[str, Any] = {"train": TrainConfig, "evaluate": EvaluateConfig, "retrain": RetrainConfig}
    for name, model in models.items():
        job = next(job for job in of_kind(overlay, "RayJob") if job["metadata"]["name"] == name)
        words = shlex.split(job["spec"]["entrypoint"])
        assert words[:2] == ["python", f"jobs/{name}.py"]
        args = job_module(name).parse(words[2:])
        load(model, str(REPO / args.config), args.overrides)


@needs_kubectl
def test_the_optional_components_are_valid_too(tmp_path: Path) -> None:
    folder = tmp_path / "kuberay"
    shutil.copytree(KUBERAY, folder)
    file = folder / "overlays" / "aws" / "kustomization.yaml"
    kustomization = yaml.safe_load(file.read_text())
    kustomization["components"] += ["../../components/standing-cluster", "../../components/raycronjob"]
    file.write_text(yaml.safe_dump(kustomization))
    manifests = {(m["kind"], m["metadata"]["name"]): m for m in kustomize(file.parent)}
    job, cron = manifests["RayJob", "colorize"], manifests["RayCronJob", "colorize-alpha"]
    assert manifests["RayCluster", "fiat-color"]["spec"] == job["spec"]["rayClusterSpec"]
    assert manifests["CronJob", "colorize"]["spec"]["suspend"] is True
    template = copy.deepcopy(cron["spec"]["jobTemplate"])
    assert template == {**job["spec"], "suspend": False}
    for manifest in manifests.values():
        check(manifest)
