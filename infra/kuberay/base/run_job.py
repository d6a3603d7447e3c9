"""Make a RayJob of a suspended one and wait for its end: what the CronJobs of this folder run in their pod.

Usage: python run_job.py NAME. Waiting is what gives `concurrencyPolicy: Forbid` its meaning: the next run
does not begin while this one is under way. Exit status 0: the job succeeded; 1: it did not; 2: it could not
be made.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
PAUSE = float(os.environ.get("POLL_SECONDS", "15"))
ENDED = ("Complete", "Failed")


class Api:
    """The RayJobs of the pod's namespace."""

    def __init__(self, server: str, namespace: str, account: Path) -> None:
        self.url = f"{server}/apis/ray.io/v1/namespaces/{namespace}/rayjobs"
        self.account = account
        ca = account / "ca.crt"
        self.context = ssl.create_default_context(cafile=str(ca)) if server.startswith("https:") else None

    def call(self, method: str, path: str = "", body: dict[str, Any] | None = None) -> dict[str, Any]:
        token = (self.account / "token").read_text().strip()  # read anew: kubelet renews it
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=30, context=self.context) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


def job_from(pattern: dict[str, Any]) -> dict[str, Any]:
    """A RayJob that starts: the pattern's spec, not suspended, under a name of its own."""
    meta = pattern["metadata"]
    return {
        "apiVersion": pattern["apiVersion"],
        "kind": "RayJob",
        "metadata": {"generateName": f"{meta['name']}-", "labels": {"fiat-color/of": meta["name"]}},
        "spec": {**pattern["spec"], "suspend": False},
    }


def wait(api: Api, name: str) -> dict[str, Any]:
    """The job's status once it has ended. A Kubernetes API that is away for a while does no harm."""
    said = None
    status: dict[str, Any]
    while True:
        try:
            status = api.call("GET", f"/{name}").get("status", {})
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return {"message": "it was deleted"}
            status = {"jobDeploymentStatus": f"unknown: {error}"}
        except (OSError, ValueError) as error:
            status = {"jobDeploymentStatus": f"unknown: {error}"}
        stands = status.get("jobDeploymentStatus", "New")
        if stands != said:
            print(f"{name}: {stands}", flush=True)
            said = stands
        if stands in ENDED:
            return status
        time.sleep(PAUSE)


def main(argv: list[str]) -> int:
    if len(argv) != 1:
        print("usage: run_job.py NAME", file=sys.stderr)
        return 2
    account = Path(os.environ.get("SERVICE_ACCOUNT", ACCOUNT))
    server = os.environ.get("KUBERNETES_API", "https://kubernetes.default.svc")
    try:
        api = Api(server, (account / "namespace").read_text().strip(), account)
        name = api.call("POST", body=job_from(api.call("GET", f"/{argv[0]}")))["metadata"]["name"]
    except (OSError, ValueError) as error:
        print(f"error: no RayJob could be made of {argv[0]}: {error}", file=sys.stderr)
        return 2
    status = wait(api, name)
    if status.get("jobStatus") == "SUCCEEDED":
        return 0
    reason = " ".join(str(status.get(key, "")) for key in ("jobStatus", "reason", "message")).strip()
    print(f"error: {name} did not succeed ({reason}): kubectl logs job/{name}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
