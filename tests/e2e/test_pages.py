"""What every page owes everybody: no WCAG violation, no script error, no sideways scrolling."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.browser import chromium, sign_in
from tests.product import Product

pytestmark = pytest.mark.e2e

PAGES = {
    "technician": ("/submit/", "/profile/", "/dicomweb/conformance"),
    "reviewer": (
        "/",
        "/worklist/",
        "/studies/",
        "/deleted-studies/",
        "/patients/",
        "/models/",
        "/conflicts/",
        "/exports/",
        "/nothing/",
        "/people/",
    ),
    "administrator": (
        "/people/",
        "/people/invite/",
        "/departments/",
        "/storage/",
        "/status/",
        "/holds/",
        "/quarantine/",
        "/nodes/",
        "/nodes/new/",
        "/models/",
        "/failed/",
    ),
    "auditor": ("/audit/",),
}
LOOKS = {
    "desk-light": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "desk-dark": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
    "narrow": {"viewport": {"width": 320, "height": 640}, "color_scheme": "dark"},
}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
EXPECTED_IN_CONSOLE = ("status of 403", "status of 404")


@pytest.fixture(params=LOOKS)
def context(request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    with chromium(**LOOKS[request.param]) as context:
        yield context


STANDS_STILL = """() => Promise.all(document.getAnimations()
  .filter((one) => one.effect.getComputedTiming().endTime < Infinity)
  .map((one) => one.finished.catch(() => null))).then(() => true)"""


def problems_of(page: Page) -> list[str]:
    """What axe finds, and whether something sticks out to the side, once all stands still."""
    page.evaluate(STANDS_STILL)
    violations = Axe().run(page, options=RULES).response["violations"]
    found = [
        f"{page.url}: {violation['id']} at {violation['nodes'][0]['target']}"
        for violation in violations
    ]
    too_wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    return [*found, *([f"{page.url}: scrolls sideways"] if page.evaluate(too_wide) else [])]


def open_newest_study(page: Page, product: Product) -> None:
    page.goto(f"{product.url}/studies/")
    page.goto(product.url + page.locator("a.row-link").first.get_attribute("href"))
    expect(page.locator(".opinion").first).to_contain_text("A person decides")


def open_a_held_export(page: Page) -> None:
    """The samples are secondary captures, so that somebody has to look at them."""
    page.get_by_role("link", name="De-identify").click()
    page.get_by_label("Project").fill("pages")
    page.get_by_label("Purpose").fill("test of pages")
    page.get_by_role("button", name="Make the copy").click()
    expect(page.get_by_role("heading", name="De-identified copy for pages")).to_be_visible()
    address = page.url
    for _ in range(60):
        if page.get_by_role("heading", name="Look for names in these images").is_visible():
            return
        page.wait_for_timeout(500)
        page.goto(address)
    raise AssertionError(f"{address} was not held back")


def open_its_patient(page: Page) -> None:
    page.locator("a.side-item", has_text="All of this patient").click()
    expect(page.get_by_role("heading", name="Studies and what was concluded")).to_be_visible()


def test_pages_are_accessible_fit_and_run_without_errors(
    product: Product, context: BrowserContext
) -> None:
    page = context.new_page()
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda message: found.append(message.text) if is_error(message) else None)
    page.goto(f"{product.url}/sign-in/")
    found += problems_of(page)
    for role, addresses in PAGES.items():
        context.clear_cookies()
        sign_in(page, product, role)
        for address in addresses:
            page.goto(product.url + address)
            found += problems_of(page)
        if role == "reviewer":
            open_newest_study(page, product)
            found += problems_of(page)
            open_a_held_export(page)
            found += problems_of(page)
            open_newest_study(page, product)
            open_its_patient(page)
            found += problems_of(page)
    assert not found, "\n".join(found)


def is_error(message: object) -> bool:
    return message.type == "error" and not any(
        words in message.text for words in EXPECTED_IN_CONSOLE
    )


def test_worklist_and_review_work_by_keyboard_alone(product: Product) -> None:
    with chromium(viewport={"width": 1440, "height": 900}) as context:
        page = context.new_page()
        sign_in(page, product, "reviewer")
        page.goto(f"{product.url}/worklist/")
        page.keyboard.press("/")
        expect(page.locator("input[type=search]").first).to_be_focused()
        link = page.locator("a.row-link", has_text="Sato").first
        link.focus()
        page.keyboard.press("Enter")
        expect(page.locator("[data-review]")).to_be_visible()
        page.keyboard.press("u")
        expect(page.locator("input[value=uninterpretable]")).to_be_checked()
        expect(page.get_by_role("button", name="Sign: cannot be assessed")).to_be_enabled()
