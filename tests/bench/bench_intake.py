"""Intake beside Debian's Orthanc, on this machine and in one run: `make bench-intake`.

A thousand CT instances of half a megabyte go by REST, by STOW-RS and by C-STORE into each. By
HTTP both get them from the same number of senders at once, by C-STORE over one association. Prints
instances a second, the most memory that the server's processes held together, and the ratio.
Both keep what they get on the same disk; every instance is asked for again afterwards.
"""

import argparse
import http.client
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pydicom
from dicomweb_client.api import DICOMwebClient
from pydicom.data import get_testdata_file
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from requests import Session

from tests.product import Product, free_port, running, wait_for

ROOT_UID = "2.25.3141592653589793238462643383279"
SIDE = 512
SERIES_LENGTH = 100
FILES_PER_REQUEST = 50
INSTANCES_PER_STOW = 50
SENDERS = 4
MEGABYTE = 1024 * 1024
ORTHANC = Path("/usr/sbin/Orthanc")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
DOORS = ("REST", "STOW-RS", "C-STORE")


@dataclass(frozen=True, slots=True)
class Corpus:
    """Files of one study that nobody has seen before."""

    folder: Path
    study_uid: str
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Round:
    """What one door did in one round."""

    rate: float
    peak_mb: float


def make_corpus(folder: Path, *, number: int, instances: int) -> Corpus:
    """CT slices of noise over a smooth field, abdominal, so that no model takes them."""
    folder.mkdir(parents=True)
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.remove_private_tags()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CTImageStorage
    dataset.Rows = dataset.Columns = SIDE
    dataset.BodyPartExamined = "ABDOMEN"
    dataset.PatientID, dataset.PatientName = f"BENCH-{number}", f"Bench^{number}"
    dataset.StudyInstanceUID = f"{ROOT_UID}.{number}"
    rng = np.random.default_rng(number)
    field = np.add.outer(np.arange(SIDE), np.arange(SIDE)) % 800
    paths = []
    for index in range(instances):
        series, place = divmod(index, SERIES_LENGTH)
        dataset.SeriesInstanceUID = f"{dataset.StudyInstanceUID}.{series}"
        dataset.SOPInstanceUID = f"{dataset.SeriesInstanceUID}.{place}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.SeriesNumber, dataset.InstanceNumber = series + 1, place + 1
        levels = field + rng.integers(0, 200, (SIDE, SIDE))
        dataset.PixelData = levels.astype("<i2").tobytes()
        path = folder / f"{index:06}.dcm"
        dataset.save_as(path)
        paths.append(path)
    return Corpus(folder, dataset.StudyInstanceUID, tuple(paths))


class Peak:
    """The most memory that processes held together, shared pages counted once."""

    def __init__(self, find: Callable[[], list[psutil.Process]]) -> None:
        self._find = find
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.megabytes = 0.0

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            held = 0
            for process in self._find():
                try:
                    held += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self.megabytes = max(self.megabytes, held / MEGABYTE)


class Ours:
    """The product, by its quickstart."""

    name = "medimaging"

    def __init__(self, product: Product, dicom_port: int) -> None:
        self.product = product
        self.dicom_port = dicom_port
        technician, _ = product.sign_in_of("technician")
        self.token = product.manage("issue_token", "--user", technician, "--days", "1").split()[-1]
        product.manage("shell", "-c", ADD_NODE)

    def processes(self) -> list[psutil.Process]:
        """Everything that the quickstart started, its database included."""
        assert self.product.process is not None
        return psutil.Process(self.product.process.pid).children(recursive=True)

    def send(self, door: str, corpus: Corpus) -> None:
        """Send a corpus by one door."""
        if door == "REST":
            self._send_by_rest(corpus)
        elif door == "STOW-RS":
            headers = {"Authorization": f"Token {self.token}", "X-Department": "radiology"}
            send_by_stow(f"{self.product.url}/dicomweb", corpus, headers)
        else:
            send_by_store(self.dicom_port, "MEDIMAGING", corpus)

    def count(self, corpus: Corpus) -> int:
        """How many instances of the corpus are held."""
        client = self.product.client(self.token)
        found = client.get(f"studies/?study_instance_uid={corpus.study_uid}")["results"]
        return int(found[0]["instance_count"]) if found else 0

    def _send_by_rest(self, corpus: Corpus) -> None:
        client = self.product.client(self.token)

        def send(paths: Sequence[Path]) -> None:
            for some in batched(paths, FILES_PER_REQUEST):
                client.submit({path.name: path.read_bytes() for path in some})

        send_from_all(corpus, send)


ADD_NODE = """
from accounts.models import Department
from records.services import add_node
add_node(actor=None, ae_title="BENCH", description="", addresses=["127.0.0.1"],
         department=Department.objects.order_by("name").first(),
         can_store=True, can_query=False, can_retrieve=False, host="", port=None)
"""


class Orthanc:
    """Debian's Orthanc with its DICOMweb plugin and its own defaults, but open to this machine."""

    name = "Orthanc"

    def __init__(self, folder: Path) -> None:
        self.http_port, self.dicom_port = free_port(), free_port()
        configuration = {
            "StorageDirectory": str(folder / "orthanc"),
            "IndexDirectory": str(folder / "orthanc"),
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
            "DicomAet": "ORTHANC",
            "AuthenticationEnabled": False,
            "DicomAlwaysAllowStore": True,
            "Plugins": [str(PLUGIN)],
            "DicomWeb": {"Enable": True},
        }
        path = folder / "orthanc.json"
        path.write_text(json.dumps(configuration))
        with (folder / "orthanc.log").open("wb") as log:
            self.process = subprocess.Popen([ORTHANC, path], stdout=log, stderr=subprocess.STDOUT)
        wait_for(self._answers, seconds=60, what="Orthanc")

    def processes(self) -> list[psutil.Process]:
        """Orthanc is one process."""
        return [psutil.Process(self.process.pid)]

    def send(self, door: str, corpus: Corpus) -> None:
        """Send a corpus by one door."""
        if door == "REST":
            self._send_by_rest(corpus)
        elif door == "STOW-RS":
            send_by_stow(f"http://127.0.0.1:{self.http_port}/dicom-web", corpus, {})
        else:
            send_by_store(self.dicom_port, "ORTHANC", corpus)

    def count(self, corpus: Corpus) -> int:
        """How many instances of the corpus are held."""
        query = {"Level": "Instance", "Query": {"StudyInstanceUID": corpus.study_uid}}
        found = self._ask("POST", "/tools/find", json.dumps(query).encode())
        return len(json.loads(found))

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(timeout=60)

    def _send_by_rest(self, corpus: Corpus) -> None:
        """One file a request, as its interface has it, from several senders at once."""

        def send(paths: Sequence[Path]) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", self.http_port)
            for path in paths:
                connection.request("POST", "/instances", path.read_bytes())
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200, answer.status

        send_from_all(corpus, send)

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=60)
        connection.request(method, path, body)
        return connection.getresponse().read()

    def _answers(self) -> bool:
        assert self.process.poll() is None, "Orthanc ended"
        try:
            return bool(self._ask("GET", "/system"))
        except OSError:
            return False


def send_from_all(corpus: Corpus, send: Callable[[Sequence[Path]], None]) -> None:
    """Have senders share a corpus: each gets every so-manieth file."""
    with ThreadPoolExecutor(SENDERS) as senders:
        list(senders.map(send, (corpus.files[start::SENDERS] for start in range(SENDERS))))


def batched(paths: Sequence[Path], size: int) -> Iterator[Sequence[Path]]:
    """Yield so many at a time."""
    for first in range(0, len(paths), size):
        yield paths[first : first + size]


def send_by_stow(url: str, corpus: Corpus, headers: dict[str, str]) -> None:
    """As dicomweb-client does it, so many instances a request."""

    def send(paths: Sequence[Path]) -> None:
        session = Session()
        session.headers.update(headers)
        client = DICOMwebClient(url, session=session)
        for some in batched(paths, INSTANCES_PER_STOW):
            client.store_instances([pydicom.dcmread(path) for path in some])

    send_from_all(corpus, send)


def send_by_store(port: int, title: str, corpus: Corpus) -> None:
    """As dcmtk's storescu does it: one association."""
    command = ["storescu", "-aet", "BENCH", "-aec", title, "127.0.0.1", str(port)]
    subprocess.run([*command, "+sd", corpus.folder], check=True)


def run_door(server: "Ours | Orthanc", door: str, corpus: Corpus) -> Round:
    """Send a corpus, and make sure that all of it arrived."""
    with Peak(server.processes) as peak:
        started = time.perf_counter()
        server.send(door, corpus)
        seconds = time.perf_counter() - started
    held = server.count(corpus)
    assert held == len(corpus.files), f"{server.name} holds {held} by {door}"
    return Round(len(corpus.files) / seconds, peak.megabytes)


@contextmanager
def servers(folder: Path) -> Iterator[list["Ours | Orthanc"]]:
    """Both, ready, with nothing in them but our samples."""
    dicom_port = free_port()
    orthanc = Orthanc(folder)
    try:
        with running(folder / "data", DICOM_PORT=str(dicom_port)) as product:
            yield [Ours(product, dicom_port), orthanc]
    finally:
        orthanc.stop()


def print_table(found: dict[tuple[str, str], list[Round]]) -> None:
    """One line a door: medians of the rounds, highest memory of any."""
    line = "{:8}  {:>12}  {:>9}  {:>12}  {:>9}  {:>7}\n"
    heads = ("door", "ours, 1/s", "MB", "Orthanc, 1/s", "MB", "ratio")
    sys.stdout.write(line.format(*heads))
    for door in DOORS:
        rates, peaks = [], []
        for name in (Ours.name, Orthanc.name):
            rounds = found[name, door]
            rates.append(statistics.median(one.rate for one in rounds))
            peaks.append(max(one.peak_mb for one in rounds))
        values: list[Any] = [rates[0], peaks[0], rates[1], peaks[1]]
        cells = [f"{value:.0f}" for value in values]
        sys.stdout.write(line.format(door, *cells, f"{rates[0] / rates[1]:.2f}"))


def main() -> None:
    """Measure every door of both servers in turn, round by round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--doors", nargs="+", choices=DOORS, default=DOORS)
    options = parser.parse_args()
    found: dict[tuple[str, str], list[Round]] = {}
    folder = Path(tempfile.mkdtemp(prefix="bench-intake-"))
    try:
        with servers(folder) as both:
            number = 0
            for _ in range(options.rounds):
                for door in options.doors:
                    for server in both:
                        number += 1
                        corpus = make_corpus(
                            folder / "corpus", number=number, instances=options.instances
                        )
                        result = run_door(server, door, corpus)
                        found.setdefault((server.name, door), []).append(result)
                        shutil.rmtree(corpus.folder)
                        text = f"{server.name} {door}: {result.rate:.0f}/s, {result.peak_mb:.0f} MB"
                        sys.stderr.write(f"{text}\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if set(options.doors) == set(DOORS):
        print_table(found)


if __name__ == "__main__":
    main()
