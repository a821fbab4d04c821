"""Lists as people use them: searching, going back, Enter, the keyboard, a tablet, 200 % zoom."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.browser import chromium, sign_in
from tests.product import Product

pytestmark = pytest.mark.e2e

LISTS = {
    "reviewer": (
        "/worklist/",
        "/worklist/?state=all",
        "/studies/",
        "/patients/",
        "/models/",
        "/exports/",
        "/conflicts/",
    ),
    "administrator": ("/people/", "/departments/", "/nodes/", "/holds/", "/audit/"),
}
# 720 is a desk's 1440 at 200 % zoom.
WIDTHS = (640, 641, 720, 768, 900, 992, 1024, 1100, 1199, 1200, 1280)
BOTH_WAYS = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
CUT_OFF = """() => [...document.querySelectorAll('main td, main th, main .filters > *')]
  .filter((cell) => cell.getClientRects().length)
  .filter((cell) => cell.getBoundingClientRect().right > innerWidth + 1).length"""


@pytest.fixture
def context() -> Iterator[BrowserContext]:
    with chromium(viewport={"width": 1440, "height": 900}) as context:
        yield context


@pytest.mark.parametrize("role", LISTS)
def test_no_list_is_cut_off_between_phone_and_desk(context: BrowserContext, product: Product, role):
    page = context.new_page()
    sign_in(page, product, role)
    for path in LISTS[role]:
        page.goto(product.url + path)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            scroll, client = page.evaluate(BOTH_WAYS)
            assert scroll <= client, (path, width)
            assert page.evaluate(CUT_OFF) == 0, (path, width)


def test_focus_ring_goes_round_the_row(context: BrowserContext, product: Product):
    page = context.new_page()
    sign_in(page, product, "reviewer")
    page.goto(f"{product.url}/worklist/")
    link = page.locator("tbody a.row-link").first
    link.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    row = page.locator("tbody tr").first
    expect(row).to_have_css("outline-style", "solid")
    expect(link).to_have_css("outline-style", "none")


def search(page: Page, text: str) -> None:
    page.keyboard.press("/")
    page.keyboard.type(text)
    page.keyboard.press("Enter")
    expect(page.locator("tbody a.row-link").first).to_be_visible()


def test_back_reload_and_a_second_tab_find_a_search_again(
    context: BrowserContext, product: Product
):
    page = context.new_page()
    sign_in(page, product, "reviewer")
    search(page, "Berger")
    address = page.url
    assert "Berger" not in address
    rows = page.locator("tbody tr").count()
    page.locator("tbody a.row-link").first.click()
    expect(page.locator(".study")).to_be_visible()
    page.go_back()
    expect(page.locator("tbody tr")).to_have_count(rows)
    expect(page.locator("[name=q]").last).to_have_value("Berger")
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(rows)
    second = context.new_page()
    second.goto(address)
    expect(second.locator("tbody tr")).to_have_count(rows)


def test_enter_in_the_audit_filters_filters_and_downloads_nothing(
    context: BrowserContext, product: Product
):
    page = context.new_page()
    sign_in(page, product, "auditor")
    downloads = []
    page.on("download", lambda download: downloads.append(download))
    page.goto(f"{product.url}/audit/")
    page.get_by_text("More filters").click()
    page.get_by_label("User name").fill("technician")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{product.url}/audit/?actor=technician")
    who = page.locator("tbody td[data-label=Who]").all_inner_texts()
    assert {name.splitlines()[0] for name in who} == {"Demo technician"}

    page.goto(f"{product.url}/audit/")
    page.get_by_label("Who looked at").fill("SAMPLE-04")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Events about:")).to_be_visible()
    assert "SAMPLE" not in page.url
    page.locator("details.event summary").first.click()
    page.get_by_role("link", name="All of this patient").first.click()
    expect(page.locator("tbody tr").first).to_be_visible()
    assert downloads == []
