"""Opens mails in a headless Chromium, as mail programs show them: light and dark, wide and on a phone.

    look.py FOLDER [PICTURES]

FOLDER has HTML files, their images within them. Fails when one of them is not shown, wants something from elsewhere or is
wider than the screen. PICTURES is a folder for screenshots.
"""

import pathlib
import shutil
import sys

from playwright.sync_api import sync_playwright

SIZES = {"wide": {"width": 700, "height": 900}, "phone": {"width": 360, "height": 740}}
SHOWN = "[...document.images].map(image => [image.complete, image.naturalWidth, image.alt.length > 40, image.clientWidth])"


def look(browser, file, theme, size, pictures):
    page = browser.new_page(viewport=SIZES[size], color_scheme=theme, device_scale_factor=2)
    page.on("request", lambda request: stays_here(request.url))
    page.goto(file.as_uri())
    where = f"{file.stem} {theme} {size}"
    images = page.evaluate(SHOWN)
    if not images or any(image[:3] != [True, 1120, True] for image in images):
        sys.exit(f"{where}: {images}")
    if any(image[3] < 0.8 * (SIZES[size]["width"] - 140) for image in images):
        sys.exit(f"{where}: {images}")
    if page.evaluate("document.documentElement.scrollWidth") > SIZES[size]["width"]:
        sys.exit(f"{where}: wider than the screen")
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=pictures / f"{file.stem}-{theme}-{size}.png", full_page=True)
    page.close()


def stays_here(url):
    if not url.startswith(("file:", "data:")):
        sys.exit(f"a mail asks elsewhere: {url}")


def main():
    files = sorted(pathlib.Path(sys.argv[1]).glob("*.html"))
    pictures = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    chromium = shutil.which("chromium") or sys.exit("chromium is missing: run scripts/tools.sh")
    if not files:
        sys.exit("no mails")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for file in files:
            for theme in ("light", "dark"):
                for size in SIZES:
                    look(browser, file, theme, size, pictures)
        browser.close()


main()
