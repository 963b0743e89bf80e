"""Hands on a keyboard and nothing else: what is not reached by Tab, or cannot be seen once it is, fails the test."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import FilePayload, Locator, Page

MOST = 400  # steps of Tab: more than any page of this site has
_WAY = """node => {
    const now = document.activeElement;
    if (node === now) return "here";
    if (now.matches("a.skip") && node.closest("main")) return "Enter";
    const before = node.compareDocumentPosition(now) & Node.DOCUMENT_POSITION_PRECEDING;
    return now === document.body || before || now.contains(node) ? "Tab" : "Shift+Tab";
}"""  # what a person presses next: past the menu by its skip link, then down, or up when it was passed
_SEEN = """node => {
    const style = getComputedStyle(node), box = node.getBoundingClientRect();
    const reach = node.querySelector(".reach");  // what a link within a drawing shows its focus by
    const drawn = reach && getComputedStyle(reach).stroke !== "none" && parseFloat(getComputedStyle(reach).strokeWidth) > 2;
    const ring = drawn || style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
    const x = Math.min(Math.max(box.left + box.width / 2, 1), innerWidth - 1);
    const parts = [0.1, 0.3, 0.5, 0.7, 0.9].map(part => box.top + box.height * part).filter(y => y >= 0 && y < innerHeight);
    const above = parts.map(y => document.elementFromPoint(x, y)).filter(found => found);
    return [ring || style.boxShadow !== "none", above.some(found => node.contains(found) || found.contains(node))];
}"""  # WCAG 2.4.7, focus visible; 2.4.11, focus not obscured


class Keys:
    """Somebody who has no mouse. A field is found by its selector, and its element takes the focus by Tab only."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.set_viewport_size({"width": 1440, "height": 900})
        # From now on the browser hands dialogs over: told just before the key, it may open one itself, and it never closes.
        page.on("filechooser", lambda _: None)

    def reach(self, where: str | Locator) -> Locator:
        """Press Tab (or Shift and Tab) until it has the focus, which must then be seen and not lie under anything."""
        found = (self.page.locator(where) if isinstance(where, str) else where).first
        for _ in range(MOST):
            way = found.evaluate(_WAY)
            if way == "here":
                break
            self.page.keyboard.press(way)
        else:
            raise AssertionError(f"{where} is not reached by Tab")
        ring, clear = found.evaluate(_SEEN)
        assert ring, f"{where} has the focus, and nothing shows it"
        assert clear, f"{where} has the focus under something else"
        return found

    def write(self, where: str | Locator, text: str) -> None:
        """Type over what a field holds."""
        self.reach(where)
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)

    def choose(self, where: str | Locator, value: str) -> None:
        """Press the arrow in a list until it says this."""
        field = self.reach(where)
        self.page.keyboard.press("Home")
        for _ in range(int(field.evaluate("node => node.options.length"))):
            if field.input_value() == value:
                return
            self.page.keyboard.press("ArrowDown")
        raise AssertionError(f"{where} has no choice {value}")

    def tick(self, *boxes: str | Locator) -> None:
        """Tick boxes, with the space bar."""
        for box in boxes:
            if not self.reach(box).is_checked():
                self.page.keyboard.press("Space")

    def press(self, where: str | Locator, key: str = "Enter") -> None:
        """Press a button, a link or a summary that leaves the page where it is."""
        self.reach(where)
        self.page.keyboard.press(key)

    def go(self, where: str | Locator, key: str = "Enter") -> None:
        """Press what leads to another page, or loads this one again."""
        self.reach(where)
        with self.page.expect_navigation():
            self.page.keyboard.press(key)

    def hand_in(self, where: str, name: str, content: bytes) -> None:
        """Choose a file in the dialog that the keyboard opens."""
        self.reach(where)
        with self.page.expect_file_chooser() as opened:
            self.page.keyboard.press("Enter")
        opened.value.set_files(FilePayload(name=Path(name).name, mimeType="text/csv", buffer=content))

    def step(self, name: str, **given: str | bool) -> None:
        """Take a step of a project in its own form: fields are written, chosen or ticked by what they are."""
        part = f"#do-{name}"
        if self.page.locator(part).get_attribute("open") is None:
            self.press(f"{part} summary")
        for key, value in given.items():
            field = f"#f-{name}-{key}"
            if value is True:
                self.tick(field)
            elif self.page.locator(field).evaluate("node => node.tagName") == "SELECT":
                self.choose(field, str(value))
            else:
                self.write(field, str(value))
        self.go(f"{part} form > button")
