"""The dashboard and the alerts use only metrics that a running service has, and Prometheus understands them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from django.utils import timezone

from chat.observers.metrics import CallMetrics
from chat.observers.model_labels import ModelLabels
from llm import AttemptStatus, CallStatus, Usage
from llm.simulator import Behaviour, SimulatorThread
from stats.models import Reconciliation
from tests.deploy.queries import DASHBOARD, RULES, Query, alerts, panels
from tests.support.database_servers import require
from tests.support.outcomes import an_order, attempt_of, outcome_of
from tests.support.site_subprocess import ROOT

PROMETHEUS_LABELS = {"instance", "job", "le"}
# All values that the label `status` may have. The values of other labels depend on what is called.
STATUSES = {
    "llm_calls_total": set(CallStatus),
    "llm_call_duration_seconds_bucket": set(CallStatus),
    "llm_attempts_total": set(AttemptStatus),
    "llm_attempt_duration_seconds_bucket": set(AttemptStatus),
}

queries = pytest.mark.parametrize("query", [*alerts(), *panels()], ids=lambda query: query.where)


@pytest.fixture
def metrics(start_site: Callable[..., httpx2.Client], simulator: SimulatorThread) -> dict[str, set[str]]:
    """The labels of each metric, read from /metrics after a call of every kind."""
    simulator.script("down", Behaviour(status=500))
    now = timezone.now()
    Reconciliation.objects.create(
        provider="openai", created_at=now, since=now, until=now, ours_usd=1, theirs_usd=1, drift_ratio=0
    )
    client = start_site(BREAKER_FAILURES=1, MAX_RETRIES=0, RATE_LIMIT="5/min")
    cached = {"prompt": "a", "model": "gpt-4o", "cache_ttl": 60}
    for door, order in (
        ("/chat", cached),
        ("/chat", cached),
        ("/chat/stream", {"prompt": "a", "model": "gpt-4o"}),
        ("/chat", {"prompt": "a", "model": "without-a-price"}),
        ("/chat", {"prompt": "a", "model": "down"}),
        ("/chat", {"prompt": "the sixth in a minute"}),
    ):
        client.post(door, json=order)
    used = Usage(prompt_tokens=1, completion_tokens=1)
    CallMetrics(ModelLabels([]))(
        an_order(), outcome_of(attempt_of(usage=used, cost_usd=Decimal(1), cost_incomplete=True))
    )
    give_up = time.monotonic() + 30
    slow = ("llm_circuit_breaker_state{", "llm_reconcile_drift_ratio{")  # tasks of the background write these
    while not all(name in (text := client.get("/metrics").text) for name in slow):
        assert time.monotonic() < give_up
        time.sleep(0.1)
    found: dict[str, set[str]] = defaultdict(set)
    for name, labels in re.findall(r"(?m)^(llm_\w+)(?:\{(.*)\})? \S+$", text):
        found[name] |= set(re.findall(r'(\w+)="', labels))
    return found


def test_every_metric_and_label_that_is_asked_for_exists(metrics: dict[str, set[str]]) -> None:
    for query in [*alerts(), *panels()]:
        assert query.selectors, query
        for name, matchers in query.selectors:
            assert name in metrics, f"{query.where}: there is no {name}"
            assert {label for label, _, _ in matchers} <= metrics[name] | PROMETHEUS_LABELS, query
            assert query.grouped <= metrics[name] | PROMETHEUS_LABELS, query


@queries
def test_every_status_that_is_asked_for_exists(query: Query) -> None:
    for name, matchers in query.selectors:
        for label, _, value in matchers:
            if label == "status":
                assert set(value.split("|")) <= STATUSES[name]


@queries
def test_a_text_shows_only_labels_that_its_query_keeps(query: Query) -> None:
    assert query.shown <= query.grouped


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("critical", "warning")
            assert set(rule["annotations"]) == {"summary", "action"}


def test_the_dashboard_can_be_imported_beside_any_data_source() -> None:
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text())
    assert "datasource" in [variable["name"] for variable in dashboard["templating"]["list"]]
    identities = [panel["id"] for panel in dashboard["panels"]]
    assert len(identities) == len(set(identities))
    shown = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    sources = [each["datasource"]["uid"] for panel in shown for each in (panel, *panel["targets"])]
    assert set(sources) == {"${datasource}"}
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, f"{panel['title']} lies over another panel"
        assert max(x for x, _ in cells) < 24
        taken |= cells


def promtool(*arguments: str) -> str:
    binary = shutil.which("promtool")
    require(binary, "Prometheus (promtool)")
    assert binary is not None
    done = subprocess.run([binary, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_alerts() -> None:
    assert f"{len(alerts())} rules found" in promtool("check", "rules", str(RULES))


def test_prometheus_takes_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"panel_{n}", "expr": query.expression} for n, query in enumerate(panels())]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(tmp_path / "panels.yaml"))


def test_alerts_fire_when_they_should_and_only_then() -> None:
    assert "SUCCESS" in promtool("test", "rules", str(ROOT / "tests" / "deploy" / "alerts_test.yaml"))


def test_the_documentation_names_the_files_and_repeats_no_expression() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    assert "deploy/prometheus-rules.yaml" in text
    assert "deploy/grafana-dashboard.json" in text
    assert not re.search(r"\b(rate|increase)\(", text)
