"""What ships under ml/bundles: every bundle whole and small, and told truly in the docs."""

from pathlib import Path

import pytest

from ml.bundles import find_bundles, find_task_bundle, load_bundle
from ml.commands.options import BUNDLES_DIR
from ml.openings import read_openings
from ml.predictor import check_canary, open_predictor
from ml.rejects import score_rejects
from ml.rejects.gathered import PHOTOGRAPH_KINDS, read_photographs
from ml.task_config import find_task, load_task

BUNDLES = find_bundles(BUNDLES_DIR)
MAX_BYTES = 16_000_000
MODELS_PAGE = Path(__file__).parents[2] / "docs" / "models.md"

every_bundle = pytest.mark.parametrize(
    "path", BUNDLES, ids=lambda path: f"{path.parent.name}-{path.name}"
)


@pytest.mark.parametrize("task", sorted({path.parent.name for path in BUNDLES}))
def test_task_file_stands_for_the_newest_bundle(task: str) -> None:
    config = load_task(find_task(task))
    path = find_task_bundle(BUNDLES_DIR, task)
    manifest = load_bundle(path).manifest
    assert config.version == manifest.version
    assert config.digest == manifest.training.config_sha256


@every_bundle
def test_shipped_bundle_is_whole_and_small(path: Path) -> None:
    predictor = open_predictor(path, device="cpu")
    assert check_canary(predictor.bundle, predictor.runtime) <= 1e-3
    assert sum(file.stat().st_size for file in path.iterdir()) <= MAX_BYTES
    manifest = predictor.bundle.manifest
    assert (manifest.task, manifest.version) == path.parts[-2:]
    assert manifest.parity.labels_changed == 0
    assert manifest.parity.max_difference <= 1e-3
    card = (path / "model_card.md").read_text()
    assert "Not for clinical use" in card
    assert "not verified" in card


@every_bundle
def test_shipped_bundle_refuses_photographs(path: Path) -> None:
    """Those that no gate was fitted on: whole and in colour, and pieces of them in grey."""
    predictor = open_predictor(path, device="cpu")
    photographs = list(read_photographs("test", ()))
    stranger_label = load_task(find_task(predictor.bundle.task)).scope.stranger_label
    score = score_rejects(predictor, photographs, refusing_label=stranger_label)
    assert score.images >= 70
    assert score.refused >= 0.95
    assert set(score.by_kind) == set(PHOTOGRAPH_KINDS)
    assert min(score.by_kind.values()) >= 0.9
    assert predictor.bundle.manifest.distance.validation_refusal <= 0.05


@every_bundle
def test_shipped_bundle_has_the_stage_that_its_figures_earn(path: Path) -> None:
    manifest = load_bundle(path).manifest
    task = load_task(find_task(manifest.task))
    assert set(manifest.gate) == set(task.gate)
    earned = all(
        manifest.metrics[name].value >= result.minimum for name, result in manifest.gate.items()
    )
    assert manifest.stage == ("released" if earned else "research")
    assert any(one.version == manifest.version for one in read_openings(path.parent))


@every_bundle
def test_models_page_gives_the_figures_of_the_manifest(path: Path) -> None:
    """A row of the page: task, version, stage, figure, value with its interval, target."""
    manifest = load_bundle(path).manifest
    start = f"| {manifest.task} {manifest.version} | {manifest.stage} | "
    rows = [line for line in MODELS_PAGE.read_text().splitlines() if line.startswith(start)]
    assert rows
    for row in rows:
        name, told = (cell.strip(" `") for cell in row.split("|")[3:5])
        metric = manifest.metrics[name]
        assert told == f"{metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f})"
