"""What the base install alone can do, and what importing this library doesn't load."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ml.images import read_frames, to_display
from tests.ml.conftest import ROOT
from tests.ml.pictures import draw_noise, encode_picture

BLOCKING = """
import sys
from importlib.machinery import PathFinder

class BaseFinder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        is_blocked = name.partition(".")[0] in {names!r}
        return None if is_blocked else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = BaseFinder
"""


@pytest.fixture(scope="module")
def base_install(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that finds nothing but what requirements/base.txt installs."""
    pinned = re.findall(
        r"^([\w.-]+)[=\[]", (ROOT / "requirements/base.txt").read_text(), re.MULTILINE
    )
    base = {name.lower().replace("_", "-") for name in pinned}
    installed = importlib.metadata.packages_distributions()
    blocked = {"tensorflow", "keras", "torch", "jax"} | {
        module
        for module, packages in installed.items()
        if not base & {package.lower().replace("_", "-") for package in packages}
    }
    folder = tmp_path_factory.mktemp("base")
    (folder / "sitecustomize.py").write_text(BLOCKING.format(names=blocked))
    return {**os.environ, "PYTHONPATH": str(folder)}


@pytest.mark.parametrize("module", ["tensorflow", "keras", "torch", "sklearn", "matplotlib"])
def test_base_install_has_no_training_library(base_install: dict[str, str], module: str) -> None:
    done = run_python("-c", f"import {module}", environment=base_install)
    assert f"No module named '{module}'" in done.stderr


@pytest.mark.parametrize("option", [["--task", "chest-xray"], ["--route"]])
def test_predict_reads_every_kind_of_file_when_only_the_base_is_installed(
    tmp_path: Path, base_install: dict[str, str], option: list[str]
) -> None:
    source = ROOT / "samples" / "chest-normal-adult-1" / "01.dcm"
    shown = to_display(read_frames(source)[0])
    shutil.copyfile(source, tmp_path / "dcm")
    for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
        (tmp_path / kind).write_bytes(encode_picture(shown, kind))
    (tmp_path / "noise").write_bytes(encode_picture(draw_noise()))
    files = sorted(str(path) for path in tmp_path.iterdir())
    # A picture names no institution.
    arguments = ["-m", "ml", "predict", *option, "--validated-source", "--device", "cpu", *files]
    done = run_python(*arguments, environment=base_install)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["path"] for answer in answers] == files
    for answer in answers:
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-3)
        assert len(answer["model_digest"]) == 64
    *images, noise = sorted(answers, key=lambda answer: "noise" in answer["path"])
    told = {(answer["task"], answer["likeliest_label"]) for answer in images}
    assert told == {("chest-xray", "normal")}
    assert noise["abstained"] is True


def run_python(
    *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_opening_openvino_reports_to_nobody() -> None:
    program = (
        "import sys, ml.runtimes.openvino; "
        "sys.exit('telemetry' if sys.modules.get('openvino_telemetry') else 0)"
    )
    done = run_python("-c", program)
    assert done.returncode == 0, done.stderr


def test_importing_the_interfaces_loads_no_engine() -> None:
    program = (
        "import sys, ml.predictor, ml.images, ml.bundles, ml.overlay, ml.aggregation; "
        "heavy = {'openvino', 'tensorflow', 'keras', 'django'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = run_python("-c", program)
    assert done.returncode == 0, done.stderr
