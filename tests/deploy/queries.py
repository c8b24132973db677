"""Reads the queries in the files for Prometheus and Grafana."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import yaml

from tests.support.site_subprocess import ROOT

RULES = ROOT / "deploy" / "prometheus-rules.yaml"
DASHBOARD = ROOT / "deploy" / "grafana-dashboard.json"

SELECTOR = re.compile(r"\b(llm_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Query:
    """One query: the alert or panel where it stands, its expression, and the labels that the text beside it shows."""

    where: str
    expression: str
    shown: frozenset[str]

    @property
    def selectors(self) -> list[tuple[str, list[tuple[str, str, str]]]]:
        """Each metric that the query reads, with its matchers. A matcher is a label, an operator and a value."""
        return [(name, MATCHER.findall(matchers)) for name, matchers in SELECTOR.findall(self.expression)]

    @property
    def grouped(self) -> set[str]:
        """The labels that the result keeps."""
        lists = re.findall(r"\bby\s*\(([^)]*)\)", self.expression)
        return {label.strip() for labels in lists for label in labels.split(",")}


def alerts() -> list[Query]:
    found = []
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            text = " ".join(rule["annotations"].values())
            shown = frozenset(re.findall(r"\$labels\.(\w+)", text))
            found.append(Query(rule["alert"], rule["expr"], shown))
    return found


def panels() -> list[Query]:
    """The queries of the dashboard. Grafana's own variables are replaced by values, as Grafana does it."""
    found = []
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
            shown = frozenset(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            found.append(Query(panel["title"], expression, shown))
    return found
