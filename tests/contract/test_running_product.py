"""Clients that strangers' programs make of docs/openapi.yaml, against the running product."""

import json
import os
import re
import subprocess
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from tests.product import ROOT, Product

DOCUMENT = ROOT / "docs" / "openapi.yaml"
PAGE = ROOT / "docs" / "integrators.md"
HERE = Path(__file__).parent
SAMPLE = ROOT / "samples" / "chest-pneumonia-child-1" / "01.dcm"
ROLES = ("integrator", "reviewer", "administrator")
EXAMPLES = 3
SECONDS = 240

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def tokens(product: Product) -> dict[str, str]:
    """A token of each role, which may do all that the role may."""
    return {role: product.manage("issue_token", "--user", role, "--days", "2") for role in ROLES}


def run(*command: object, tools: Path, cwd: Path, **environment: str) -> str:
    """Run a program of `make clients`, which has to succeed, and return what it printed."""
    path = f"{tools / 'venv' / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout


def new_image(path: Path) -> Path:
    """A chest X-ray that nobody has sent yet."""
    image = pydicom.dcmread(SAMPLE)
    image.PatientID, image.PatientName = "CONTRACT-1", "Contract^Connie"
    image.IssuerOfPatientID = ""
    image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    image.save_as(path)
    return path


def check_reviewed(answer: dict[str, object]) -> None:
    assert answer["status"] == "uninterpretable"
    assert answer["decision"] == "uninterpretable"
    assert answer["by"]
    assert answer["probabilities"]


def test_python_client_submits_polls_reads_and_reviews(product, tokens, tools, tmp_path):
    made = tmp_path / "medimaging_client"
    config = HERE / "python-client.yaml"
    generate = ("openapi-python-client", "generate", "--path", DOCUMENT, "--config", config)
    options = ("--output-path", made, "--meta", "none", "--fail-on-warning")
    told = run(*generate, *options, tools=tools, cwd=tmp_path)
    assert "will not be generated" not in told

    image = new_image(tmp_path / "image.dcm")
    words = (product.url, tokens["integrator"], tokens["reviewer"], "radiology", image)
    script = HERE / "use_python.py"
    said = run("python", script, *words, tools=tools, cwd=tmp_path, PYTHONPATH=str(tmp_path))

    answer = json.loads(said)
    check_reviewed(answer)
    assert answer["study"] in answer["found"]


def test_typescript_client_submits_polls_reads_and_reviews(product, tokens, tools, tmp_path):
    for name in ("use_typescript.ts", "tsconfig.json", "package.json"):
        (tmp_path / name).write_bytes((HERE / "typescript" / name).read_bytes())
    (tmp_path / "node_modules").symlink_to(tools / "typescript" / "node_modules")
    programs = tmp_path / "node_modules" / ".bin"
    run(programs / "openapi-typescript", DOCUMENT, "-o", "api.ts", tools=tools, cwd=tmp_path)
    run(programs / "tsc", "--project", tmp_path, tools=tools, cwd=tmp_path)

    image = new_image(tmp_path / "image.dcm")
    words = (product.url, tokens["integrator"], tokens["reviewer"], "radiology", image)
    said = run("node", "use_typescript.ts", *words, tools=tools, cwd=tmp_path)

    check_reviewed(json.loads(said))


def test_docs_lead_from_make_run_to_a_reviewed_result_by_paste_alone(product, tmp_path):
    for name in (".venv", "manage.py", "samples"):
        (tmp_path / name).symlink_to(ROOT / name)
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    assert len(blocks) > 12
    environment = {"MEDIMAGING": product.url, "PATH": "/usr/bin:/bin"}
    environment["MEDIMAGING_DATA_DIR"] = str(product.data_dir)

    # A variable that nobody has set ends a command before anything is asked for.
    for block in blocks:
        if "issue_token" not in block:
            assert shell(block, tmp_path, environment).returncode != 0, block

    done = shell("\n".join(blocks), tmp_path, environment)

    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert (tmp_path / "image.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "image.dcm").read_bytes()[128:132] == b"DICM"
    assert '"decision":"override","label":"normal"' in done.stdout


def shell(script: str, cwd: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What a stranger's shell makes of it."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_schemathesis_finds_nothing_by_three_roles(product, tokens, tools, tmp_path):
    environment = {**os.environ, "PATH": f"{tools / 'venv' / 'bin'}:{os.environ['PATH']}"}
    running = {
        role: subprocess.Popen(
            [
                *("schemathesis", "--config-file", ROOT / "schemathesis.toml", "run", DOCUMENT),
                *("--url", product.url, "--header", f"Authorization: Bearer {tokens[role]}"),
                *("--max-examples", str(EXAMPLES), "--no-shrink", "--no-color", "--workers", "1"),
                *("--generation-database", "none", "--seed", "1", "--request-timeout", "60"),
            ],
            cwd=ROOT,
            env=environment,
            stdout=(tmp_path / role).open("w"),
            stderr=subprocess.STDOUT,
        )
        for role in ROLES
    }
    ended = {role: process.wait(timeout=500) for role, process in running.items()}
    told = "\n".join((tmp_path / role).read_text()[-8000:] for role in ROLES if ended[role])
    assert ended == dict.fromkeys(ROLES, 0), told
