"""A page as a browser shows it, and what is wrong with it."""

from pathlib import Path

SMALLEST = 9.0  # pixels of letters in figures


class Shown:
    """An address in a window.

    Attributes:
        page: playwright's.
        errors: of its scripts, and what it could not load or was not allowed to, in the browser's words.
    """

    def __init__(self, page, address):
        self.page, self.errors = page, []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda told: self.errors.append(told.text) if told.type in ("error", "warning") else None)
        page.set_default_timeout(120_000)  # milliseconds; a busy machine is no fault of the page
        page.goto(address)

    def all(self, selector, script):
        """What a JavaScript function says of each element."""
        return self.page.eval_on_selector_all(selector, f"(found) => found.map({script})")

    @property
    def too_wide(self):
        """Pixels by which the page is wider than its window."""
        return self.page.evaluate("document.scrollingElement.scrollWidth - innerWidth")

    @property
    def barriers(self):
        """What axe finds: rule and elements."""
        from axe_playwright_python.base import AXE_FILE_PATH

        self.page.evaluate(Path(AXE_FILE_PATH).read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run()")["violations"]
        return [(each["id"], [node["target"] for node in each["nodes"]]) for each in found]

    @property
    def small_letters(self):
        """Texts in figures that are drawn smaller than can be read."""
        drawn = "(text) => [text.textContent, parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a]"
        level = [each for each in self.all("svg text:not([transform*=rotate])", drawn) if each[0].strip()]
        return [text for text, size in level if size < SMALLEST]

    def loaded(self, selector):
        """Whether each picture came; lazy ones are asked for."""
        asked = """async (image) => {
            image.loading = "eager";
            await image.decode().catch(() => {});
            return image.naturalWidth > 0;
        }"""
        return self.page.eval_on_selector_all(selector, f"(found) => Promise.all(found.map({asked}))")

    def duration(self, selector):
        """Seconds of the first recording, once the browser has read it."""
        return self.page.eval_on_selector(
            selector,
            """async (sound) => {
                const read = new Promise((done, failed) => {
                    sound.addEventListener("canplaythrough", done);
                    sound.addEventListener("error", () => failed(new Error(sound.error.message)));
                });
                sound.preload = "auto";
                sound.load();
                await read;
                return sound.duration;
            }""",
        )
