"""The cluster launcher's file, checked by Ray's own validation and by boto3's model of EC2."""

from __future__ import annotations

import shlex
from typing import Any

import botocore.session
import pytest
import yaml
from botocore.validate import ParamValidator
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.support.paths import REPO


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """As Ray sees it, with its defaults filled in."""
    raw = yaml.safe_load((REPO / "infra" / "cluster" / "aws.yaml").read_text(encoding="utf-8"))
    return dict(prepare_config(raw))


def test_ray_takes_it(config: dict[str, Any]) -> None:
    """Against ray/autoscaler/ray-schema.json, where unknown keys are errors."""
    validate_config(config)


def test_ec2_knows_every_setting_of_every_node_type(config: dict[str, Any]) -> None:
    ec2 = botocore.session.get_session().get_service_model("ec2")
    shape = ec2.operation_model("RunInstances").input_shape
    for name, node in config["available_node_types"].items():
        request = {k: v for k, v in node["node_config"].items() if k != "SubnetIds"}  # Ray picks one of them
        report = ParamValidator().validate({**request, "MinCount": 1, "MaxCount": 1}, shape)
        assert report.generate_report() == "", name


def test_the_head_is_without_work_and_workers_come_and_go(config: dict[str, Any]) -> None:
    types = config["available_node_types"]
    assert types["head"]["resources"]["CPU"] == 0
    assert "--num-cpus=0" in " ".join(config["head_start_ray_commands"])
    workers = [node for name, node in types.items() if name != "head"]
    assert [node["min_workers"] for node in workers] == [0, 0]
    assert config["max_workers"] >= sum(node["max_workers"] for node in workers)
    assert all(n["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot" for n in workers)


def test_every_ray_starts_with_a_token_and_on_loopback(config: dict[str, Any]) -> None:
    starts = [
        command
        for side in ("head", "worker")
        for command in config[f"{side}_start_ray_commands"]
        if " start " in command
    ]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token " in command for command in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert config["file_mounts"]["/home/ubuntu/.ray/auth_token"] == "~/.ray/auth_token"
    assert "chmod 600 ~/.ray/auth_token" in config["setup_commands"]


def test_no_node_is_open_to_the_internet_by_default(config: dict[str, Any]) -> None:
    """Ray's own security group lets SSH in from anywhere, and its own role may do anything in EC2 and S3."""
    for name, node in config["available_node_types"].items():
        assert node["node_config"]["SecurityGroupIds"], name
        assert node["node_config"]["IamInstanceProfile"], name
        assert node["node_config"]["MetadataOptions"]["HttpTokens"] == "required", name


def test_the_scripts_it_runs_exist(config: dict[str, Any]) -> None:
    words = [word for command in config["setup_commands"] for word in shlex.split(command)]
    scripts = [word for word in words if word.startswith("infra/")]
    assert scripts == ["infra/setup_env.sh"]
    assert (REPO / scripts[0]).is_file()
