"""The model card has the header that model hubs read, and its figures are those of the card's own table."""

from __future__ import annotations

from typing import Any

import yaml

from pipeline.models.weights_location import SHIPPED


def head_of(name: str) -> tuple[dict[str, Any], str]:
    _, head, text = (SHIPPED / f"{name}.md").read_text(encoding="utf-8").split("---\n", 2)
    result: dict[str, Any] = yaml.safe_load(head)
    return result, text


def test_the_head_says_licence_data_and_the_tables_figures() -> None:
    head, text = head_of("faithful")
    assert head["license"] == "other"
    assert head["datasets"]
    row = next(line for line in text.splitlines() if line.startswith("| all (343) | faithful |"))
    cells = [cell.strip().split(" ")[0] for cell in row.split("|")]
    for metric in head["model-index"][0]["results"][0]["metrics"]:
        assert {f"{metric['value']:.2f}", f"{metric['value']:.0f}"} & set(cells), metric
