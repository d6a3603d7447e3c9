"""Dashboard and alerts ask for series that exist, in PromQL that parses; the rest is strictly valid."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import ray.dashboard.modules.reporter.reporter_agent as rays
import yaml

from pipeline.errors import FailureCode
from pipeline.records import Status
from pipeline.run import series
from pipeline.run.notify import STATUS
from tests.infra.test_kuberay import KUBERAY, kustomize
from tests.support.kuberay_schema import check
from tests.support.paths import REPO

MONITORING = REPO / "infra" / "monitoring"
#: Of Prometheus, of node_exporter --collector.systemd, of kube-state-metrics; the labels that are used.
OTHERS = {
    "up": {"job", "instance"},
    "node_systemd_unit_state": {"name", "state", "instance"},
    "node_systemd_timer_last_trigger_seconds": {"name", "instance"},
    "kube_cronjob_status_last_successful_time": {"cronjob"},
}
#: Labels that Prometheus and Ray add to any series.
ADDED = {"instance", "job", "le"}
VALUES = {
    "status": {str(status) for status in Status},
    "code": {"", *map(str, FailureCode)},
    "state": {"queued", "working", "done"},
    "direction": {"read", "written"},
    "stage": {"decode", "predict", "compose"},
    "outcome": set(STATUS.values()),
}


class Strict(yaml.SafeLoader):
    """YAML in which a key that comes twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key twice: {keys}"
        return super().construct_mapping(node, deep)


def strictly(name: str) -> Any:
    return yaml.load((MONITORING / name).read_text(encoding="utf-8"), Strict)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(pairs) == len(dict(pairs)), f"a key twice: {pairs}"
    return dict(pairs)


@cache
def dashboard() -> dict[str, Any]:
    text = (MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8")
    result: dict[str, Any] = json.loads(text, object_pairs_hook=once)
    return result


def rules() -> list[dict[str, Any]]:
    return [rule for group in strictly("alerts.yaml")["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


EXPRESSIONS = [
    *(rule["expr"] for rule in rules()),
    *(target["expr"] for panel in panels() for target in panel["targets"]),
]


def selectors(node: Any) -> list[promql_parser.VectorSelector]:
    """All vector selectors of a parsed expression, wherever they stand."""
    if isinstance(node, promql_parser.VectorSelector):
        return [node]
    if isinstance(node, promql_parser.MatrixSelector):
        return selectors(node.vector_selector)
    below = [getattr(node, name, None) for name in ("lhs", "rhs", "expr", "param")]
    below += list(getattr(node, "args", None) or [])
    return [result for child in below if child is not None for result in selectors(child)]


@pytest.mark.parametrize("expression", sorted(set(EXPRESSIONS)))
def test_an_expression_parses_and_its_series_labels_and_values_exist(expression: str) -> None:
    result = selectors(promql_parser.parse(expression))
    names = {selector.name for selector in result}
    assert names
    assert names == set(re.findall(r"\b(?:ray|node|kube)_\w+|\bup\b", re.sub(r'"[^"]*"', "", expression)))
    declared = {name: one for one in series.ALL for name in one.exported}
    of_ray = {f"ray_{name}" for name in rays.METRICS_GAUGES}
    assert names - declared.keys() - OTHERS.keys() <= of_ray
    for selector in result:
        allowed = ADDED | OTHERS.get(selector.name, set())
        allowed |= set(declared[selector.name].labels) if selector.name in declared else set()
        for matcher in selector.matchers.matchers:
            assert matcher.name in allowed, f"{selector.name} has no label {matcher.name}"
            if matcher.name in VALUES and selector.name in declared:
                assert set(matcher.value.split("|")) <= VALUES[matcher.name]
    grouped = set(re.split(r"[, ]+", ",".join(re.findall(r"(?:by|on) \(([^)]*)\)", expression)))) - {""}
    known = {label for name in names if name in declared for label in declared[name].labels}
    assert grouped <= known | ADDED


def test_every_series_of_ours_is_looked_at() -> None:
    used = {selector.name for text in EXPRESSIONS for selector in selectors(promql_parser.parse(text))}
    unused = {one.name for one in series.ALL if not used & set(one.exported)}
    assert unused == set()


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    board = dashboard()
    assert re.fullmatch(r"[a-z-]{1,40}", board["uid"])
    assert board["schemaVersion"] >= 36
    assert "id" not in board, "Grafana gives it"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert re.fullmatch(r"label_values\((\w+), run\)", variables["run"]["definition"])[1] in series.EXPORTED
    for panel in panels():
        assert panel["title"]
        assert panel["description"]
        for one in (panel, *panel["targets"]):
            assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    used = set(re.findall(r"\$(\w+)", " ".join(EXPRESSIONS)))
    assert used <= variables.keys()


def test_no_panel_lies_on_another_or_outside() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_rules_have_all_that_prometheus_and_a_person_want() -> None:
    groups = strictly("alerts.yaml")["groups"]
    assert len({group["name"] for group in groups}) == len(groups)
    assert all(group.keys() == {"name", "rules"} for group in groups)
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "description"}


def test_prometheus_reads_the_rules_and_where_ray_says_its_nodes_are() -> None:
    config = strictly("prometheus.yaml")
    assert [(MONITORING / name).exists() for name in config["rule_files"]] == [True]
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    (files,) = jobs["ray"]["file_sd_configs"]
    written = ray_constant("PROMETHEUS_SERVICE_DISCOVERY_FILE")
    assert files["files"] == [f"/tmp/ray/{written}"]
    asked = {m[1] for rule in rules() for m in re.finditer(r'up\{job="(\w+)"\}', rule["expr"])}
    assert asked <= jobs.keys()


def ray_constant(name: str) -> str:
    from ray._private import ray_constants

    return str(getattr(ray_constants, name))


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl, which has kustomize, is not installed")
def test_the_component_for_the_prometheus_operator_fits_the_cluster(tmp_path: Path) -> None:
    folder = tmp_path / "kuberay"
    shutil.copytree(KUBERAY, folder)
    file = folder / "overlays" / "onprem" / "kustomization.yaml"
    kustomization = yaml.safe_load(file.read_text())
    kustomization["components"].append("../../components/monitoring")
    file.write_text(yaml.safe_dump(kustomization))
    manifests = {(m["kind"], m["metadata"]["name"]): m for m in kustomize(file.parent)}
    monitor = manifests["PodMonitor", "ray"]
    policy = manifests["NetworkPolicy", "fiat-color-metrics"]
    check(policy)
    assert {m["metadata"]["namespace"] for m in (monitor, policy)} == {"fiat-color"}
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    head = manifests["RayJob", "colorize"]["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]
    ports = {port["name"]: port["containerPort"] for port in head["spec"]["containers"][0]["ports"]}
    (open_port,) = policy["spec"]["ingress"][0]["ports"]
    assert ports[endpoint["port"]] == open_port["port"]
    labels = monitor["spec"]["selector"]["matchLabels"]
    assert labels.items() <= head["metadata"]["labels"].items()
    assert {r["replacement"] for r in endpoint["relabelings"]} == {"ray"}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (of Prometheus) is not installed")
def test_the_rules_do_what_they_are_for() -> None:
    """Prometheus' own check, and its rule engine over series as they come."""
    for words in (
        ["check", "config", str(MONITORING / "prometheus.yaml")],
        ["test", "rules", str(REPO / "tests" / "infra" / "alerts_test.yaml")],
    ):
        done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
