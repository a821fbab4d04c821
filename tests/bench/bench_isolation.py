"""Files per second through `receive_file`, read in children and, beside it, in this process."""

import io
import sys
import time

import numpy as np
import psutil
import pytest

from accounts.roles import Role
from records.choices import Origin
from records.dicom.sandbox import jobs
from records.files.sandboxed import read_limits, sandbox
from records.services import open_submission, receive_file
from tests.dicom.files import make_dicom
from tests.factories import make_department, make_user

pytestmark = [pytest.mark.bench, pytest.mark.django_db(transaction=True)]

ROUNDS = 3
FILES = 40


def examine_here(source):
    return jobs.examine(jobs.Examination(read_limits().content), source.read())


def slices() -> list[bytes]:
    """CT slices of half a megabyte."""
    noise = np.random.default_rng(1).integers(0, 4096, (512, 512), dtype=np.uint16)
    return [
        make_dicom(Rows=512, Columns=512, PixelData=np.roll(noise, number).tobytes())
        for number in range(FILES)
    ]


def receive_all(technician, submission) -> float:
    contents = slices()
    started = time.perf_counter()
    for content in contents:
        receive_file(
            actor=technician, submission=submission, name="slice", stream=io.BytesIO(content)
        )
    return FILES / (time.perf_counter() - started)


def test_files_per_second(monkeypatch, capsys, tmp_path):
    department = make_department()
    technician = make_user(Role.TECHNICIAN, department=department)
    submission = open_submission(actor=technician, department=department, origin=Origin.API)
    sandbox.examine(io.BytesIO(make_dicom()))
    rates: dict[str, list[float]] = {"in children": [], "in process": []}
    for _ in range(ROUNDS):
        for name, examine in (("in children", sandbox.examine), ("in process", examine_here)):
            monkeypatch.setattr(sandbox, "examine", examine)
            rates[name].append(receive_all(technician, submission))
    path = tmp_path / "slice"
    path.write_bytes(slices()[0])
    with path.open("rb") as source:
        costs = {name: best_seconds(ask, source) for name, ask in questions().items()}
    nursery = psutil.Process(sandbox.pool.start().process.pid)
    lines = [
        f"{name}: {', '.join(f'{rate:.0f}' for rate in found)} files/s"
        for name, found in rates.items()
    ]
    lines += [f"{name}: {1000 * seconds:.2f} ms" for name, seconds in costs.items()]
    for process in (nursery, *nursery.children()):
        used = process.memory_full_info()
        lines.append(f"RSS {used.rss >> 20} MiB, of its own {used.uss >> 20} MiB")
    with capsys.disabled():
        sys.stdout.write("\n".join(["", *lines, ""]))


def questions():
    decoding = jobs.Decoding([0])
    return {
        "examine in a child": sandbox.examine,
        "examine here": examine_here,
        "decode in a child": lambda source: sandbox.decode_frames(source, frames=[0]),
        "decode here": lambda source: jobs.decode_frames(decoding, source.read()),
    }


def best_seconds(ask, source) -> float:
    """The best of many: what it costs when nobody else wants the processor."""
    found = []
    for _ in range(200):
        source.seek(0)
        started = time.perf_counter()
        ask(source)
        found.append(time.perf_counter() - started)
    return min(found)
