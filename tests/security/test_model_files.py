"""What a model file could do to whoever opens it, and the workshop's way to sign one."""

import json
import shutil
import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.bundles import find_task_bundle, load_bundle
from ml.errors import RuntimeUnavailable
from ml.predictor import Predictor
from ml.runtimes.openvino import open_openvino
from ml.signing import SIGNATURE, load_trusted_keys, product_keys
from ml.workshop.cli import main
from ml.workshop.commands.options import BUNDLES_DIR
from tests.classifier.bundles import TEST_KEY, reseal

MARK = "opened-by-the-model"


@pytest.fixture
def shipped(tmp_path):
    path = find_task_bundle(BUNDLES_DIR, "chest-xray")
    return shutil.copytree(path, tmp_path / "chest-xray" / path.name)


@pytest.fixture
def marker(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / MARK


def seal_unsigned(bundle):
    """Let the hashes agree with what was changed, as one could who has no key."""
    reseal(bundle)
    (bundle / SIGNATURE).unlink()


def expect_no_network(bundle):
    """Hold that what was changed is a known error to whoever opens it with TensorFlow."""
    from ml.runtimes.tensorflow import open_tensorflow

    seal_unsigned(bundle)
    with pytest.raises(RuntimeUnavailable):
        open_tensorflow(load_bundle(bundle), needs_gpu=False)


def rewrite_config(path, change):
    """Change the description of the network inside a Keras file."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def lambda_layer(config):
    """A layer that holds Python bytecode, as `keras.layers.Lambda` is saved."""
    import keras

    saved = keras.saving.serialize_keras_object(keras.layers.Lambda(lambda x: x))
    saved["inbound_nodes"] = []
    config["config"]["layers"].append(saved | {"name": "lambda"})


def function_of_another_module(config):
    """A layer whose class is any function that Python can import."""
    config["config"]["layers"][0].update(
        module="os", class_name="system", config=f"touch {MARK}", registered_name="system"
    )


def unsafe_switch(config):
    """A description that asks Keras to leave its safe mode while it is read."""
    config["config"]["layers"].insert(
        0,
        {
            "module": "keras.config",
            "class_name": "function",
            "config": "enable_unsafe_deserialization",
            "registered_name": "function",
            "name": "switch",
            "inbound_nodes": [],
        },
    )


def no_name(config):
    del config["config"]["layers"][1]["name"]


def write_whole(folder):
    """Give a bundle its network as earlier bundles have it: whole, as a Keras file."""
    from ml.runtimes.keras_network import load_network

    load_network(folder).save(folder / "model.keras")
    (folder / "network.json").unlink()


def description_of(folder):
    """What the bundle's `network.json` holds."""
    return json.loads((folder / "network.json").read_text())


@pytest.mark.parametrize("is_whole", [True, False], ids=["model.keras", "network.json"])
@pytest.mark.parametrize(
    "change", [lambda_layer, function_of_another_module, unsafe_switch, no_name]
)
def test_keras_file_runs_no_code_of_its_own(shipped, marker, change, is_whole):
    if is_whole:
        write_whole(shipped)
        rewrite_config(shipped / "model.keras", change)
    else:
        table = description_of(shipped)
        change(table["config"])
        (shipped / "network.json").write_text(json.dumps(table))
    expect_no_network(shipped)
    assert not marker.exists()


@pytest.mark.parametrize("content", [b"fake", b"", b"\x80\x04cos\nsystem\n.", b"PK\x03\x04rest"])
def test_keras_file_of_nonsense_is_a_known_error(shipped, content):
    (shipped / "network.json").unlink()
    (shipped / "model.keras").write_bytes(content)
    expect_no_network(shipped)


@pytest.mark.parametrize(
    "change",
    [
        {"offset": -2},
        {"offset": 1 << 40},
        {"shape": [1 << 40, 1 << 40]},
        {"shape": [-1, -864]},
        {"axes": [0, 0, 0, 0]},
        {"axes": []},
        {"fill": "much"},
        {"shape": "much"},
        None,
    ],
)
def test_weights_that_are_not_where_the_description_says_are_a_known_error(shipped, change):
    table = description_of(shipped)
    if change is None:
        del table["weights"]["stem/kernel"]
    else:
        table["weights"]["stem/kernel"] |= change
    (shipped / "network.json").write_text(json.dumps(table))
    expect_no_network(shipped)


@pytest.mark.parametrize("content", ["", "[]", "{}", "nonsense", "[" * 5000])
def test_description_of_nonsense_is_a_known_error(shipped, content):
    (shipped / "network.json").write_text(content)
    expect_no_network(shipped)


@pytest.mark.parametrize(
    "content",
    [
        b"<net",
        b"",
        b'<?xml version="1.0"?><!DOCTYPE n [<!ENTITY f SYSTEM "file:///etc/passwd">]><net>&f;</net>',
        b'<net version="11"><layers><layer id="0" type="Exec" version="extension"/></layers></net>',
    ],
)
def test_openvino_network_of_nonsense_is_a_known_error(shipped, content):
    (shipped / "network.xml").write_bytes(content)
    seal_unsigned(shipped)
    with pytest.raises(RuntimeUnavailable) as refusal:
        open_openvino(load_bundle(shipped), threads=1)
    assert "root:" not in str(refusal.value)


def test_openvino_network_that_points_beyond_its_weights_is_a_known_error(shipped):
    (shipped / "network.bin").write_bytes(b"\0" * 16)
    seal_unsigned(shipped)
    with pytest.raises(RuntimeUnavailable):
        open_openvino(load_bundle(shipped), threads=1)


class Payload:
    """Unpickled, it would leave a file behind."""

    def __reduce__(self):
        return Path(MARK).touch, ()


@pytest.mark.parametrize("name", ["head.npz", "embeddings.npz", "gate.npz", "canary.npz"])
def test_array_file_with_a_pickle_is_not_unpickled(shipped, marker, name):
    with np.load(shipped / name, allow_pickle=False) as content:
        arrays = dict.fromkeys(content.files, np.array(Payload(), dtype=object))
    np.savez(shipped / name, **arrays)
    seal_unsigned(shipped)
    from ml.predictor import check_canary

    bundle = load_bundle(shipped)
    with pytest.raises(ValueError, match="pickle"):  # noqa: PT012 - whichever reads that file
        runtime = open_openvino(replace(bundle), threads=1)
        check_canary(bundle, runtime)
        Predictor(bundle, runtime)
    assert not marker.exists()


def test_keygen_sign_verify_is_a_round_trip(shipped, tmp_path, capsys):
    key = tmp_path / "site.pem"
    assert main(["keygen", str(key)]) == 0
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    (shipped / SIGNATURE).unlink()
    digest = load_bundle(shipped).digest
    assert main(["verify", str(shipped)]) == 1
    assert main(["sign", "--key", str(key), str(shipped)]) == 0
    assert main(["verify", str(shipped)]) == 1
    assert main(["verify", str(shipped), "--trusted", str(key.with_suffix(".pub.pem"))]) == 0
    assert load_bundle(shipped).digest == digest
    assert "PRIVATE" not in capsys.readouterr().out


def test_sign_keeps_the_signature_of_others(shipped, tmp_path):
    signer = load_bundle(shipped).signed_by
    assert signer in {key.id for key in product_keys()}
    assert main(["keygen", str(tmp_path / "site.pem")]) == 0
    for _ in range(2):
        assert main(["sign", "--key", str(tmp_path / "site.pem"), str(shipped)]) == 0
    assert len((shipped / SIGNATURE).read_text().splitlines()) == 2
    assert load_bundle(shipped).signed_by == signer


def test_sign_refuses_a_bundle_with_another_file(shipped, tmp_path, capsys):
    main(["keygen", str(tmp_path / "site.pem")])
    (shipped / "network.bin").write_bytes(b"fake")
    assert main(["sign", "--key", str(tmp_path / "site.pem"), str(shipped)]) == 2
    assert "bundle_tampered" in capsys.readouterr().err


def test_keygen_replaces_no_key(tmp_path, capsys):
    assert main(["keygen", str(tmp_path / "site.pem")]) == 0
    before = (tmp_path / "site.pem").read_bytes()
    assert main(["keygen", str(tmp_path / "site.pem")]) == 2
    assert (tmp_path / "site.pem").read_bytes() == before
    assert "signing_key_invalid" in capsys.readouterr().err


def test_secret_key_among_the_trusted_ones_is_refused(shipped, tmp_path, capsys):
    """Only public halves belong on a server."""
    main(["keygen", str(tmp_path / "site.pem")])
    assert main(["verify", str(shipped), "--trusted", str(tmp_path / "site.pem")]) == 2
    assert "signing_key_invalid" in capsys.readouterr().err


def test_no_secret_key_is_in_the_repository():
    root = Path(__file__).parents[2]
    for folder in ("ml", "medimaging", "classifier", "docs", "docker"):
        for path in (root / folder).rglob("*.pem"):
            assert "PRIVATE" not in path.read_text(), path


def test_predict_calls_an_unsigned_bundle_research(tmp_path, capsys, monkeypatch):
    router = find_task_bundle(BUNDLES_DIR, "body-part")
    copy = shutil.copytree(router, tmp_path / "body-part" / router.name)
    reseal(copy, key=TEST_KEY, stage="released")
    (tmp_path / "test.pem").write_bytes(TEST_KEY.public_pem)
    trusted = load_trusted_keys([tmp_path / "test.pem"])
    monkeypatch.setattr("ml.bundles.product_keys", lambda: trusted)
    image = str(next(Path("samples").glob("brain-*/01.dcm")))
    stages = []
    for _ in range(2):
        main(["predict", "--bundle", str(copy), "--device", "cpu", image])
        stages.append(json.loads(capsys.readouterr().out)["stage"])
        (copy / SIGNATURE).unlink(missing_ok=True)
    assert stages == ["released", "research"]
