"""Strict schemas for what `infra/kuberay` makes: unknown fields are errors.

The schemas for Kubernetes' own kinds, and for pod templates in KubeRay's kinds, come from
kubernetes-validate. KubeRay publishes no package of schemas, so the fields of v1.7 are listed here
(docs.ray.io, "KubeRay CRD API reference").
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema
from referencing import Registry, Resource

VERSION = "1.35"
_DEFINITIONS = "https://kubernetes.io/api/_definitions.json"
_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string", "minLength": 1}
_FLAG = {"type": "boolean"}
_WORDS = {"type": "object", "additionalProperties": {"type": "string"}}


def _core(name: str) -> dict[str, str]:
    return {"$ref": f"{_DEFINITIONS}#/$defs/io.k8s.api.core.v1.{name}"}


def _closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_AUTOSCALER = _closed(
    [],
    resources=_core("ResourceRequirements"),
    image=_TEXT,
    imagePullPolicy={"enum": ["Always", "IfNotPresent", "Never"]},
    securityContext=_core("SecurityContext"),
    idleTimeoutSeconds=_COUNT,
    upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
    version={"enum": ["v1", "v2"]},
    env={"type": "array", "items": _core("EnvVar")},
    envFrom={"type": "array", "items": _core("EnvFromSource")},
    volumeMounts={"type": "array", "items": _core("VolumeMount")},
)
_GROUP = {
    "rayStartParams": _WORDS,
    "resources": _WORDS,
    "labels": _WORDS,
    "template": _core("PodTemplateSpec"),
}
_HEAD = _closed(
    ["rayStartParams", "template"],
    **_GROUP,
    serviceType={"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    headService=_core("Service"),
    enableIngress=_FLAG,
)
_WORKERS = _closed(
    ["groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"],
    **_GROUP,
    groupName=_TEXT,
    replicas=_COUNT,
    minReplicas=_COUNT,
    maxReplicas=_COUNT,
    idleTimeoutSeconds=_COUNT,
    priority={"type": "integer"},
    numOfHosts=_COUNT,
    suspend=_FLAG,
)
_CLUSTER = _closed(
    ["headGroupSpec", "rayVersion"],
    rayVersion=_TEXT,
    authOptions=_closed(
        ["mode"], mode={"enum": ["token", "disabled"]}, secretName=_TEXT, enableK8sTokenAuth=_FLAG
    ),
    enableInTreeAutoscaling=_FLAG,
    autoscalerOptions=_AUTOSCALER,
    headServiceAnnotations=_WORDS,
    headGroupSpec=_HEAD,
    workerGroupSpecs={"type": "array", "items": _WORKERS},
    suspend=_FLAG,
    managedBy=_TEXT,
)
_JOB = _closed(
    ["entrypoint", "rayClusterSpec"],
    entrypoint=_TEXT,
    rayClusterSpec=_CLUSTER,
    runtimeEnvYAML=_TEXT,
    jobId=_TEXT,
    metadata=_WORDS,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
    submitterPodTemplate=_core("PodTemplateSpec"),
    submitterConfig=_closed([], backoffLimit=_COUNT),
    entrypointNumCpus={"type": "number"},
    entrypointNumGpus={"type": "number"},
    entrypointResources=_TEXT,
    shutdownAfterJobFinishes=_FLAG,
    ttlSecondsAfterFinished=_COUNT,
    activeDeadlineSeconds=_COUNT,
    backoffLimit=_COUNT,
    suspend=_FLAG,
    managedBy=_TEXT,
)
_SPECS = {
    "RayCluster": _CLUSTER,
    "RayJob": _JOB,
    "RayCronJob": _closed(["schedule", "jobTemplate"], schedule=_TEXT, jobTemplate=_JOB, suspend=_FLAG),
}


_SCHEMAS = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{VERSION}.0-local-strict"


@cache
def _registry() -> Registry[Any]:
    return Resource.from_contents(json.loads((_SCHEMAS / "_definitions.json").read_text())) @ Registry()


def _schema(manifest: dict[str, Any]) -> dict[str, Any]:
    kind, (group, _, version) = manifest["kind"], manifest["apiVersion"].rpartition("/")
    if group == "ray.io":
        meta = {"$ref": f"{_DEFINITIONS}#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
        anything: dict[str, Any] = {}
        return _closed(
            ["apiVersion", "kind", "metadata", "spec"],
            apiVersion={"const": "ray.io/v1"}, kind=anything, metadata=meta, spec=_SPECS[kind],
        )  # fmt: skip
    name = "-".join(filter(None, [kind.lower(), group.split(".")[0], version]))
    schema: dict[str, Any] = json.loads((_SCHEMAS / f"{name}.json").read_text())
    return schema


def check(manifest: dict[str, Any]) -> None:
    """Raises jsonschema's ValidationError for what the cluster would refuse; KeyError or FileNotFoundError
    for a kind that does not exist."""
    jsonschema.Draft202012Validator(_schema(manifest), registry=_registry()).validate(manifest)
