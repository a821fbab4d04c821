"""Uploads of size in a real browser: what a killed browser, a killed server or a pause costs."""

import hashlib
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from playwright.sync_api import Error, Page, expect, sync_playwright
from pydicom.uid import generate_uid

from tests.dicom.files import make_dicom, make_png, make_zip
from tests.e2e.browser import CHROMIUM, QUIET, RESULT_MS, choose_department, chromium, sign_in
from tests.e2e.conftest import SWIFT
from tests.e2e.relay import Relay
from tests.e2e.test_pages import problems_of
from tests.prerequisites import require_program
from tests.product import Client, Product, running, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

MEGABYTE = 10**6
MANY = 2000


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product that waits for its senders as long as a person needs to come back."""
    settings = SWIFT | {"INTAKE_ABANDONED_AFTER_SECONDS": "900"}
    with running(tmp_path_factory.mktemp("uploads"), **settings) as product:
        yield product


@pytest.fixture(scope="module")
def technician(product: Product) -> Client:
    return product.client(product.manage("issue_token", "--user", "technician", "--days", "1"))


@pytest.fixture
def relay(product: Product) -> Iterator[Relay]:
    relay = Relay(product.port, bytes_per_second=15 * MEGABYTE)
    yield relay
    relay.close()


def large_file(folder: Path, *, side: int, frames: int = 1) -> Path:
    """Square frames of two bytes a pixel that nobody has sent before."""
    path, random = folder / "Muster_Erika_large.dcm", np.random.default_rng()
    size = {"Rows": side, "Columns": side, "NumberOfFrames": frames}
    head = make_dicom(PixelData=b"", **size, **new_patient())
    with path.open("wb") as file:
        file.write(head[:-4] + struct.pack("<L", 2 * side * side * frames))
        for _ in range(frames):
            file.write(random.integers(0, 4096, side * side, dtype="<u2"))
    return path


def new_patient() -> dict[str, str]:
    uid = generate_uid()
    return {"PatientID": f"UP-{uid[-8:]}", "StudyInstanceUID": uid, "Modality": "OT"}


@contextmanager
def browser_with_profile(profile: Path) -> Iterator[Page]:
    """A browser that keeps what it remembers, and may be killed."""
    require_program("chromium", "chromium")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(profile), executable_path=CHROMIUM, args=QUIET
        )
        yield context.pages[0]
        with suppress(Error):  # it was killed
            context.close()


def kill_browser(profile: Path) -> None:
    """SIGKILL to every process of the browser with this profile."""
    found = [
        process
        for process in psutil.Process().children(recursive=True)
        if any(str(profile) in word for word in process.cmdline())
    ]
    assert found
    for process in found:
        process.send_signal(signal.SIGKILL)


def choose(page: Page, *paths: Path) -> None:
    page.locator("[data-part=files-input]").set_input_files([str(path) for path in paths])


def begin(page: Page, product: Product, relay: Relay, *paths: Path) -> None:
    """Sign in over the relay, choose the files and send them."""
    sign_in(page, _Seen(product, relay), "technician")
    page.goto(f"{relay.url}/submit/")
    choose_department(page)
    choose(page, *paths)
    page.get_by_role("button", name="Send").click()


class _Seen:
    """The product by the relay's address."""

    def __init__(self, product: Product, relay: Relay) -> None:
        self.url = relay.url
        self.sign_in_of = product.sign_in_of


def verdicts_of(technician: Client, page: Page) -> list[dict[str, str]]:
    """What the server says of the batch whose page is open."""
    batch = page.url.rstrip("/").rsplit("/", 1)[-1]
    return technician.get(f"submissions/{batch}/")["files"]


def test_killed_browser_sends_no_more_than_a_twentieth_again(
    product: Product, technician: Client, relay: Relay, tmp_path: Path
) -> None:
    path = large_file(tmp_path, side=5000, frames=20)
    size = path.stat().st_size
    assert size > 1000 * MEGABYTE
    relay.bytes_per_second = 60 * MEGABYTE
    profile = tmp_path / "profile"
    with browser_with_profile(profile) as page:
        begin(page, product, relay, path)
        wait_for(lambda: relay.sent > size / 2, seconds=120, what="half of the file")
        kill_browser(profile)
    assert relay.sent < 0.9 * size
    remembered = [
        *profile.rglob("Local Storage/**/*.log"),
        *profile.rglob("Local Storage/**/*.ldb"),
    ]
    assert remembered
    assert not any(b"Muster" in found.read_bytes() for found in remembered)

    with browser_with_profile(profile) as page:
        sign_in(page, _Seen(product, relay), "technician")
        page.goto(f"{relay.url}/submit/")
        page.get_by_role("link", name="Add files or finish it").first.click()
        expect(page.locator("main")).to_contain_text("Arrived only in part")
        assert not problems_of(page)
        choose(page, path)
        expect(page.locator("[data-words]")).to_contain_text("here already")
        expect(page.get_by_role("heading", name="Arrived only in part")).to_be_hidden()
        page.get_by_role("button", name="Send").click()
        expect(page.locator("[data-part=result]")).to_be_visible(timeout=8 * RESULT_MS)
        (verdict,) = verdicts_of(technician, page)
    assert verdict["verdict"] == "stored"
    with path.open("rb") as file:
        assert verdict["sha256"] == hashlib.file_digest(file, "sha256").hexdigest()
    assert relay.sent <= 1.05 * size


def test_killed_server_costs_nothing_but_a_moment(
    product: Product, technician: Client, relay: Relay, tmp_path: Path
) -> None:
    path = large_file(tmp_path, side=5000)
    size = path.stat().st_size
    with chromium() as context:
        page = context.new_page()
        begin(page, product, relay, path)
        wait_for(lambda: relay.sent > size / 2, seconds=60, what="half of the file")
        product.kill("gunicorn")
        expect(page.locator("[data-part=rows]")).to_contain_text("Reconnecting")
        expect(page.locator("[data-part=cut-off]")).to_be_visible()
        expect(page.locator("[data-part=result]")).to_be_visible(timeout=3 * RESULT_MS)
        (verdict,) = verdicts_of(technician, page)
    assert verdict["verdict"] == "stored"
    assert verdict["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert relay.sent <= size + 16 * MEGABYTE  # what was not yet safe, or on the wire


def test_pause_stops_the_bytes_and_cancel_takes_one_file_back(
    product: Product, technician: Client, relay: Relay, tmp_path: Path
) -> None:
    path = large_file(tmp_path, side=5000)
    small = tmp_path / "small.dcm"
    small.write_bytes(make_dicom(**new_patient()))
    with chromium() as context:
        page = context.new_page()
        begin(page, product, relay, path, small)
        expect(page.locator("[data-part=summary]")).to_contain_text("1 of 2 files done")
        expect(page.get_by_role("button", name="Pause")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#live")).to_have_text("Paused. What arrived is kept.")
        page.wait_for_timeout(1500)
        before = relay.sent
        page.wait_for_timeout(1500)
        assert relay.sent - before < MEGABYTE
        page.get_by_role("button", name="Go on").press("Enter")
        wait_for(lambda: relay.sent > before + MEGABYTE, seconds=30, what="more bytes")
        page.get_by_role("button", name=f"Cancel {path.name}").press("Enter")
        expect(page.locator("[data-part=rows]")).to_contain_text("Cancelled")
        expect(page.locator("[data-part=result]")).to_be_visible(timeout=60_000)
        codes = {verdict["code"] for verdict in verdicts_of(technician, page)}
    assert codes == {"stored", "upload_cancelled"}
    assert relay.sent < path.stat().st_size


def test_many_small_files_arrive_in_one_submission(product: Product, tmp_path: Path) -> None:
    uids = {**new_patient(), "SeriesInstanceUID": generate_uid()}
    paths = [tmp_path / f"{number:04}.dcm" for number in range(MANY)]
    for number, path in enumerate(paths):
        path.write_bytes(make_dicom(InstanceNumber=number, **uids))
    with chromium(viewport={"width": 390, "height": 844}) as context:
        page = context.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        sign_in(page, product, "technician")
        page.goto(f"{product.url}/submit/")
        choose_department(page)
        choose(page, *paths)
        expect(page.locator("[data-part=rows] tr")).to_have_count(100)
        expect(page.locator("[data-part=more]")).to_contain_text(f"{MANY - 100:,} waiting")
        assert not problems_of(page)
        page.get_by_role("button", name=f"Send {MANY:,} files").click()
        expect(page.locator("[data-part=result]")).to_be_visible(timeout=10 * RESULT_MS)
        expect(page.locator("[data-part=summary]")).to_have_text(f"{MANY:,} of {MANY:,} files done")
        expect(page.locator("[data-part=result]")).to_contain_text("1 study received")
        expect(page.locator("[data-part=more]")).to_contain_text(f"{MANY - 100:,} files arrived")
        page.get_by_role("button", name="Show all files").click()
        expect(page.locator("[data-part=rows] tr")).to_have_count(MANY)
        page.get_by_role("link", name="See the whole batch").click()
        expect(page.locator("main")).to_contain_text(f"{MANY}")
    assert not problems


def test_page_asks_before_it_sends_and_mends_what_was_rejected(
    product: Product, tmp_path: Path
) -> None:
    """A photograph and a series in one visit, on a phone: asked for, contradicted, mended."""
    number, phone = generate_uid()[-8:], {"width": 390, "height": 844}
    photo, series, broken = (tmp_path / name for name in ("mole.png", "in.zip", "broken.dcm"))
    photo.write_bytes(make_png(seed=int(number) % 1000))
    known = make_dicom(**new_patient() | {"PatientID": number, "PatientName": "Okafor^Ada"})
    series.write_bytes(make_zip({"a.dcm": known, "photo.png": make_png(seed=int(number) % 999)}))
    broken.write_bytes(b"no image")
    with chromium(viewport=phone, has_touch=True) as context:
        page = context.new_page()
        sign_in(page, product, "technician")
        page.goto(f"{product.url}/submit/")
        expect(page.get_by_role("button", name="Take a photograph")).to_be_visible()
        send, field = page.locator("[data-part=send]"), page.locator("[name=patient_id]")
        page.locator("[name=department]").select_option(label="Radiology")
        choose(page, series, broken)
        send.click()
        result = page.locator("[data-part=result]")
        expect(result).to_contain_text("1 study received. Classification has begun. 2 of 3 files")
        expect(result).to_contain_text("Okafor, Ada")
        expect(result).to_have_class("note note-attention")
        assert "in.zip ›" not in page.locator("[data-part=rows]").inner_text()
        first = page.locator("[data-part=rows] tr").first
        expect(first).to_contain_text("Rejected")

        page.locator("tr", has_text="photo.png").get_by_role("button", name="Fix").click()
        expect(field).to_be_focused()
        choose(page, photo)
        send.click()
        expect(page.locator("#sent_error_patient_id")).to_contain_text("whom the picture shows")
        assert field.bounding_box()["y"] < send.bounding_box()["y"]
        field.fill(number)
        page.locator("[name=patient_name]").fill("Doe, Jane")
        expect(page.locator("[data-known]")).to_contain_text("Okafor, Ada")
        expect(page.locator("[data-known]")).to_contain_text("with another name")
        assert problems_of(page) == []
        page.get_by_role("button", name="Use these instead").click()
        expect(page.locator("[data-known]")).to_contain_text("Is this the patient?")
        send.click()
        expect(result).to_have_class("note note-ok")
        assert problems_of(page) == []
        page.goto(f"{product.url}/")
        expect(page.locator("section", has_text="What you sent")).to_contain_text("Okafor, Ada")
