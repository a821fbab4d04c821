"""The alerts and the dashboard that ship: they hold by Prometheus's own tool and lead somewhere."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.prerequisites import require_program
from tests.product import ROOT

ALERTS = ROOT / "docker/prometheus/alerts.yml"
DASHBOARD = json.loads((ROOT / "docker/grafana/dashboard.json").read_text())
RULES: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
OPERATORS = (ROOT / "docs/operators.md").read_text()
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

# Of each alert: figures under which it fires, and figures under which nobody is called. In
# promtool's words: a start, and what is added each minute.
ILL_AND_WELL: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "MedimagingNotWatched": (
        {'up{job="medimaging-site"}': "0x100"},
        {'up{job="medimaging-site"}': "1x100"},
    ),
    "MedimagingFiguresMissing": (
        {'medimaging_figures_up{source="database"}': "0x100"},
        {'medimaging_figures_up{source="database"}': "1 0 1x100"},
    ),
    "MedimagingDatabaseDown": (
        {'medimaging_part_state{part="database",state="unknown"}': "1x100"},
        {'medimaging_part_state{part="database",state="ok"}': "1x100"},
    ),
    "MedimagingMigrationsPending": (
        {'medimaging_part_state{part="migrations",state="down"}': "1x100"},
        {'medimaging_part_state{part="migrations",state="down"}': "1x3 0x100"},
    ),
    "MedimagingRedisDown": (
        {'medimaging_part_state{part="redis",state="degraded"}': "1x100"},
        {'medimaging_part_state{part="redis",state="ok"}': "1x100"},
    ),
    "MedimagingStorageLow": (
        {'medimaging_part_state{part="room",state="degraded"}': "1x100"},
        {
            'medimaging_part_state{part="room",state="ok"}': "1x100",
            'medimaging_part_state{part="room",state="degraded"}': "0x100",
        },
    ),
    "MedimagingStorageFillsUp": (
        {
            "medimaging_storage_free_bytes": "200000-50x100",
            "medimaging_storage_least_bytes": "2000x100",
        },
        {
            "medimaging_storage_free_bytes": "800000-50x100",
            "medimaging_storage_least_bytes": "2000x100",
        },
    ),
    "MedimagingPartIll": (
        {'medimaging_part_state{part="room",state="unknown"}': "1x100"},
        {'medimaging_part_state{part="redis",state="degraded"}': "1x100"},
    ),
    "MedimagingNoWorker": (
        {'medimaging_processes{role="worker"}': "0x100"},
        {'medimaging_processes{role="worker"}': "1x100"},
    ),
    "MedimagingNoHousekeeping": (
        {'medimaging_processes{role="beat"}': "0x100"},
        {'medimaging_processes{role="dicom"}': "0x100"},
    ),
    "MedimagingProcessSilent": (
        {'medimaging_processes_silent{role="worker"}': "1x100"},
        {'medimaging_processes_silent{role="worker"}': "1 0x100"},
    ),
    "MedimagingClockOff": (
        {'medimaging_clock_offset_seconds{role="worker"}': "600x100"},
        {'medimaging_clock_offset_seconds{role="worker"}': "0.2x100"},
    ),
    "MedimagingUrgentWaits": (
        {'medimaging_queue_oldest_seconds{priority="urgent",task="skin-lesion"}': "0+60x100"},
        {
            'medimaging_queue_oldest_seconds{priority="urgent",task="skin-lesion"}': "90x100",
            'medimaging_queue_oldest_seconds{priority="routine",task="retina"}': "600x100",
        },
    ),
    "MedimagingQueueStandsStill": (
        {'medimaging_queue_oldest_seconds{priority="routine",task="retina"}': "0+60x100"},
        {'medimaging_queue_oldest_seconds{priority="routine",task="retina"}': "900x100"},
    ),
    "MedimagingStudiesWait": (
        {'medimaging_classifications_waiting{code="store_unavailable"}': "6x100"},
        {'medimaging_classifications_waiting{code="store_unavailable"}': "6x5 0x100"},
    ),
    "MedimagingClassificationsFail": (
        {
            'medimaging_classifications_total{task="retina",state="failed"}': "0x80 20x20",
            'medimaging_classifications_total{task="retina",state="abstained"}': "0+1x100",
        },
        {
            'medimaging_classifications_total{task="retina",state="failed"}': "0x80 4x20",
            'medimaging_classifications_total{task="retina",state="abstained"}': "0+10x100",
        },
    ),
    "MedimagingRunsRepeat": (
        {'medimaging_classification_attempts_total{end="requeued"}': "0x80 9x20"},
        {'medimaging_classification_attempts_total{end="requeued"}': "0x80 2x20"},
    ),
    "MedimagingModelUnsigned": (
        {'medimaging_model_signed{task="retina",version="1.0.0"}': "0x100"},
        {'medimaging_model_signed{task="retina",version="1.0.0"}': "1x100"},
    ),
    "MedimagingFilesDamaged": (
        {"medimaging_stored_files_damaged": "0x80 1x20"},
        {"medimaging_stored_files_damaged": "0x100"},
    ),
    "MedimagingScrubBehind": (
        {"medimaging_stored_files_longest_unread_seconds": "4000000x100"},
        {"medimaging_stored_files_longest_unread_seconds": "2592000x100"},
    ),
    "MedimagingWriteHangs": (
        {"medimaging_database_oldest_write_seconds": "0+60x100"},
        {"medimaging_database_oldest_write_seconds": "40x100"},
    ),
    "MedimagingMailWaits": (
        {"medimaging_mails_oldest_seconds": "0+60x100"},
        {"medimaging_mails_oldest_seconds": "60x100"},
    ),
    "MedimagingExportStuck": (
        {"medimaging_exports_oldest_preparing_seconds": "0+60x100"},
        {"medimaging_exports_oldest_preparing_seconds": "600x100"},
    ),
    "MedimagingRequestsFail": (
        {
            'medimaging_http_request_seconds_count{status="2xx"}': "0+100x100",
            'medimaging_http_request_seconds_count{status="5xx"}': "0+5x100",
        },
        {
            'medimaging_http_request_seconds_count{status="2xx"}': "0+100x100",
            'medimaging_http_request_seconds_count{status="5xx"}': "0+1x100",
        },
    ),
    "MedimagingPagesSlow": (
        {
            'medimaging_http_request_seconds_bucket{method="GET",status="2xx",le="2.5"}': "0+9x100",
            'medimaging_http_request_seconds_bucket{method="GET",status="2xx",le="5"}': "0+10x100",
            'medimaging_http_request_seconds_bucket{method="GET",status="2xx",le="+Inf"}': (
                "0+10x100"
            ),
        },
        {
            'medimaging_http_request_seconds_bucket{method="GET",status="2xx",le="2.5"}': (
                "0+99x100"
            ),
            'medimaging_http_request_seconds_bucket{method="GET",status="2xx",le="5"}': "0+100x100",
            'medimaging_http_request_seconds_bucket{method="GET",status="2xx",le="+Inf"}': (
                "0+100x100"
            ),
        },
    ),
    "MedimagingDicomFails": (
        {
            'medimaging_dimse_operations_total{operation="C_STORE",status="0xA700"}': ("0x90 9x10"),
        },
        {'medimaging_dimse_operations_total{operation="C_STORE",status="0x0000"}': "0+9x100"},
    ),
}


@pytest.fixture(autouse=True)
def _promtool_is_there() -> None:
    require_program("promtool", "prometheus")


def promtool(*arguments: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        ["promtool", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_the_rules_and_the_example() -> None:
    assert f"{len(RULES)} rules found" in promtool("check", "rules", ALERTS)
    promtool("check", "config", ROOT / "docker/prometheus/prometheus.yml")


def test_each_alert_fires_when_it_has_to_and_not_otherwise(tmp_path: Path) -> None:
    assert {rule["alert"] for rule in RULES} == set(ILL_AND_WELL)
    files = [rule_test(rule, *ILL_AND_WELL[rule["alert"]], tmp_path) for rule in RULES]

    promtool("test", "rules", *files)


def rule_test(
    rule: dict[str, Any], ill: dict[str, str], well: dict[str, str], folder: Path
) -> Path:
    """A test of one rule by itself, for promtool: all of them each minute would take long."""
    alert = rule["alert"]
    rules = folder / f"{alert}.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": [rule]}]}, width=10_000))
    tests = [
        {
            "name": f"{alert}, {'ill' if fires else 'well'}",
            "interval": "1m",
            "input_series": [
                {"series": series, "values": values} for series, values in figures.items()
            ],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
                    "eval_time": "95m",
                    "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                }
            ],
        }
        for fires, figures in ((True, ill), (False, well))
    ]
    file = folder / f"{alert}.test.yml"
    content = {"rule_files": [rules.name], "evaluation_interval": "1m", "tests": tests}
    file.write_text(yaml.safe_dump(content, width=10_000))
    return file


def test_each_alert_says_what_is_so_and_what_to_do_and_leads_to_its_section() -> None:
    headings = {
        "#" + re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", OPERATORS, re.MULTILINE)
    }

    for rule in RULES:
        said = rule["annotations"]
        assert said["summary"].rstrip().endswith((".", "}}.")), rule["alert"]
        assert said["action"].endswith("."), rule["alert"]
        document, _, anchor = said["runbook_url"].partition("#")
        assert document == "docs/operators.md"
        assert f"#{anchor}" in headings, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_the_dashboard_has_the_shape_that_grafana_imports() -> None:
    assert DASHBOARD["schemaVersion"] >= 39
    assert DASHBOARD["id"] is None
    assert DASHBOARD["uid"]
    (variable,) = DASHBOARD["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["title"]
        assert panel["description"]
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters)) > 0
        for source in (panel["datasource"], *(one["datasource"] for one in panel["targets"])):
            assert source == {"type": "prometheus", "uid": f"${{{variable['name']}}}"}


def test_no_two_panels_lie_on_one_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_each_question_of_the_dashboard_is_one_that_prometheus_understands(
    tmp_path: Path,
) -> None:
    rules = [
        {"record": f"panel:{panel['id']}:{target['refId']}", "expr": target["expr"]}
        for panel in PANELS
        for target in panel["targets"]
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    assert f"{len(rules)} rules found" in promtool("check", "rules", file)
