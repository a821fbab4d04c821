"""From a file on a technician's disk to a decision in the audit trail, in a real browser."""

import uuid
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import RESULT_MS, chromium, send_files, sign_in, sign_out
from tests.product import Product

pytestmark = pytest.mark.e2e


@pytest.fixture
def dicom_file(tmp_path: Path) -> Path:
    """A real chest radiograph of a patient that only this test knows."""
    import pydicom
    from pydicom.uid import generate_uid

    dataset = pydicom.dcmread(next(Path("samples").glob("chest-*pneumonia*/*.dcm")))
    dataset.PatientID = f"JRN-{uuid.uuid4().hex[:8]}"
    dataset.PatientName = "Journey^Dicom"
    dataset.StudyInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.SOPInstanceUID = generate_uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    path = tmp_path / "radiograph.dcm"
    dataset.save_as(path)
    return path


@pytest.fixture
def png_file(tmp_path: Path, chest_image: bytes) -> Path:
    path = tmp_path / "photograph.png"
    path.write_bytes(chest_image)
    return path


def wait_for_result(page: Page) -> None:
    """The state chip changes by itself: nobody reloads."""
    ended = page.locator(".opinion-head .chip", has_text="Awaiting review")
    expect(ended.first).to_be_visible(timeout=RESULT_MS)


def test_study_goes_from_upload_to_audit(
    product: Product, dicom_file: Path, png_file: Path
) -> None:
    with chromium(viewport={"width": 1440, "height": 900}) as context:
        page = context.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))

        sign_in(page, product, "technician")
        send_files(page, product, [dicom_file])
        expect(page.locator("[data-part=rows]")).to_contain_text("Stored")
        page.locator("[data-part=result-links] a").first.click()
        expect(page.get_by_role("heading", name="Journey, Dicom")).to_be_visible()
        wait_for_result(page)
        dicom_study = page.url
        expect(page.locator(".opinion")).to_contain_text("A person decides")

        patient_id = f"JRN-{uuid.uuid4().hex[:8]}"
        send_files(
            page,
            product,
            [png_file],
            patient_id=patient_id,
            patient_name="Journey^Png",
            birth_date="1971-03-04",
            sex="F",
            modality="CR",
            body_part="CHEST",
        )
        page.locator("[data-part=result-links] a").first.click()
        expect(page.get_by_role("heading", name="Journey, Png")).to_be_visible()
        wait_for_result(page)
        png_study = page.url
        sign_out(page)

        sign_in(page, product, "reviewer")
        page.goto(f"{product.url}/worklist/")
        expect(page.locator("main")).to_contain_text("Journey, Dicom")
        page.goto(dicom_study)
        wait_for_result(page)
        expect(page.locator("[data-review]")).to_be_visible()
        page.keyboard.press("c")
        page.locator("[data-sign]").last.click()
        expect(page.locator(".opinion-head .chip", has_text="Confirmed")).to_be_visible()
        # A picture names no institution: the model gives no label that could be confirmed.
        page.goto(png_study)
        wait_for_result(page)
        expect(page.locator("[data-review]")).to_be_visible()
        page.keyboard.press("o")
        page.locator("select[name=label]").select_option("normal")
        page.locator("textarea[name=comment]").fill("Known scar")
        page.get_by_role("button", name="Sign your finding").click()
        expect(page.locator(".opinion-head .chip", has_text="Decided")).to_be_visible()
        sign_out(page)

        sign_in(page, product, "auditor")
        study_id = dicom_study.rstrip("/").rsplit("/", 1)[-1]
        page.goto(f"{product.url}/audit/?study={study_id}")
        trail = page.locator("main")
        for action in (
            "file.stored",
            "study.completed",
            "classification.queued",
            "classification.started",
            "classification.completed",
            "study.viewed",
            "classification.viewed",
            "review.created",
        ):
            expect(trail).to_contain_text(action)
        assert "Journey" not in trail.inner_text()
        page.goto(dicom_study)
        expect(page.locator("body")).to_contain_text("Your role doesn't allow this")
        assert not problems
