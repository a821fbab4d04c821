"""Task files: everything that is wrong is told at once, and what a file needn't say."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ml.errors import TaskConfigInvalid
from ml.workshop.backbones import BACKBONE_LIMITS
from ml.workshop.task_config import load_task
from ml.workshop.task_tables import TASKS_DIR
from tests.ml.conftest import ROOT

SHORT = """
task = "gout"
[data]
labels = ["normal", "gout"]
normal_label = "normal"
[input]
colour = "grey"
"""
WRONG = """
task = "gout"
epochs = 3
[data]
labels = ["normal", "gout"]
normal_label = "norml"
covid = "gout"
[input]
colour = "gray"
size = 20000
[model]
backbone = "eficientnetlite0"
[training]
epochs = "fast"
learning_rate = nan
seed = 99
[decision]
headline_label = "goutt"
[scope]
min_side = true
"""


def write_task(folder: Path, text: str) -> Path:
    path = folder / "gout.toml"
    path.write_text(text)
    return path


def test_load_task_takes_a_file_of_six_lines(tmp_path: Path) -> None:
    config = load_task(write_task(tmp_path, SHORT))
    assert (config.title, config.stage, config.decision.recall_labels) == (
        "Gout",
        "research",
        ("gout",),
    )
    assert config.input.contrast == "stretched"
    assert config.data.codes["gout"].scheme.startswith("99")


def test_load_task_has_another_digest_when_a_short_file_says_another_value(tmp_path: Path) -> None:
    short = load_task(write_task(tmp_path, SHORT))
    same = load_task(write_task(tmp_path, f"{SHORT}size = {short.input.size}\n"))
    other = load_task(write_task(tmp_path, f"{SHORT}size = 224\n"))
    assert same.digest == short.digest
    assert other.digest != short.digest


@pytest.mark.parametrize(
    "told",
    [
        "epochs: unknown entry; if it belongs to [training], that header is missing above it",
        "data.covid: unknown entry; if it belongs to [data.mapping] or [data.codes]",
        "data.normal_label: must be of the labels normal, gout, not 'norml'; did you mean normal?",
        "input.colour: 'gray' must be one of grey, rgb; did you mean grey?",
        "input.size: 20000 must lie in [16, 1024]",
        "did you mean efficientnetlite0?",
        "training.epochs: 'fast' is no whole number",
        "training.learning_rate: nan must lie in (0, 10]",
        "training.seed: 99 must be one of training.seeds",
        "decision.headline_label: must be of the labels normal, gout, not 'goutt'",
        "scope.min_side: True is no whole number",
        "11 entries are wrong",
    ],
)
def test_load_task_tells_everything_that_is_wrong_at_once(tmp_path: Path, told: str) -> None:
    with pytest.raises(TaskConfigInvalid) as caught:
        load_task(write_task(tmp_path, WRONG))
    assert told in caught.value.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('task = "gout"', "data.labels: missing: list"),
        (SHORT.replace("[input]", "[inputs]"), "inputs: unknown entry; did you mean input?"),
        (SHORT.replace("[data]", ""), "labels: unknown entry; if it belongs to [data]"),
        (f"{SHORT}[training]\n[training]", "Cannot declare"),
        (SHORT.replace('"grey"', "grey"), "Invalid value"),
        (f"training = 3\n{SHORT}", "training: 3 is no table"),
        (SHORT.replace('["normal", "gout"]', '"normal"'), "'normal' is no list"),
        (SHORT.replace('["normal", "gout"]', '["normal", 3]'), "labels[2]: 3 is not text"),
        (SHORT.replace(', "gout"', ""), "must name two labels at least"),
        (f"{SHORT}size = 200", "input.size: of efficientnetlite0 is a multiple of 32"),
        (f'{SHORT}[model]\nweights = "x.bin"', "a bundle's folder or a file that ends in"),
        (
            f'{SHORT}[model]\nbackbone = "vgg16"\nweights = "a.pth"',
            "only EfficientNet-Lite is read from PyTorch files",
        ),
        (f"{SHORT}[training]\nbatch_size = 0", "training.batch_size: 0 must lie in [1, 4096]"),
        (f"{SHORT}[gate]\naccuracy = inf", "least values must be numbers"),
        (
            f'{SHORT}[routing]\nstated = ["CR"]',
            "stated: must be a modality and a body part",
        ),
        (f'{SHORT}[routing]\nrouter_label = "hand-xr"', "routing.image_name belong together"),
    ],
)
def test_load_task_says_where_and_what_is_allowed(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(TaskConfigInvalid) as caught:
        load_task(write_task(tmp_path, text))
    assert told in caught.value.message


def test_load_task_names_a_task_file_like_the_one_that_is_not_there() -> None:
    with pytest.raises(TaskConfigInvalid, match="did you mean chest-xray?"):
        load_task(Path("chest-xry.toml"))


def test_backbones_told_without_keras_are_those_that_can_be_built() -> None:
    from ml.workshop.training.backbones import BACKBONES

    assert set(BACKBONES) == set(BACKBONE_LIMITS)
    for name, entry in BACKBONES.items():
        assert entry.limits is BACKBONE_LIMITS[name]
        assert bool(entry.publish) == entry.limits.is_published


@pytest.mark.parametrize("command", ["train", "tune", "crossval", "seeds"])
def test_commands_refuse_before_an_engine_is_loaded(tmp_path: Path, command: str) -> None:
    """A folder of data that isn't there would be told after: the task file comes first."""
    text = f'{SHORT}[model]\nweights = "nowhere.h5"\n[gate]\n"guangzhu.auc" = 0.9\nacuracy = 0.8\n'
    path = write_task(tmp_path, text)
    program = (
        "import sys\nfrom ml.workshop.cli import main\n"
        "status = main(sys.argv[1:])\n"
        "loaded = {'tensorflow', 'keras', 'openvino'} & set(sys.modules)\n"
        "sys.exit(f'loaded {loaded}' if loaded else status)"
    )
    words = [command, str(path), "--data", str(tmp_path / "nothing")]
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "no weights file nowhere.h5" in done.stderr
    assert "no figure acuracy; did you mean accuracy?" in done.stderr
    assert "no figure guangzhu.auc" in done.stderr


def test_first_weights_of_every_task_that_ships_come_from_the_history(tmp_path: Path) -> None:
    """Whoever follows a shipped recipe needs the network that it begins with."""
    shallow = subprocess.run(
        ["git", "rev-parse", "--is-shallow-repository"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if shallow.stdout.strip() != "false":
        pytest.skip("the repository's history isn't here: a copy without .git, or a shallow one")

    subprocess.run(
        ["make", "--silent", "predecessors", f"FIRST_WEIGHTS={tmp_path}"], cwd=ROOT, check=True
    )

    named = {load_task(path).model.weights for path in sorted(TASKS_DIR.glob("*.toml"))}
    begun = [Path(name) for name in named if name.startswith("var/backbones/predecessors/")]
    assert begun
    for path in begun:
        found = tmp_path / path.name
        assert zipfile.is_zipfile(found) or (found / "network.bin").stat().st_size
