"""What the running product tells those who watch it: figures, and a log of JSON alone."""

import io
import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable

import numpy as np
import pytest
import yaml
from PIL import Image
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from tests.e2e.conftest import png_of
from tests.e2e.test_survival import chest_fields
from tests.prerequisites import require_program
from tests.product import ROOT, Client, Product, wait_for

pytestmark = pytest.mark.slow

AN_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-|[0-2](\.\d+){5,}|[0-9a-f]{32}")
NAMED = re.compile(r"\bmedimaging_\w+")


def scrape(product: Product) -> str:
    """What Prometheus would get now."""
    port = product.environment["METRICS_PORT"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return answer.read().decode()


def total(text: str, name: str, **labels: str) -> float:
    """The sum of all samples of `name` that have `labels`."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if re.match(rf"{name}(\{{| )", line) and all(label in line for label in wanted)
    )


def quiet(product: Product) -> str:
    """Figures at a moment at which no classification is on its way; nothing at any other."""
    text = scrape(product)
    now = "medimaging_classifications_now"
    on_its_way = total(text, now, state="queued") + total(text, now, state="running")
    return "" if on_its_way else text


@pytest.fixture(scope="module")
def watched(
    product: Product, token_for: Callable[[str], str], chest_image: bytes
) -> tuple[str, str, str]:
    """Figures before and after some work was done, and the id of the study that was sent."""
    before = wait_for(lambda: quiet(product), seconds=90, what="the samples' answers")
    sender: Client = product.client(token_for("technician"))
    pixels = np.asarray(Image.open(io.BytesIO(chest_image)).convert("L")).astype(int)
    noise = np.random.default_rng().integers(-3, 4, size=pixels.shape)
    files = {"chest.png": png_of(np.clip(pixels + noise, 0, 255)), "note.txt": b"no image"}
    sent = sender.submit(files, **chest_fields())
    (study,) = {file["study"] for file in sender.get(f"submissions/{sent['id']}/")["files"]} - {
        None
    }
    sender.wait_for_state(study, "awaiting_review", "abstained")
    ae = AE(ae_title="STRANGER")
    ae.add_requested_context(Verification)
    ae.associate("127.0.0.1", int(product.environment["DICOM_PORT"]), ae_title="MEDIMAGING")

    def look() -> str:
        text = scrape(product)
        names = ("medimaging_classifications_total", "medimaging_audit_events_total")
        # The site's figures are read every ten seconds.
        return text if all(total(text, name) > total(before, name) for name in names) else ""

    after = wait_for(look, seconds=60, what="a classification that is counted")
    return before, after, study


def test_figures_are_well_formed_and_name_nobody(watched: tuple[str, str, str]) -> None:
    require_program("promtool", "prometheus")
    _, after, study = watched

    done = subprocess.run(
        ["promtool", "check", "metrics"], input=after, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert study not in after
    for line in after.splitlines():
        assert not AN_ID.search(line), line


def test_work_is_counted_once_whichever_process_did_it(watched: tuple[str, str, str]) -> None:
    before, after, _ = watched

    def grown(name: str, **labels: str) -> float:
        return total(after, name, **labels) - total(before, name, **labels)

    assert grown("medimaging_intake_files_total", door="api", verdict="stored") == 1
    assert grown("medimaging_intake_files_total", door="api", verdict="rejected") == 1
    assert grown("medimaging_dimse_associations_total", outcome="rejected") == 1
    ended = grown("medimaging_classifications_total")
    assert ended == grown("medimaging_classification_attempts_total", end="answered") == 1
    assert grown("medimaging_classification_run_seconds_count") == 1
    route = "/api/v1/submissions/"
    assert grown("medimaging_http_request_seconds_count", method="POST", route=route) == 1
    assert grown("medimaging_audit_events_total") >= 1
    assert total(after, "medimaging_figures_up") == 4
    assert total(after, "medimaging_part_state", part="database", state="ok") == 1
    assert total(after, "medimaging_storage_free_bytes") > 0


def test_alerts_and_dashboard_ask_for_nothing_that_is_not_told(
    watched: tuple[str, str, str],
) -> None:
    told = set(re.findall(r"^# TYPE (\w+)", watched[1], re.MULTILINE))
    told |= {f"{name}{end}" for name in told for end in ("_bucket", "_sum", "_count")}
    rules = yaml.safe_load((ROOT / "docker/prometheus/alerts.yml").read_text())
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    dashboard = json.loads((ROOT / "docker/grafana/dashboard.json").read_text())
    asked += [one["expr"] for panel in dashboard["panels"] for one in panel.get("targets", ())]

    missing = {name for text in asked for name in NAMED.findall(text)} - told
    assert missing == set()


def test_every_figure_is_explained_to_operators(watched: tuple[str, str, str]) -> None:
    told = set(re.findall(r"^# TYPE (\w+)", watched[1], re.MULTILINE))
    section = (ROOT / "docs/operators.md").read_text().partition("## Watching it")[2]
    explained = set()
    for row in re.findall(r"^\| (`.+?) \|", section, re.MULTILINE):
        names = re.findall(r"`([\w…]+)`", row)
        for name in names:
            before = names[0].rpartition("_")[0]
            # `…_end` stands for what begins as the first of its row does.
            while name.startswith("…") and f"medimaging_{before}{name[1:]}" not in told and before:
                before = before.rpartition("_")[0]
            explained.add(f"medimaging_{name.replace('…', before)}")

    assert told - explained == set()


def test_figures_are_not_told_where_people_get_to(product: Product) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{product.url}/metrics", timeout=10)
    with caught.value as answer:
        assert answer.code == 404


def test_every_line_of_the_running_product_is_json(
    product: Product, watched: tuple[str, str, str], technician: Client
) -> None:
    product.kill("export_metrics")
    wait_for(
        lambda: "metrics ended with -9" in product.output.read_text(),
        seconds=20,
        what="word of the killed program",
    )
    technician.request("GET", "nothing/")

    for file in (product.output, product.data_dir / "log" / "quickstart.log"):
        lines = file.read_text().splitlines()
        events = [json.loads(line) for line in lines]
        assert {"web", "worker", "dicom", "metrics", "quickstart"} <= {
            event["program"] for event in events if "program" in event
        }
        assert all(event["message"] and event["level"] for event in events)
