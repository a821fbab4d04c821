"""The body-part model in front of the others: what an image looks like, against what is said."""

from pathlib import Path

import numpy as np
import pytest

from ml.abstention import Abstention
from ml.images import Frame, read_frames
from ml.manifest import read_manifest
from ml.predictor import Predictor, open_predictor
from ml.router import (
    AGREES,
    DISAGREES,
    ROUTED_ELSEWHERE,
    SURE,
    UNSURE,
    Agreement,
    Kinds,
    Routing,
    agree,
    compare_routing,
    make_routing,
    read_kinds,
)
from ml.workshop.task_config import find_task, load_task
from tests.ml.conftest import ROOT, load_chest
from tests.ml.pictures import encode_picture
from tests.ml.routers import make_router

KINDS = read_kinds()
KNOWN = frozenset(KINDS.names)
STRANGE = Abstention("unlike_training", "This image is unlike those.")


def look(router: Predictor, frame: Frame) -> Routing:
    (prediction,) = router.predict([frame])
    return make_routing(router, frame, prediction, KINDS)


def route(
    label: str, *, probability: float = 0.99, abstention: Abstention | None = None
) -> Routing:
    is_sure = abstention is None and probability >= SURE
    return Routing(label, KINDS.task_of(label), probability, is_sure, abstention, KNOWN)


@pytest.fixture(scope="module")
def router(released_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """The shipped network under the labels of a body-part model."""
    folder = tmp_path_factory.mktemp("router")
    return open_predictor(make_router(released_path, folder), device="cpu")


def test_tasks_and_labels_lead_to_one_another() -> None:
    assert {KINDS.task_of(label): label for label in KINDS.labels.values()} == KINDS.labels
    assert set(KINDS.names) == set(load_task(find_task("body-part")).data.labels)


@pytest.mark.parametrize(
    ("routing", "task", "code"),
    [
        (route("chest-xr"), "chest-xray", AGREES),
        (route("chest-xr", probability=0.5), "chest-xray", AGREES),
        (route("chest-xr", abstention=STRANGE), "chest-xray", UNSURE),
        (route("hand-xr"), "chest-xray", DISAGREES),
        (route("hand-xr", probability=0.6), "chest-xray", UNSURE),
        (route("hand-xr", abstention=STRANGE), "chest-xray", UNSURE),
        (route("something_else"), "retina", DISAGREES),
        (route("chest-ct"), "chest-xray", DISAGREES),
        (route("chest-ct"), "palmistry", UNSURE),
    ],
)
def test_agree_compares_a_header_with_the_look(routing: Routing, task: str, code: str) -> None:
    agreement = agree(routing, task, KINDS)
    assert agreement.code == code
    assert agreement.reason.endswith(".")
    disagreement = compare_routing(task, routing, KINDS)
    assert (disagreement is not None) == (code == DISAGREES)
    if disagreement:
        assert disagreement.code == ROUTED_ELSEWHERE


def test_agree_compares_nothing_with_a_label_that_the_router_lacks() -> None:
    kinds = Kinds({**KINDS.labels, "mammography": "breast-xr"}, KINDS.names)
    agreement = agree(route("hand-xr"), "mammography", kinds)
    assert agreement == Agreement(
        UNSURE, "Images for mammography can't be told from others by look."
    )


def test_kinds_lead_a_label_to_the_first_task_that_has_it() -> None:
    kinds = Kinds({**KINDS.labels, "chest-masses": "chest-xr"}, KINDS.names)
    assert kinds.task_of("chest-xr") == "chest-xray"
    assert agree(route("chest-xr"), "chest-masses", kinds).code == AGREES
    assert kinds.task_of("hand-xr") is None
    assert kinds.name_of("elbow-xr") == "elbow-xr"


def test_export_writes_how_studies_reach_the_task(tiny_run: Path) -> None:
    (bundle,) = (tiny_run / "bundles" / "chest-xray").glob("*/")
    manifest, _ = read_manifest(bundle)
    assert manifest.routing == load_chest().routing
    assert manifest.routing is not None
    assert manifest.routing.router_label == "chest-xr"


def test_compare_routing_says_what_staff_can_check() -> None:
    found = compare_routing("chest-xray", route("hand-xr"), KINDS)
    assert found is not None
    assert found.reason == "The header says a chest X-ray, the image looks like a hand X-ray."


def test_make_routing_names_the_task_that_reads_such_an_image(router: Predictor) -> None:
    (frame,) = read_frames(ROOT / "samples" / "chest-normal-adult-1" / "01.dcm")
    routing = look(router, frame)
    assert (routing.label, routing.task, routing.abstention) == ("chest-xr", "chest-xray", None)
    assert routing.is_sure == (routing.probability >= SURE)


@pytest.mark.parametrize("is_blank", [True, False])
def test_make_routing_is_not_sure_when_the_image_shows_nothing_known(
    router: Predictor, is_blank: bool
) -> None:
    checkers = np.indices((128, 128)).sum(axis=0) % 2 * 255
    pixels = np.zeros((128, 128), np.uint8) if is_blank else checkers.astype(np.uint8)
    routing = look(router, read_frames(encode_picture(pixels))[0])
    assert routing.abstention is not None
    assert not routing.is_sure
    assert compare_routing("retina", routing, KINDS) is None
