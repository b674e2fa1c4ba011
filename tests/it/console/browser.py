"""Looks at the console with a headless Chromium, as people do: by eyes, by keyboard, without a script, by axe-core.

    browser.py CHECK BASE_URL FACTS

FACTS is a JSON object of what the test put into the store. Prints what it saw; exits 1 with the reason when something is
not as it should be.
"""

import json
import pathlib
import shutil
import sys
import traceback

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
NARROWEST = {"width": 320, "height": 640}
SERIOUS = ("serious", "critical")


class Console:
    """A browser at the console."""

    def __init__(self, playwright, base, facts):
        self.base, self.facts = base, facts
        chromium = shutil.which("chromium") or sys.exit("chromium is missing: run scripts/tools.sh")
        self.browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        self.complaints = []

    def page(self, theme="light", size=None, script=True, signed_in=True):
        context = self.browser.new_context(
            viewport=size or WIDE, color_scheme=theme, java_script_enabled=script, locale="en-GB"
        )
        context.set_default_timeout(15_000)
        page = context.new_page()
        page.on("console", lambda message: self.complain(page, message))
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("dialog", lambda dialog: sys.exit(f"a dialog at {page.url}: {dialog.message}"))
        page.on("request", self.stays_here)
        if signed_in:
            self.sign_in(page)
        return page

    def complain(self, page, message):
        # A status that a check asks for is no complaint.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(f"{page.url}: {message.text}")

    def stays_here(self, request):
        if not request.url.startswith((self.base, "data:", "blob:")):
            sys.exit(f"a page asks elsewhere: {request.url}")

    def sign_in(self, page, token=None):
        page.goto(self.base + "/login")
        page.get_by_label("Token").fill(token or self.facts["token"])
        page.get_by_role("button", name="Sign in").click()

    def paths(self):
        facts = self.facts
        return [
            "/", "/alerts", "/alerts?state=all", "/alerts?filter=severity%3D", "/alerts/" + facts["alert"],
            f"/alerts/{facts['alert']}/value", "/silences",
            "/silences/new?matcher=alertname%3DSpendLimitReached", "/events", "/events?kind=call.*",
            facts["event"], "/deliveries", "/deliveries?state=dead", "/deliveries/" + facts["delivery"], "/receivers",
            "/rules", "/rules/" + facts["rule"], "/spend", "/spend?days=30&by=number", "/audit", "/nothing",
        ]


def fails_sideways(page):
    """What is wider than the window, if anything is."""
    return page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? null
             : [...document.querySelectorAll("main *, header *, footer *")]
                 .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".wide-ok, pre, .values, .places"))
                 .slice(0, 3).map((one) => one.outerHTML.slice(0, 120)).join(" | ")
               || "only in what may scroll: " + [...document.querySelectorAll("*")]
                 .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
                 .slice(0, 9).map((one) => one.outerHTML.slice(0, 60)).join(" | ") """
    )


def looks(console):
    """Every page: no complaint of the browser, nothing sideways, no serious finding of axe-core, both themes, a phone."""
    axe = Axe()
    for theme, size in (("light", WIDE), ("dark", PHONE)):
        page = console.page(theme, size)
        for path in console.paths():
            page.goto(console.base + path)
            assert page.locator("h1").count() == 1, f"{path} has no one h1"
            assert page.title().endswith("· tollbell"), f"{path}: {page.title()}"
            found = axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
            found = [one for one in found if one["impact"] in SERIOUS]
            told = [f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in found]
            assert not told, f"axe-core at {path}, {theme}: " + "; ".join(told)
            if size is PHONE:
                page.set_viewport_size(NARROWEST)
                wide = fails_sideways(page)
                page.set_viewport_size(PHONE)
                assert not wide, f"{path} goes sideways at 320 px: {wide}"
    login = console.page(signed_in=False)
    login.goto(console.base + "/login")
    found = axe.run(login, options={"resultTypes": ["violations"]}).response["violations"]
    assert not [one["id"] for one in found if one["impact"] in SERIOUS], found
    print(f"{len(console.paths())} pages, both themes")


def acts(console):
    """Every action, without a script."""
    facts = console.facts
    page = console.page(script=False, signed_in=False)
    page.goto(f"{console.base}/alerts/{facts['alert']}")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("Token").fill("wrong wrong wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not known")
    page.get_by_label("Token").fill(facts["token"])
    page.get_by_role("button", name="Sign in").click()
    assert page.url.endswith("/alerts/" + facts["alert"]), page.url

    page.get_by_role("link", name="Silence", exact=True).click()
    expect(page.get_by_role("heading", name="1 alert that fires will not be notified")).to_be_visible()
    page.get_by_label("Matchers").fill('alertname="CallSpend"')
    page.get_by_label("Why").fill("paying <b>now</b>")
    page.get_by_label("Who").fill("ada")
    page.get_by_role("button", name="Silence", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("The matchers were changed")
    page.get_by_role("button", name="Silence", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("The silence is in force")
    expect(page.get_by_role("row").nth(1)).to_contain_text("paying <b>now</b>")
    page.goto(f"{console.base}/alerts/{facts['alert']}")
    expect(page.locator("dl.band")).to_contain_text("silenced")
    page.goto(console.base + "/silences")
    page.get_by_role("button", name="End now").click()
    expect(page.get_by_role("status")).to_contain_text("The silence is over")
    page.get_by_role("link", name="Again").click()
    expect(page.get_by_label("Matchers")).to_have_value('alertname="CallSpend"')

    page.goto(console.base + "/deliveries?state=dead")
    page.get_by_role("button", name="Try again").first.click()
    expect(page.get_by_role("status")).to_contain_text("It waits to be sent again")
    page.goto(console.base + "/receivers")
    page.get_by_role("button", name="Send a test to ops").click()
    expect(page.get_by_role("status")).to_contain_text("delivered")
    page.get_by_role("button", name="dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="auto").click()
    expect(page.locator("html:not([data-theme])")).to_have_count(1)

    page.goto(console.base + "/alerts")
    page.get_by_label("Matchers").fill('severity="none"')
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("none of them fits")).to_be_visible()
    page.goto(console.base + "/events")
    page.get_by_label("or an id").fill(facts["event"].rsplit("/", 1)[1])
    page.get_by_role("button", name="Show").click()
    assert page.url.endswith(facts["event"]), page.url
    page.goto(console.base + "/audit")
    for action in ("silence.create", "silence.expire", "delivery.retry", "receiver.test"):
        expect(page.get_by_text(action, exact=True)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(console.base + "/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    print("every action")


def tab_to(page, name, whole=True):
    """Goes on with Tab until the control of that name, or whose name begins so, has the focus."""
    for _ in range(120):
        page.keyboard.press("Tab")
        text = page.evaluate(
            """() => { const at = document.activeElement;
               return (at.labels?.[0] ?? at).textContent.replace(/\\s+/g, " ").trim(); }"""
        )
        if text == name or not whole and text.startswith(name):
            visible = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
            assert visible != "none", f"{name} has the focus, and nobody sees it"
            return
    sys.exit(f"no way to {name} by keyboard at {page.url}")


def types(console):
    """The way from the door to a silence, by keyboard alone."""
    page = console.page(signed_in=False)
    page.goto(console.base + "/login")
    page.keyboard.type(console.facts["token"])
    page.keyboard.press("Enter")
    page.wait_for_url(console.base + "/")
    page.keyboard.press("Tab")
    expect(page.locator("a.jump")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, console.facts["headline"])
    page.keyboard.press("Enter")
    page.wait_for_url("**/alerts/*")
    tab_to(page, "Silence")
    page.keyboard.press("Enter")
    page.wait_for_url("**/silences/new*")
    tab_to(page, "Why")
    page.keyboard.type("by keyboard")
    tab_to(page, "Who")
    page.keyboard.type("grace")
    tab_to(page, "Silence")
    page.keyboard.press("Enter")
    page.wait_for_url("**/silences?done=silenced")
    tab_to(page, "End now", whole=False)
    page.keyboard.press("Enter")
    page.wait_for_url("**/silences?done=expired")
    print("from the door to a silence and back")


def resists(console):
    """What strangers wrote is shown as text, and runs nowhere."""
    page = console.page()
    seen = set()
    for path in console.paths() + ["/silences", "/events?kind=message.*"] + console.facts["hostile"]:
        page.goto(console.base + path)
        assert page.evaluate("() => window.__ran === undefined"), f"something ran at {path}"
        foreign = page.locator("main script, main img, main iframe, main b[data-x], main object, main style").count()
        assert foreign == 0, f"{path} has elements that are not ours"
        text = page.locator("main").inner_text()
        seen.update(mark for mark in console.facts["marks"] if mark in text)
    missing = set(console.facts["marks"]) - seen
    assert not missing, f"never shown, so nothing is proved: {missing}"
    print(f"{len(seen)} attempts are text")


def pictures(console):
    """Each page as a picture, into the folder that FACTS names."""
    folder = pathlib.Path(console.facts["pictures"])
    folder.mkdir(parents=True, exist_ok=True)
    for theme, size, name in (("light", WIDE, "light"), ("dark", WIDE, "dark"), ("light", PHONE, "phone")):
        page = console.page(theme, size)
        for path in console.paths():
            page.goto(console.base + path)
            page.screenshot(path=folder / f"{name}{path.split('?')[0].replace('/', '_')}.png", full_page=True)


def main():
    check, base, facts = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    with sync_playwright() as playwright:
        console = Console(playwright, base, facts)
        {"looks": looks, "acts": acts, "types": types, "resists": resists, "pictures": pictures}[check](console)
        console.browser.close()
    if console.complaints:
        sys.exit("the browser complains: " + "; ".join(console.complaints[:5]))


if __name__ == "__main__":
    try:
        main()
    except AssertionError as error:
        sys.exit(f"{error}" or traceback.format_exc())
