"""Reading a study: nothing typed is lost or scrolls away, and a second decision is told so."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.browser import chromium, sign_in, sign_out
from tests.product import Product

pytestmark = pytest.mark.e2e

DESK = {"viewport": {"width": 1440, "height": 900}}
SAVED = "Draft from"


@pytest.fixture
def page(product: Product) -> Iterator[Page]:
    with chromium(**DESK) as context:
        page = context.new_page()
        sign_in(page, product, "reviewer")
        yield page


def open_waiting_study(page: Page, product: Product) -> str:
    """Open the last study of the worklist whose answer may be confirmed; return its address."""
    page.goto(f"{product.url}/worklist/?state=awaiting_review")
    rows = page.locator("tr[data-href]", has_text="above its operating point")
    address = product.url + str(rows.last.get_attribute("data-href"))
    page.goto(address)
    expect(page.locator("[data-review]")).to_be_visible()
    return address


def comment_of(page: Page) -> Locator:
    return page.locator("[data-review] textarea[name=comment]")


def wait_until_saved(page: Page) -> None:
    expect(page.locator("[data-draft-said]")).to_contain_text(SAVED)


def boxes_overlap(one: Locator, other: Locator) -> bool:
    a, b = one.bounding_box(), other.bounding_box()
    assert a is not None
    assert b is not None
    return (
        a["x"] < b["x"] + b["width"]
        and b["x"] < a["x"] + a["width"]
        and a["y"] < b["y"] + b["height"]
        and b["y"] < a["y"] + a["height"]
    )


def test_a_comment_survives_every_way_out(product: Product, page: Page) -> None:
    study = open_waiting_study(page, product)
    headline = page.locator(".verdict-label").first

    # By keys alone, with everything that is chosen and typed on the way to Sign.
    for key in ("c", "o", "Tab", "Tab", "x", "Tab", "u", "Tab"):
        page.keyboard.press(key)
        page.wait_for_timeout(50)
        assert page.locator(".study-opinion").evaluate("panel => panel.scrollTop") == 0, key
        assert headline.evaluate("it => it.getBoundingClientRect().top") > 0

    comment_of(page).fill("One")
    wait_until_saved(page)
    page.goto(f"{product.url}/worklist/")
    page.go_back()
    expect(comment_of(page)).to_have_value("One")
    expect(page.locator("[value=uninterpretable]")).to_be_checked()

    comment_of(page).fill("One, two")
    page.reload()
    expect(comment_of(page)).to_have_value("One, two")
    wait_until_saved(page)

    sign_out(page)
    sign_in(page, product, "reviewer")
    page.goto(study)
    expect(comment_of(page)).to_have_value("One, two")

    # The cookie that forms need is gone: neither the draft nor the decision gets through.
    page.context.clear_cookies(name="csrftoken")
    comment_of(page).fill("One, two, three")
    page.keyboard.press("Tab")
    page.keyboard.press("c")
    page.locator("[data-sign]").click()
    toast = page.locator("#toasts .note")
    expect(toast).to_contain_text("What you typed is kept")
    assert not boxes_overlap(toast, page.locator("[data-sign]"))
    toast.get_by_role("link", name="Reload the page").click()
    expect(comment_of(page)).to_have_value("One, two, three")

    # The session has ended.
    wait_until_saved(page)
    page.context.clear_cookies(name="sessionid")
    comment_of(page).fill("One, two, three, four")
    page.locator("[data-sign]").click()
    expect(toast).to_contain_text("You have been signed out")
    assert not boxes_overlap(toast, page.locator("[data-sign]"))
    toast.get_by_role("link", name="Sign in again").click()
    username, password = product.sign_in_of("reviewer")
    page.locator("[name=username]").fill(username)
    page.locator("[name=password]").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(comment_of(page)).to_have_value("One, two, three, four")

    # The network is gone for a moment.
    page.context.set_offline(True)
    comment_of(page).fill("Agreed, offline")
    expect(page.locator("[data-draft-said]")).to_contain_text("kept in this tab")
    page.context.set_offline(False)
    page.locator("[data-sign]").click()

    # Signed: the person's word stands first, focus is where the way goes on, the timeline knows.
    expect(page.locator(".conclusion")).to_contain_text("Confirmed by")
    expect(page.locator(".conclusion")).to_contain_text("Agreed, offline")
    expect(page.get_by_role("link", name="Back to the worklist")).to_be_focused()
    expect(page.locator("#timeline li").first).to_contain_text("confirmed: ")
    page.reload()
    expect(page.locator(".conclusion")).to_contain_text("Agreed, offline")
    expect(page.locator(".unsigned")).to_have_count(0)


def test_a_second_decision_gives_the_text_back(product: Product, page: Page) -> None:
    study = open_waiting_study(page, product)
    late = page.context.new_page()
    late.goto(study)
    expect(late.locator("[data-review]")).to_be_visible()
    page.keyboard.press("c")
    page.keyboard.press("Enter")
    expect(page.locator(".conclusion")).to_contain_text("Confirmed by")

    late.keyboard.press("u")
    late.locator("select[name=reason]").select_option("image_quality")
    comment_of(late).fill("second opinion")
    late.locator("[data-sign]").click()
    told = late.locator(".unsigned")
    expect(told).to_be_focused()
    expect(told).to_contain_text("confirmed this at")
    expect(told).to_contain_text("this second decision was not saved")
    expect(told.locator("textarea")).to_have_value("second opinion")
    late.context.grant_permissions(["clipboard-read", "clipboard-write"])
    told.get_by_role("button", name="Copy").click()
    assert late.evaluate("navigator.clipboard.readText()") == "second opinion"
    late.reload()
    expect(late.locator(".unsigned textarea")).to_have_value("second opinion")
    late.get_by_role("button", name="Discard it").click()
    expect(late.locator(".unsigned")).to_have_count(0)
