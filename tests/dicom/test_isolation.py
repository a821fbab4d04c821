"""Children that read what comes from outside: their limits, their deaths, their replacement."""

import io
import multiprocessing
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from pydicom.data import get_testdata_file

from ml.errors import FrameOutOfRange
from ml.images import read_frames
from records.dicom.errors import (
    DecodingCrashed,
    DecodingExhausted,
    ImageTooLarge,
    ReaderKilled,
)
from records.dicom.reading.declared import DeclaredFields
from records.dicom.sandbox import calls
from records.dicom.sandbox import pool as pool_module
from records.dicom.sandbox.calls import DecodingStopped
from records.dicom.sandbox.pool import Pool
from records.dicom.writing.photograph import assign_uids
from tests.dicom.bombs import MIB, rle
from tests.dicom.files import SAMPLES, make_dicom
from tests.dicom.sandboxed import sandbox
from tests.dicom.watching import ALLOWED_BYTES, Watched

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_examine_copies_content_beside_the_store_when_it_is_in_no_file(pool, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert sandbox.examine(io.BytesIO(make_dicom())).header.text("Modality") == "CT"


def test_picture_that_decodes_to_too_much_is_refused_within_memory(pool):
    side = 7900
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes((3 * side + 1) * side), 9)
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    )
    declared = DeclaredFields(patient_id="P-1")
    uids = assign_uids(declared=declared, department_id=1, batch_id=1, sha256="")

    with pytest.raises(DecodingExhausted, match="of memory"):
        sandbox.convert(
            io.BytesIO(b"\x89PNG\r\n\x1a\n" + body),
            declared=declared,
            uids=uids,
            number=1,
        )

    assert max(pool.grown) < ALLOWED_BYTES


@pytest.mark.parametrize("mebibytes", [200, 220])
def test_memory_limit_is_what_the_child_really_holds(pool, limits, mebibytes):
    """Decoding takes what there is, and no more; with enough it goes through."""
    limits.memory_bytes = mebibytes * MIB
    content = rle(4096)
    (child,) = pool.children
    child.kill()
    child.wait(5)

    with pytest.raises((DecodingExhausted, ImageTooLarge)):
        sandbox.examine(io.BytesIO(content))

    allowed = limits.memory_bytes
    assert pool.grown[-1] < allowed
    limits.memory_bytes = 1000 * MIB
    assert sandbox.examine(io.BytesIO(content)).exclusion.code == "constant_image"
    assert pool.grown[-1] > allowed


def test_child_that_takes_too_long_is_killed_and_replaced(pool, limits):
    limits.seconds = 1
    (stopped,) = pool.children
    stopped.suspend()
    started = time.monotonic()

    with pytest.raises(DecodingExhausted, match="time"):
        sandbox.examine(io.BytesIO(make_dicom()))

    assert time.monotonic() - started < 3 + calls.SECONDS_BESIDE
    limits.seconds = 3
    assert sandbox.examine(io.BytesIO(make_dicom())).header.text("Modality") == "CT"
    assert [child.pid for child in pool.children] != [stopped.pid]
    assert not stopped.is_running()


@pytest.mark.parametrize(
    ("sent", "told"), [(signal.SIGKILL, ReaderKilled), (signal.SIGSEGV, DecodingCrashed)]
)
def test_child_that_dies_midway_costs_its_file_alone(pool, sent, told):
    (child,) = pool.children
    striking = pool.die_of_it(sent)

    with pytest.raises(told):
        sandbox.examine(io.BytesIO(make_dicom()))

    striking.join()
    assert not child.is_running()
    assert sandbox.examine(io.BytesIO(make_dicom())).header.text("Modality") == "CT"


def test_child_that_fails_over_an_upload_refuses_it_and_is_logged(monkeypatch, caplog):
    class Failing:
        def ask(self, *_args, **_kwargs):
            return {"failed": "KeyError at header.py:1 read_header"}

    monkeypatch.setattr(sandbox, "pool", Failing())

    with pytest.raises(DecodingCrashed):
        sandbox.examine(io.BytesIO(make_dicom()))

    assert "KeyError at header.py:1" in caplog.text


def test_child_that_died_idle_costs_no_file(pool):
    (child,) = pool.children
    child.kill()
    time.sleep(0.2)

    assert sandbox.examine(io.BytesIO(make_dicom())).header.text("Modality") == "CT"


def test_processor_time_is_limited_by_the_kernel_too(pool, limits):
    limits.seconds = 2
    (child,) = pool.children
    sandbox.examine(io.BytesIO(make_dicom()))

    soft, _ = resource.prlimit(child.pid, resource.RLIMIT_CPU)

    assert 3 <= soft <= 8
    assert resource.prlimit(child.pid, resource.RLIMIT_NOFILE)[1] <= 64
    assert resource.prlimit(child.pid, resource.RLIMIT_CORE) == (0, 0)
    assert resource.prlimit(child.pid, resource.RLIMIT_AS)[0] > 0


def test_nursery_that_was_killed_is_started_again(pool):
    children = pool.children
    pool.start().process.kill()
    psutil.wait_procs(children, timeout=5)

    assert sandbox.examine(io.BytesIO(make_dicom())).header.text("Modality") == "CT"
    assert not any(child.is_running() for child in children)


def test_child_is_replaced_after_its_share_of_files(pool, monkeypatch):
    monkeypatch.setattr(pool_module, "FILES_PER_CHILD", 1)
    before = pool.children

    sandbox.examine(io.BytesIO(make_dicom()))

    assert pool.children == []
    sandbox.examine(io.BytesIO(make_dicom()))
    assert not any(child.is_running() for child in before)


def test_no_descriptor_and_no_process_is_left_behind(pool, limits):
    limits.seconds = 1
    mine, nursery = psutil.Process(), psutil.Process(pool.start().process.pid)
    before = mine.num_fds(), nursery.num_fds()
    for _ in range(3):
        sandbox.examine(io.BytesIO(make_dicom()))
        pool.die_of_it(signal.SIGKILL)
        with pytest.raises(ReaderKilled):
            sandbox.examine(io.BytesIO(make_dicom()))
    sandbox.examine(io.BytesIO(make_dicom()))

    assert (mine.num_fds(), nursery.num_fds()) == before
    (child,) = pool.children
    # Nothing but the three standard ones, its channel, and no file of the last job: that it closes
    # when it has answered.
    deadline = time.monotonic() + 5
    while child.num_fds() > 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert child.num_fds() == 4


def test_threads_share_no_more_children_than_there_may_be(pool, monkeypatch):
    pool_of_two = Watched(2)
    pool_of_two.grown = []
    monkeypatch.setattr(sandbox, "pool", pool_of_two)
    contents = [make_dicom(InstanceNumber=number) for number in range(24)]

    try:
        with ThreadPoolExecutor(8) as threads:
            found = list(
                threads.map(lambda content: sandbox.examine(io.BytesIO(content)), contents)
            )
        assert len(pool_of_two.children) <= 2
    finally:
        pool_of_two.stop()

    assert [one.header.stated.numbers["InstanceNumber"] for one in found] == list(range(24))


def test_daemonic_process_forked_from_a_server_has_children_of_its_own(pool):
    """As a worker of Celery is: `multiprocessing` would refuse it children."""
    context = multiprocessing.get_context("fork")
    reading, writing = context.Pipe(duplex=False)

    def work() -> None:
        found = sandbox.examine(io.BytesIO(make_dicom(Modality="MR")))
        writing.send((found.header.text("Modality"), pool.start().process.pid))

    process = context.Process(target=work, daemon=True)
    process.start()
    assert reading.poll(60)
    modality, its_nursery = reading.recv()
    process.join(10)

    assert modality == "MR"
    assert its_nursery != pool.start().process.pid
    assert sandbox.examine(io.BytesIO(make_dicom())).header.text("Modality") == "CT"


def test_nothing_outlives_a_server_process_that_is_killed():
    script = (
        "import sys, time\n"
        "from records.dicom.sandbox.pool import Pool\n"
        "nursery = Pool(1).start()\n"
        "print(nursery.process.pid, nursery.fork().pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as server:
        nursery, child = (psutil.Process(int(pid)) for pid in server.stdout.readline().split())
        # One that can't even hear that nobody asks any more.
        child.suspend()
        server.kill()

    _, alive = psutil.wait_procs([nursery, child], timeout=10)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def test_nursery_knows_neither_secrets_nor_django(monkeypatch):
    secrets = {"SECRET_KEY", "DATABASE_URL", "REDIS_URL"}
    for name in secrets:
        monkeypatch.setenv(name, "nobody else's")
    pool = Pool(1)

    try:
        nursery = psutil.Process(pool.start().process.pid)
        assert not secrets & set(nursery.environ())
    finally:
        pool.stop()
    loaded = "import sys, records.dicom.sandbox.nursery; print('django' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"


def test_decode_frames_gives_the_very_frames_that_decoding_here_would():
    for path in (Path(get_testdata_file("examples_palette.dcm")), *sorted(SAMPLES.rglob("*.dcm"))):
        with path.open("rb") as stream:
            (found,) = sandbox.decode_frames(stream, frames=[0])
        expected = read_frames(path, frames=[0])[0]
        assert found.pixels.dtype == expected.pixels.dtype
        assert np.array_equal(found.pixels, expected.pixels)
        assert (found.header, found.voi.function) == (expected.header, expected.voi.function)
        assert (found.window_center, found.pixel_spacing) == (
            expected.window_center,
            expected.pixel_spacing,
        )


def test_decode_frames_raises_the_errors_of_the_library(pool):
    with pytest.raises(FrameOutOfRange) as caught:
        sandbox.decode_frames(io.BytesIO(make_dicom()), frames=[7])
    assert caught.value.context == {"frame": 7, "count": 1}

    pool.die_of_it(signal.SIGKILL)
    with pytest.raises(DecodingStopped):
        sandbox.decode_frames(io.BytesIO(make_dicom()), frames=[0])


@pytest.mark.parametrize(
    "ask",
    [
        lambda source: sandbox.describe(source, syntax="1.2.840.10008.1.2.1"),
        lambda source: sandbox.extract(source, path="7FE00010"),
        lambda source: sandbox.rewrite(source, syntax="1.2.840.10008.1.2.1"),
    ],
    ids=["describe", "extract", "rewrite"],
)
def test_stored_file_that_cannot_be_taken_apart_is_one_known_error(ask):
    with pytest.raises(DecodingStopped):
        ask(io.BytesIO(b"\0" * 128 + b"DICM" + b"\xff" * 64))
