"""Chromium as a person uses it: signing in, sending files, reading, deciding."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from tests.prerequisites import require_program
from tests.product import Product

CHROMIUM = "/usr/bin/chromium"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
RESULT_MS = 60_000

# What comes at all comes within this, also on a machine that does much else.
expect.set_options(timeout=20_000)


@contextmanager
def chromium(**options: object) -> Iterator[BrowserContext]:
    """A browser of one's own, with nothing in its memory."""
    require_program("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        context = browser.new_context(**options)
        try:
            yield context
        finally:
            browser.close()


def sign_in(page: Page, product: Product, role: str) -> None:
    """Sign in with the demo account of `role`."""
    username, password = product.sign_in_of(role)
    page.goto(f"{product.url}/sign-in/")
    page.locator("[name=username]").fill(username)
    page.locator("[name=password]").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Your account")).to_be_visible()


def sign_out(page: Page) -> None:
    """Sign out through the person's menu."""
    page.get_by_role("button", name="Your account").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def choose_department(page: Page) -> None:
    """Say where images go, unless the page remembers it."""
    department = page.locator("#submit-form [name=department]")
    if not department.input_value():
        department.select_option(label="Radiology")


def send_files(page: Page, product: Product, paths: list[Path], **fields: str) -> None:
    """Choose files on the upload page, state what they don't say, and send them."""
    page.goto(f"{product.url}/submit/")
    choose_department(page)
    if fields:
        page.locator("[data-patient-details] > summary").click()
    for name, value in fields.items():
        control = page.locator(f"#submit-form [name={name}]")
        if control.evaluate("element => element.tagName") == "SELECT":
            control.select_option(value)
        else:
            control.fill(value)
    page.locator("[data-part=files-input]").set_input_files([str(path) for path in paths])
    page.get_by_role("button", name="Send").click()
    expect(page.locator("[data-part=result]")).to_be_visible()
