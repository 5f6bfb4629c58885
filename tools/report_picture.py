"""Make docs/assets/report.png and report_dark.png, the top of the demo's report: `python tools/report_picture.py`.

Chromium is taken where $CHROMIUM says, else playwright's own.
"""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

import videohub
from videohub.data.synthetic import motions

PICTURES = {"light": "report.png", "dark": "report_dark.png"}  # the site shows the one that fits the page
ASSETS = Path(__file__).resolve().parent.parent / "docs" / "assets"


def main() -> None:
    """Verify the demo's network, and take the pictures of its report."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        videohub.verify("slowfast_motions", motions.generate(Path(folder)), out=Path(folder, "report"))
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM"), args=["--no-sandbox"])
        for scheme, name in PICTURES.items():
            page = browser.new_page(
                viewport={"width": 860, "height": 800}, device_scale_factor=1.5, color_scheme=scheme
            )
            page.goto(Path(folder, "report", "report.html").as_uri())
            second = page.locator("h3").nth(1).bounding_box()  # what follows the first chart
            assert second is not None
            clip = {"x": 0, "y": 30, "width": 860, "height": second["y"] - 40}
            shot = Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip)))
            shot.convert("P", palette=Image.Palette.ADAPTIVE, colors=200).save(ASSETS / name, optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
