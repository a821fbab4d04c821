"""The queue under load, with the whole product running: `make bench-queue`.

Prints what a backlog costs Redis, how many routine studies start before the last urgent one after
Redis was killed, what an export does to urgent studies, and the memory of each process.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import redis
from PIL import Image

from tests import product as product_module
from tests.product import Client, Product, running, wait_for

FILL = """
import uuid
from accounts.doorbell import count_bells
from classifier.doorbell import ring
from classifier.models import Classification
from records.models import Instance, Series, Study
seen = Study.objects.filter(classifications__isnull=False).first()
was = Series.objects.filter(study=seen).first()
image = Instance.objects.filter(series=was).first()
def copies(row, count, **fields):
    found = []
    for _ in range(count):
        values = {{f.attname: getattr(row, f.attname) for f in row._meta.concrete_fields}}
        values.update({{name: value() for name, value in fields.items()}}, id=uuid.uuid4())
        found.append(type(row)(**values))
    return found
def uid():
    return f"2.25.{{uuid.uuid4().int}}"
for priority, count in {wanted}:
    studies = Study.objects.bulk_create(copies(seen, count, study_instance_uid=uid))
    series = Series.objects.bulk_create(copies(was, count, series_instance_uid=uid))
    for one, study in zip(series, studies):
        one.study_id = study.pk
    Series.objects.bulk_update(series, ["study"], batch_size=500)
    images = copies(image, count, sop_instance_uid=uid)
    for one, part in zip(images, series):
        one.series_id = part.pk
    Instance.objects.bulk_create(images)
    rows = [Classification(study=s, task="chest-xray", priority=priority) for s in studies]
    Classification.objects.bulk_create(rows)
    for row in rows:
        ring(priority=priority)
"""

STARTED = """
from classifier.models import Classification
rows = Classification.objects.filter(started_at__isnull=False, queued_at__gt="{since}")
print(",".join(rows.order_by("started_at").values_list("priority", flat=True)))
"""


AT_ONCE = 40
"""Images of one request: a loaded machine takes a while for them."""


def main() -> None:
    """Measure, and print a table."""
    options = argparse.ArgumentParser()
    options.add_argument("--backlog", type=int, default=20_000)
    options.add_argument("--images", type=int, default=480)
    given = options.parse_args()
    product_module.START_SECONDS = 600
    with tempfile.TemporaryDirectory(prefix="medimaging-bench-") as place:
        data_dir = Path(place) / "data"
        with running(data_dir, DICOM_PORT="0", INFERENCE_DEVICE="cpu") as product:
            technician = client(product, "technician")
            settle(technician)
            print_memory(product)
            measure_export(product, technician, images=given.images)
            measure_restart(product, data_dir)
            measure_backlog(product, data_dir, count=given.backlog)


def measure_backlog(product: Product, data_dir: Path, *, count: int) -> None:
    """Rows that nobody takes, each rung for, and three rounds of the sweeper."""
    with paused(product, "worker@"), broker(data_dir) as client:
        before = client.info("memory")["used_memory"]
        fill(product, [("routine", count)])
        time.sleep(50)
        after = client.info("memory")["used_memory"]
        bells = client.llen("routine")
    print(f"backlog of {count}: {bells} bells, {(after - before) / 1024:.0f} KiB more in Redis")


def measure_restart(product: Product, data_dir: Path) -> None:
    """Routine rows, then urgent ones; Redis is killed, and only then the worker works."""
    since = product.manage("shell", "--verbosity=0", "-c", NOW)
    with paused(product, "worker@"):
        fill(product, [("routine", 560), ("urgent", 10)])
        product.kill("redis-server")
        wait_for(lambda: is_up(data_dir), seconds=60, what="Redis")
    begun = time.monotonic()

    def order() -> list[str]:
        shown = product.manage("shell", "--verbosity=0", "-c", STARTED.format(since=since))
        return shown.split(",")

    found = wait_for(
        lambda: one if (one := order()).count("urgent") == 10 else None,
        seconds=300,
        what="ten urgent studies",
    )
    last = max(place for place, priority in enumerate(found) if priority == "urgent")
    before = found[:last].count("routine")
    print(f"560 routine and 10 urgent, Redis killed: {before} routine began before the last urgent")
    print(f"  ten urgent ones had begun {time.monotonic() - begun:.0f} s later at the latest")


def measure_export(product: Product, technician: Client, *, images: int) -> None:
    """Urgent studies alone, and while a large export is prepared."""
    studies = [
        submit(technician, pictures(AT_ONCE), patient="EXPORT", priority="routine")
        for _ in range(images // AT_ONCE)
    ]
    settle(technician)
    alone = urgent_seconds(technician)
    reviewer = client(product, "reviewer")
    status, export = reviewer.post("exports/", studies=studies, project="bench", purpose="bench")
    assert status == 201, export
    begun = time.monotonic()
    beside = urgent_seconds(technician)
    is_still_made = reviewer.get(f"exports/{export['id']}/")["state"] == "preparing"
    wait_for(
        lambda: reviewer.get(f"exports/{export['id']}/")["state"] != "preparing",
        seconds=600,
        what="the export",
    )
    took = time.monotonic() - begun
    print(f"export of {images} images: {took:.1f} s; urgent studies meanwhile: {is_still_made}")
    print(f"  urgent studies alone {shown(alone)}; beside the export {shown(beside)}")


def urgent_seconds(technician: Client) -> list[float]:
    """How long each of three urgent studies takes from its submission to its answer."""
    taken = []
    for number in range(3):
        begun = time.monotonic()
        study = submit(technician, pictures(1), patient=f"URGENT-{number}", priority="urgent")
        technician.wait_for_state(study, "awaiting_review", "abstained", "failed", seconds=120)
        taken.append(time.monotonic() - begun)
    return taken


def submit(technician: Client, files: dict[str, bytes], *, patient: str, priority: str) -> str:
    answer = technician.submit(
        files,
        patient_id=f"{patient}-{time.monotonic_ns()}",
        patient_name="Bench^Queue",
        birth_date="1980-02-29",
        sex="M",
        modality="CR",
        body_part="CHEST",
        priority=priority,
    )
    return str(answer["files"][0]["study"])


def pictures(count: int) -> dict[str, bytes]:
    chance = np.random.default_rng()
    found = {}
    for number in range(count):
        stream = io.BytesIO()
        Image.fromarray(chance.integers(0, 256, (128, 128), dtype=np.uint8)).save(stream, "PNG")
        found[f"{number}.png"] = stream.getvalue()
    return found


def print_memory(product: Product) -> None:
    for name in ("worker@%h", "background@%h", "--quiet beat", "gunicorn"):
        found = product.processes(name)
        sizes = [process.memory_info().rss / 2**20 for process in found]
        shared = sum(process.memory_full_info().pss for process in found) / 2**20
        print(f"{name:14} {len(found)} processes, {sum(sizes):.0f} MiB, PSS {shared:.0f} MiB")


NOW = "from django.utils import timezone; print(timezone.now().isoformat())"


def client(product: Product, username: str) -> Client:
    return product.client(product.manage("issue_token", "--user", username, "--days", "1"))


def settle(technician: Client) -> None:
    """Wait until nothing is in the queue."""

    def is_quiet() -> bool:
        found = (technician.get(f"classifications/?status={one}") for one in ("queued", "running"))
        return not any(answer["results"] for answer in found)

    wait_for(is_quiet, seconds=300, what="a quiet queue")


def fill(product: Product, wanted: list[tuple[str, int]]) -> None:
    product.manage("shell", "--verbosity=0", "-c", FILL.format(wanted=wanted))


@contextmanager
def paused(product: Product, word: str) -> Iterator[None]:
    found = product.processes("celery", word)
    for process in found:
        process.suspend()
    try:
        yield
    finally:
        for process in found:
            process.resume()


@contextmanager
def broker(data_dir: Path) -> Iterator[redis.Redis]:
    from medimaging import addresses

    with redis.Redis.from_url(addresses.redis_url(data_dir)) as found:
        yield found


def is_up(data_dir: Path) -> bool:
    try:
        with broker(data_dir) as found:
            return bool(found.ping())
    except redis.RedisError:
        return False


def shown(seconds: list[float]) -> str:
    return ", ".join(f"{one:.1f}" for one in seconds) + " s"


if __name__ == "__main__":
    main()
