"""The study page says only what is so of the picture on screen, on a desk, a phone and paper."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect
from pydicom.uid import (
    CTImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    generate_uid,
)

from ml.images import encode_png, read_frames, to_display
from tests.e2e.browser import chromium, sign_in
from tests.e2e.pictures import (
    FILES,
    LEVELS,
    SERVED,
    SLICES,
    SMALL,
    WATCH,
    describe,
    draw_numbers,
    fill,
)
from tests.product import Client, Product

pytestmark = pytest.mark.e2e

DESK = {"viewport": {"width": 1440, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def send(product: Product, token_for: Callable[[str], str]) -> Callable[..., str]:
    def send(files: dict[str, bytes]) -> str:
        answer = Client(product.url, token_for("technician")).submit(files)
        assert {one["verdict"] for one in answer["files"]} <= {"stored"}, answer
        return f"{product.url}/studies/{answer['files'][0]['study']}/"

    return send


@pytest.fixture(scope="module")
def long_series(send: Callable[..., str]) -> str:
    """Address of a study of one series with 512 slices, each with its number in it."""
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    files = {}
    for number in range(FILES):
        share = SLICES // FILES
        dataset = describe(
            MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
            PatientID="VIEWER-1",
            Modality="OT",
            SeriesNumber=1,
            InstanceNumber=number + 1,
            NumberOfFrames=share,
            BurnedInAnnotation="NO",
            **uids,
        )
        first = number * share + 1
        files[f"{number}.dcm"] = fill(dataset, draw_numbers(range(first, first + share)))
    return send(files)


@pytest.fixture(scope="module")
def windowed(send: Callable[..., str]) -> str:
    """Address of a study whose four images take a window in four ways."""
    ramp = np.linspace(-1000, 2000, 64 * 48).reshape(48, 64).astype(np.int16)
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    ways: list[dict[str, Any]] = [
        {},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"VOILUTFunction": "SIGMOID"},
        {"RescaleSlope": "0.37"},
    ]
    files = {}
    for number, way in enumerate(ways):
        fields = {"RescaleIntercept": "0", "RescaleSlope": "1", "WindowCenter": "40"} | way
        dataset = describe(
            CTImageStorage,
            PatientID="VIEWER-2",
            Modality="CT",
            SeriesNumber=1,
            InstanceNumber=number + 1,
            WindowWidth="400",
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, number],
            **uids,
            **fields,
        )
        files[f"{number}.dcm"] = fill(dataset, ramp)
    return send(files)


@pytest.fixture(scope="module")
def white(send: Callable[..., str]) -> str:
    """Address of a study of one image, larger than the stage and white all over."""
    dataset = describe(
        CTImageStorage,
        PatientID="VIEWER-3",
        Modality="CT",
        StudyInstanceUID=generate_uid(),
        SeriesInstanceUID=generate_uid(),
        WindowCenter="0",
        WindowWidth="100",
    )
    return send({"white.dcm": fill(dataset, np.full((1500, 1200), 1000, np.int16))})


@pytest.fixture(scope="module")
def desk(product: Product) -> Iterator[BrowserContext]:
    with chromium(**DESK) as context:
        page = context.new_page()
        sign_in(page, product, "reviewer")
        page.close()
        yield context


@contextmanager
def another_screen(desk: BrowserContext, **options: Any) -> Iterator[Page]:
    """A page on a screen of its own, signed in already."""
    assert desk.browser is not None
    context = desk.browser.new_context(storage_state=desk.storage_state(), **options)
    try:
        yield context.new_page()
    finally:
        context.close()


@pytest.fixture
def page(desk: BrowserContext) -> Iterator[Page]:
    page = desk.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    page.close()
    assert not problems


def watch(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("[data-part=corner-slice]")).to_contain_text("Slice 1 of")
    page.evaluate(WATCH)
    page.locator("[data-part=stage]").focus()


def check_what_was_seen(page: Page) -> list[dict[str, Any]]:
    """No painted frame may have had a word that isn't true of its picture."""
    seen: list[dict[str, Any]] = page.evaluate("window.seen")
    share = SLICES // FILES
    for one in seen:
        if not one["picture"]:
            continue
        words = f"Slice {one['picture']} of {SLICES}"
        assert one["caption"].startswith(f"{words} ·"), one
        assert (one["words"], one["spokenAs"]) == (words, words), one
        assert one["firstOfFile"] == (one["picture"] - 1) // share * share + 1, one
        if one["picture"] != one["asked"]:
            assert one["message"] == f"Loading {one['asked']} …", one
        else:
            assert one["message"] == "", one
    return seen


def wait_for_slice(page: Page, number: int) -> None:
    page.wait_for_function(
        "number => look().picture === number && !look().isDim", arg=number, timeout=30_000
    )


def test_caption_is_of_the_picture_at_every_moment_of_250_keys(
    page: Page, long_series: str
) -> None:
    ended: dict[str, int] = {"requestfinished": 0, "requestfailed": 0}
    for event in ended:
        page.on(event, lambda request, event=event: count(request.url, event, ended))
    watch(page, long_series)
    slow_down(page, 250)
    for _ in range(250):
        page.keyboard.press("ArrowDown", delay=2)
    wait_for_slice(page, 251)
    seen = check_what_was_seen(page)
    assert any(one["isDim"] and one["asked"] == 251 for one in seen)
    assert ended["requestfailed"] > 100, "loads that nobody waits for go on"
    assert ended["requestfinished"] < 100


def count(url: str, event: str, ended: dict[str, int]) -> None:
    ended[event] += url.endswith(".png")


def slow_down(page: Page, latency: int) -> None:
    """Every answer comes so many milliseconds later."""
    session = page.context.new_cdp_session(page)
    speed = {"downloadThroughput": -1, "uploadThroughput": -1}
    session.send("Network.enable")
    session.send(
        "Network.emulateNetworkConditions", {"offline": False, "latency": latency, **speed}
    )


def test_caption_is_of_the_picture_while_the_wheel_turns_and_the_slider_is_dragged(
    page: Page, long_series: str
) -> None:
    watch(page, long_series)
    page.mouse.move(700, 450)
    for _ in range(40):
        page.mouse.wheel(0, 100)
    wait_for_slice(page, 41)
    bar = page.locator("[data-part=slider]").bounding_box()
    assert bar is not None
    middle = bar["y"] + bar["height"] / 2
    page.mouse.move(bar["x"] + bar["width"] * 41 / SLICES, middle)
    page.mouse.down()
    page.mouse.move(bar["x"] + bar["width"] * 0.7, middle, steps=30)
    page.mouse.up()
    wait_for_slice(page, int(page.locator("[data-part=slider]").input_value()))
    page.keyboard.press("Home")
    wait_for_slice(page, 1)
    check_what_was_seen(page)


def test_picture_that_fails_leaves_the_stage_blank_and_says_why(
    page: Page, long_series: str
) -> None:
    def fail(route: Route) -> None:
        route.fulfill(status=422, content_type="text/plain", body="Its pixels are damaged.")

    watch(page, long_series)
    page.route("**/frames/4.png", fail)
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    expect(page.locator("[data-part=message]")).to_contain_text("Its pixels are damaged.")
    found = page.evaluate("look()")
    assert found["picture"] == 0
    assert found["caption"].startswith(f"Slice 4 of {SLICES}")
    assert page.locator("[data-part=window-words]").inner_text() == ""
    page.keyboard.press("ArrowDown")
    wait_for_slice(page, 5)
    page.keyboard.press("ArrowUp")
    expect(page.locator("[data-part=message]")).to_contain_text("Slice 4 can't be shown")
    page.unroute("**/frames/4.png")
    page.keyboard.press("End")
    page.route("**/frames/4.png", lambda route: route.abort())
    page.keyboard.press("Home")
    page.keyboard.press("PageDown")
    wait_for_slice(page, 11)
    check_what_was_seen(page)


def test_window_while_dragging_is_what_release_draws(page: Page, windowed: str) -> None:
    page.goto(windowed)
    words = page.locator("[data-part=window-words]")
    message = page.locator("[data-part=message]")
    for number in range(4):
        page.locator("[data-part=stage]").focus()
        if number:
            page.keyboard.press("r")
            page.keyboard.press("ArrowDown")
        expect(words).to_have_text("C 40 W 400")
        page.locator("[data-part=preset]").select_option("40,80")
        expect(words).to_have_text("C 40 W 80")
        for dx, dy in ((500, 120), (-230, -180)):
            page.mouse.move(700, 450)
            page.mouse.down(button="right")
            page.mouse.move(700 + dx, 450 + dy, steps=4)
            expect(words).not_to_have_text("C 40 W 80")
            expect(message).to_have_text("")
            page.wait_for_timeout(100)
            stated = words.inner_text()
            assert page.locator("[data-part=preset]").input_value() == "custom"
            preview, served = (np.array(page.evaluate(look)) for look in (LEVELS, SERVED))
            assert np.abs(preview - served).max() <= 1, (number, stated)
            assert np.ptp(served) > 0
            page.mouse.up(button="right")
            expect(message).to_have_text("")
            page.wait_for_timeout(150)
            assert words.inner_text() == stated
            assert np.abs(np.array(page.evaluate(LEVELS)) - served).max() <= 1
            page.locator("[data-part=preset]").select_option("40,80")
            expect(words).to_have_text("C 40 W 80")


def drawn(page: Page) -> dict[str, float]:
    box = page.locator("[data-part=frame]").bounding_box()
    assert box is not None
    return box


def test_zoom_is_true_and_about_the_pointer(desk: BrowserContext, white: str) -> None:
    with another_screen(desk, **DESK, device_scale_factor=2) as page:
        page.goto(white)
        words = page.locator("[data-part=zoom-words]")
        expect(words).to_contain_text("Fit")
        stage = page.locator("[data-part=stage]").bounding_box()
        assert stage is not None
        assert drawn(page)["height"] == pytest.approx(stage["height"], abs=1)
        percent = float(words.inner_text().split()[1])
        assert percent == pytest.approx(drawn(page)["height"] * 2 / 1500 * 100, abs=0.6)
        page.get_by_role("button", name="Width", exact=True).click()
        assert drawn(page)["width"] == pytest.approx(stage["width"], abs=1)
        page.keyboard.press("1")
        expect(words).to_have_text("Zoom 100 %")
        # Two screen pixels to each CSS pixel, one image pixel on each.
        assert drawn(page)["width"] == pytest.approx(600, abs=0.1)
        before, at = drawn(page), {"x": stage["x"] + 100, "y": stage["y"] + 200}
        page.mouse.move(at["x"], at["y"])
        page.keyboard.down("Control")
        page.mouse.wheel(0, -100)
        page.keyboard.up("Control")
        expect(words).to_have_text("Zoom 110 %")
        after = drawn(page)
        for axis, length in (("x", "width"), ("y", "height")):
            place = [(at[axis] - box[axis]) / box[length] for box in (before, after)]
            assert place[0] == pytest.approx(place[1], abs=0.002)
        page.mouse.dblclick(at["x"], at["y"])
        expect(words).to_contain_text("Fit")
        page.mouse.dblclick(at["x"], at["y"])
        expect(words).to_have_text("Zoom 100 %")
        page.keyboard.press("i")
        expect(page.locator("[data-part=invert]")).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("r")
        expect(page.locator("[data-part=invert]")).to_have_attribute("aria-pressed", "false")
        expect(words).to_contain_text("Fit")


def test_phone_shows_the_image_first_and_docks_the_decision(
    product: Product, desk: BrowserContext, white: str
) -> None:
    with another_screen(desk, **PHONE) as page:
        page.goto(white)
        # Whoever it is stands on a plate that a white image can't take away.
        plate = "element => getComputedStyle(element).backgroundColor"
        assert page.locator(".corner-tl").evaluate(plate) == "rgba(0, 0, 0, 0.7)"
        assert page.get_by_role("link", name="Delete").count() == 1
        assert page.locator(".study-head").get_by_role("link", name="Delete").count() == 0
        page.goto(f"{product.url}/worklist/")
        page.goto(
            product.url + str(page.locator("a.row-link", has_text="Sato").get_attribute("href"))
        )
        expect(page.locator("[data-review]")).to_be_visible()
        stage = page.locator("[data-part=stage]").bounding_box()
        assert stage is not None
        assert stage["y"] < 200
        dock = page.locator(".review-dock").bounding_box()
        assert dock is not None
        assert dock["y"] + dock["height"] == pytest.approx(844, abs=1)
        assert dock["height"] < 120
        assert page.evaluate(SMALL) == []
        page.locator("label", has_text="Cannot assess").click()
        sign = page.get_by_role("button", name="Sign: cannot be assessed")
        expect(sign).to_be_in_viewport()


@pytest.fixture(scope="module")
def two_films(product: Product, token_for: Callable[[str], str]) -> str:
    """A study of two answered chest films, of which the second decides."""
    names = ("chest-normal-adult-1", "chest-tuberculosis-1")
    films = [to_display(read_frames(Path("samples") / name / "01.dcm")[0]) for name in names]
    files = {f"{number}.png": encode_png(film) for number, film in enumerate(films)}
    fields = {"department": "radiology", "patient_id": "FILMS-2", "patient_name": "Petrova^Vera"}
    technician = product.client(token_for("technician"))
    answer = technician.submit(files, **fields, modality="CR", body_part="CHEST")
    study = str(answer["files"][0]["study"])
    technician.wait_for_state(study, "awaiting_review")
    return study


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_study_prints_on_one_page_in_black_on_white(
    product: Product, desk: BrowserContext, two_films: str, theme: str, tmp_path: Path
) -> None:
    with another_screen(desk, **DESK, color_scheme=theme) as page:
        page.goto(f"{product.url}/studies/{two_films}/")
        expect(page.locator(".verdict")).to_be_visible()
        expect(page.get_by_text("1 of 2 images speak of")).to_be_visible()
        # It opened where the model decided.
        deciding = page.locator("[data-deciding-instance]").get_attribute("data-deciding-instance")
        slices = json.loads(page.locator("#viewer-data").inner_text())["series"][0]["slices"]
        place = [one["instance"] for one in slices].index(deciding) + 1
        assert place > 1
        expect(page.locator("[data-part=corner-slice]")).to_contain_text(f"Slice {place} of")
        expect(page.locator("[data-slice-now]")).to_contain_text(f"image {place},")
        page.keyboard.press("1")
        content = page.pdf(path=tmp_path / "study.pdf", prefer_css_page_size=True)
        assert content.count(b"/Type /Page\n") == 1
        page.emulate_media(media="print")
        name = "element => getComputedStyle(element).color"
        assert page.locator(".study-head h1").evaluate(name) == "rgb(0, 0, 0)"
        assert page.locator("[data-part=slider]").is_hidden()
        assert page.locator(".verdict").is_visible()
