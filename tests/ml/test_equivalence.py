"""When a bundle may stand in for another without anybody's decision."""

import json

import pytest

from ml.bundles import find_task_bundle
from ml.equivalence import answers_alike

MANIFEST = json.loads((find_task_bundle("ml/bundles", "chest-xray") / "manifest.json").read_text())


def changed(**entries: object) -> dict:
    return json.loads(json.dumps(MANIFEST)) | entries


def with_file(name: str) -> dict:
    return changed(files=MANIFEST["files"] | {name: "0" * 64})


@pytest.mark.parametrize(
    "other",
    [
        changed(),
        changed(version="9.9.9", created="2030-01-01T00:00:00+00:00"),
        changed(metrics={}, gate={}),
        changed(training=MANIFEST["training"] | {"averaged": 3}),
        with_file("model_card.md"),
        with_file("evaluation.json"),
    ],
)
def test_answers_alike_when_only_what_is_told_of_it_differs(other):
    assert answers_alike(MANIFEST, other)


def test_answers_alike_when_an_earlier_manifest_lacks_an_entry_with_a_default():
    former = changed()
    del former["gate"]
    assert answers_alike(former, MANIFEST)


@pytest.mark.parametrize(
    "other",
    [
        *(with_file(name) for name in ("network.bin", "network.xml", "network.json", "head.npz")),
        *(with_file(name) for name in ("gate.npz", "embeddings.npz", "canary.npz", "new.json")),
        changed(temperature=MANIFEST["temperature"] + 0.001),
        changed(operating=MANIFEST["operating"] | {"thresholds": {"pneumonia": 0.5}}),
        changed(operating=MANIFEST["operating"] | {"bands": {"pneumonia": [0.1, 0.2]}}),
        changed(distance=MANIFEST["distance"] | {"limit": 1.0}),
        changed(input=MANIFEST["input"] | {"hu_window": [-500, 1500]}),
        changed(preprocessing="another"),
        changed(aggregation="mean_of_top"),
        changed(labels=MANIFEST["labels"][::-1]),
        changed(limits=[]),
        changed(stage="research" if MANIFEST["stage"] == "released" else "released"),
        changed(task="retina"),
        changed(unheard_of=1),
        {},
    ],
)
def test_answers_alike_is_refused_when_an_answer_may_differ(other):
    assert not answers_alike(MANIFEST, other)
    assert not answers_alike(other, MANIFEST)
