"""The shipped bundle in both engines, and the command line around it."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ml.bundles import find_task_bundle, hash_file, load_bundle
from ml.errors import CanaryMismatch, RuntimeUnavailable
from ml.images import read_frames
from ml.manifest import read_manifest, write_manifest
from ml.predictor import Predictor, check_canary, open_predictor
from ml.runtimes import open_runtime
from ml.workshop.cli import main
from ml.workshop.commands.options import BUNDLES_DIR
from tests.ml.conftest import ROOT
from tests.ml.pictures import LABELS, draw_case, draw_noise, encode_picture, make_dicom
from tests.ml.routers import LABELS as ROUTER_LABELS
from tests.ml.routers import make_router

BLANK = np.zeros((128, 128), np.uint8)


@pytest.fixture
def inputs(predictor: Predictor) -> np.ndarray:
    rng, side = np.random.default_rng(8), predictor.bundle.manifest.input.size
    cases = [draw_case(LABELS[number % 3], rng, side=side) for number in range(21)]
    return np.stack(cases)[..., np.newaxis].astype(np.float32)


def test_predict_answers_whole(predictor: Predictor) -> None:
    frame = read_frames(encode_picture(draw_case("normal", np.random.default_rng(1), 200)))[0]
    (prediction,) = predictor.predict([frame])
    assert list(prediction.probabilities) == list(predictor.bundle.labels)
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    for activation in prediction.activation_maps.values():
        assert activation.min() >= 0
        assert activation.max() <= 1
    assert prediction.embedding.ndim == 1
    assert prediction.distance > 0


def test_predict_gives_the_same_scores_in_any_batch(predictor: Predictor) -> None:
    rng = np.random.default_rng(4)
    frames = [read_frames(encode_picture(draw_case(LABELS[n % 3], rng)))[0] for n in range(35)]
    together = [list(one.probabilities.values()) for one in predictor.predict(frames)]
    alone = [list(predictor.predict([frame])[0].probabilities.values()) for frame in frames]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_predict_gives_the_same_score_when_a_radiograph_is_stored_inverted(
    predictor: Predictor,
) -> None:
    stored = draw_case("pneumonia", np.random.default_rng(9), side=256).astype(np.uint16) * 16
    window = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096, "Modality": "CR"}
    usual = make_dicom(stored, **window)
    twin = make_dicom(4095 - stored, PhotometricInterpretation="MONOCHROME1", **window)
    first, second = predictor.predict([read_frames(usual)[0], read_frames(twin)[0]])
    for label, score in first.probabilities.items():
        assert second.probabilities[label] == pytest.approx(score, abs=5e-3)


def test_both_engines_agree_and_don_t_depend_on_the_batch(
    released_path: Path, inputs: np.ndarray
) -> None:
    from ml.calibration import softmax
    from ml.runtimes.tensorflow import open_tensorflow

    bundle = load_bundle(released_path)
    engines = [open_runtime(bundle, device="cpu"), open_tensorflow(bundle, needs_gpu=False)]
    scores = [softmax(engine.predict(inputs).logits) for engine in engines]
    assert np.abs(scores[0] - scores[1]).max() <= bundle.manifest.parity.tolerance
    np.testing.assert_array_equal(scores[0].argmax(axis=1), scores[1].argmax(axis=1))
    for engine, together in zip(engines, scores, strict=True):
        alone = softmax(np.concatenate([engine.predict(one[None]).logits for one in inputs]))
        np.testing.assert_allclose(alone, together, atol=1e-5)
        assert check_canary(bundle, engine) <= bundle.manifest.parity.tolerance


def test_open_runtime_refuses_when_the_device_is_not_there(released_path: Path) -> None:
    bundle = load_bundle(released_path)
    with pytest.raises(RuntimeUnavailable):
        open_runtime(bundle, device="abacus")
    with pytest.raises(RuntimeUnavailable):
        open_runtime(bundle, device="gpu")


def test_open_predictor_refuses_when_the_canary_scores_differ(
    released_path: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(released_path, tmp_path / "copy")
    with np.load(copy / "canary.npz") as canary:
        inputs, logits = canary["inputs"], canary["logits"]
    np.savez_compressed(copy / "canary.npz", inputs=inputs, logits=logits[:, ::-1])
    manifest, _ = read_manifest(copy)
    files = manifest.files | {"canary.npz": hash_file(copy / "canary.npz")}
    write_manifest(dataclasses.replace(manifest, files=files), copy)
    with pytest.raises(CanaryMismatch):
        open_predictor(copy, device="cpu")


def test_open_predictor_gives_the_scores_of_the_report(
    predictor: Predictor, shared: Path, released_path: Path
) -> None:
    import csv

    with (released_path / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))[::120]
    frames = [read_frames(shared / "data" / row["path"])[0] for row in rows]
    for row, prediction in zip(rows, predictor.predict(frames), strict=True):
        for label, score in prediction.probabilities.items():
            assert score == pytest.approx(float(row[label]), abs=1e-3)
        assert predictor.conclude([prediction]).label_at_thresholds == row["given"]


def test_predict_command_answers_each_file_in_order(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "good.png").write_bytes(
        encode_picture(draw_case("normal", np.random.default_rng(2)))
    )
    (tmp_path / "lateral.dcm").write_bytes(
        make_dicom(draw_case("normal", np.random.default_rng(2)), ViewPosition="LL", Modality="DX")
    )
    (tmp_path / "bad.dcm").write_bytes(b"no image")
    files = [str(tmp_path / name) for name in ("bad.dcm", "lateral.dcm", "good.png")]
    assert main(["predict", "--task", "chest-xray", "--device", "cpu", *files]) == 1
    bad, lateral, good = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert [bad["path"], lateral["path"], good["path"]] == files
    assert set(bad) == {"path", "error", "model_digest"}
    assert set(bad["error"]) == {"code", "message", "action"}
    assert bad["error"]["code"] == "image_unreadable"
    assert lateral["abstained"] is True
    assert lateral["label"] is None
    assert lateral["abstention"]["code"] == "wrong_view"
    assert sum(good["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    digest = load_bundle(find_task_bundle(BUNDLES_DIR, "chest-xray")).digest
    assert [one["model_digest"] for one in (bad, lateral, good)] == [digest] * 3


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_predict_command_prints_json_unless_text_is_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: list[str]
) -> None:
    path = tmp_path / "good.png"
    path.write_bytes(encode_picture(draw_case("normal", np.random.default_rng(2))))
    arguments = ["predict", "--task", "chest-xray", "--device", "cpu", str(path)]
    assert main([*arguments, *option]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == str(path)


def test_predict_command_writes_lines_for_people_when_asked_for_text(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name, pixels in (
        ("a.png", draw_case("normal", np.random.default_rng(2))),
        ("b.png", BLANK),
    ):
        (tmp_path / name).write_bytes(encode_picture(pixels))
    (tmp_path / "c.png").write_bytes(b"no image")
    files = sorted(str(path) for path in tmp_path.iterdir())
    assert main(["predict", "--task", "chest-xray", "--text", "--device", "cpu", *files]) == 1
    good, blank, bad = capsys.readouterr().out.splitlines()
    assert good.startswith(f"{files[0]}: ")
    assert "pneumonia 0." in good
    assert blank.startswith(f"{files[1]}: abstained: This image is blank")
    assert bad.startswith(f"{files[2]}: image_unreadable: ")


def test_predict_command_reads_every_kind_of_picture(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    case = draw_case("normal", np.random.default_rng(2))
    for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
        (tmp_path / f"{len(kind)}.{kind}").write_bytes(encode_picture(case, kind))
    (tmp_path / "series.dcm").write_bytes(
        make_dicom(np.concatenate([case, case[::-1]]), Rows=128, NumberOfFrames=2)
    )
    files = sorted(str(path) for path in tmp_path.iterdir())
    assert main(["predict", "--task", "chest-xray", "--device", "cpu", *files]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["path"] for answer in answers] == files
    for answer in answers:
        assert list(answer["probabilities"]) == list(LABELS)
        assert answer["frames"] == (2 if answer["path"].endswith("dcm") else 1)
        assert answer["stage"] in ("released", "research")
        assert answer["indeterminate"] in (True, False)
        assert answer["abstained"] == (answer["label"] is None)


def test_predict_command_gives_probabilities_when_it_abstains(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "noise.png"
    path.write_bytes(encode_picture(draw_noise()))
    assert main(["predict", "--task", "chest-xray", "--device", "cpu", str(path)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["abstention"]["reason"] == "This image is nothing but noise."
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert answer["indeterminate"] is False


@pytest.fixture(scope="module")
def routed(released_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two bundles: the chest model, and a router that is the same network."""
    folder = tmp_path_factory.mktemp("bundles")
    shutil.copytree(released_path, folder / "chest-xray" / "1.0.0")
    make_router(released_path, folder)
    return folder


def sample(name: str) -> str:
    return str(ROOT / "samples" / name / "01.dcm")


def digest_of(bundles: Path, task: str) -> str:
    return load_bundle(find_task_bundle(bundles, task)).digest


def draw_page() -> np.ndarray:
    """A page of text."""
    page = Image.new("L", (200, 280), 255)
    for line in range(16):
        ImageDraw.Draw(page).text((12, 12 + 16 * line), "No finding in either lung.", fill=0)
    return np.asarray(page)


def test_predict_command_finds_the_task_by_the_look_when_it_routes(
    capsys: pytest.CaptureFixture[str], routed: Path
) -> None:
    options = ["--route", "--device", "cpu", "--bundles", str(routed)]
    assert main(["predict", *options, sample("chest-normal-adult-2")]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["task"], answer["label"]) == ("chest-xray", "normal")
    assert answer["model_digest"] == digest_of(routed, "chest-xray")
    assert answer["routing"]["label"] == "chest-xr"
    assert answer["routing"]["model_digest"] == digest_of(routed, "body-part")


def test_predict_command_gives_the_router_s_answer_when_no_task_can_be_chosen(
    capsys: pytest.CaptureFixture[str], routed: Path, tmp_path: Path
) -> None:
    pictures = {"blank.png": BLANK, "dot.png": BLANK[:1, :1], "page.png": draw_page()}
    for name, pixels in pictures.items():
        (tmp_path / name).write_bytes(encode_picture(pixels))
    files = [sample("chest-tuberculosis-1"), *(str(tmp_path / name) for name in pictures)]
    options = ["--route", "--device", "cpu", "--bundles", str(routed)]
    assert main(["predict", *options, *files]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["path"] for answer in answers] == files
    for answer in answers:
        assert (answer["task"], answer["label"], answer["abstained"]) == ("body-part", None, True)
        assert list(answer["probabilities"]) == list(ROUTER_LABELS.values())
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-3)
        seen = max(answer["probabilities"], key=answer["probabilities"].__getitem__)
        assert answer["routing"]["label"] == seen
        assert answer["model_digest"] == digest_of(routed, "body-part")
    hand, blank, dot, _ = answers
    assert hand["abstention"]["code"] == "no_task"
    assert "a hand X-ray" in hand["abstention"]["reason"]
    assert blank["abstention"]["code"] == dot["abstention"]["code"] == "constant_image"


@pytest.mark.parametrize(
    ("option", "task"), [([], "body-part"), (["--task", "chest-xray"], "chest-xray")]
)
def test_predict_command_names_the_model_that_looks_first_when_a_routed_file_fails(
    capsys: pytest.CaptureFixture[str], routed: Path, tmp_path: Path, option: list[str], task: str
) -> None:
    (tmp_path / "bad.dcm").write_bytes(b"no image")
    options = ["--route", *option, "--device", "cpu", "--bundles", str(routed)]
    assert main(["predict", *options, str(tmp_path / "bad.dcm")]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) == {"path", "error", "model_digest"}
    assert answer["model_digest"] == digest_of(routed, task)


def test_predict_command_withholds_an_answer_when_the_image_looks_like_another_part(
    capsys: pytest.CaptureFixture[str], routed: Path
) -> None:
    options = ["--task", "chest-xray", "--route", "--bundles", str(routed)]
    files = [sample("chest-normal-adult-2"), sample("chest-tuberculosis-1")]
    assert main(["predict", *options, "--device", "cpu", *files]) == 0
    agreed, other = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert agreed["label"] == "normal"
    assert other["label"] is None
    assert other["abstention"]["code"] == "routed_elsewhere"
    assert sum(other["probabilities"].values()) == pytest.approx(1, abs=1e-3)


def test_predict_command_explains_when_there_is_no_router(
    capsys: pytest.CaptureFixture[str], released_path: Path
) -> None:
    folder = str(released_path.parents[2])
    assert main(["predict", "--route", "--bundles", f"{folder}/none", "x.png"]) == 2
    assert "bundle_invalid" in capsys.readouterr().err


def test_predict_command_asks_for_a_task_when_it_has_no_way_to_find_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["predict", "x.png"]) == 2
    assert "--task" in capsys.readouterr().err


def test_predict_command_explains_when_there_is_no_such_task(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["predict", "--task", "palmistry", "x.png"]) == 2
    assert "bundle_invalid" in capsys.readouterr().err
