"""Line icons drawn for Estran on a 24 by 24 grid."""

from __future__ import annotations

from markupsafe import Markup

_PATHS = {
    "search": '<circle cx="11" cy="11" r="6.5"/><path d="m16 16 4.5 4.5"/>',
    "up": '<path d="M12 19V5m-6 6 6-6 6 6"/>',
    "down": '<path d="M12 5v14m-6-6 6 6 6-6"/>',
    "close": '<path d="m6 6 12 12M18 6 6 18"/>',
    "plus": '<path d="M12 5v14M5 12h14"/>',
    "undo": '<path d="M9 14 4 9l5-5"/><path d="M4 9h10a6 6 0 0 1 0 12h-3"/>',
    "redo": '<path d="m15 14 5-5-5-5"/><path d="M20 9H10a6 6 0 0 0 0 12h3"/>',
    "save": '<path d="M5 4h11l3 3v13H5z"/><path d="M8 4v5h7V4M8 20v-6h8v6"/>',
    "left": '<path d="m14 6-6 6 6 6"/>',
    "right": '<path d="m10 6 6 6-6 6"/>',
    "people": '<circle cx="9" cy="8" r="3.4"/><path d="M3 20c0-3.6 2.6-6 6-6s6 2.4 6 6M16 5a3.4 3.4 0 0 1 0 6.4M21 20c0-3-1.6-5.2-4-5.8"/>',
    "document": '<path d="M6 3h8l4 4v14H6z"/><path d="M14 3v4h4M9 12h6M9 16h6"/>',
    "timeline": '<path d="M3 12h18"/><circle cx="7" cy="12" r="2.2"/><path d="M12 6h6M14 18h6"/>',
    "copy": '<path d="M9 9h11v11H9z"/><path d="M5 15H4V4h11v1"/>',
    "clock": '<circle cx="12" cy="12" r="8.5"/><path d="M12 7v5l3.5 2"/>',
    "bin": '<path d="M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13"/>',
    "star": '<path d="m12 4 2.5 5.2 5.6.8-4 4 .9 5.7-5-2.7-5 2.7.9-5.7-4-4 5.6-.8z"/>',
    "bell": '<path d="M6 10a6 6 0 0 1 12 0v5l2 2H4l2-2zM10 20h4"/>',
    "tree": '<path d="M5 4v14h6M5 10h6"/><path d="M14 8h6v4h-6zM14 16h6v4h-6z"/>',
    "map": '<path d="M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h6v6h-6z"/>',
    "table": '<path d="M4 5h16v14H4zM4 10h16M10 10v9"/>',
}


def icon(name: str) -> Markup:
    """A decorative icon; the button around it carries the name."""
    return Markup(f'<svg class="line" viewBox="0 0 24 24" aria-hidden="true" focusable="false">{_PATHS[name]}</svg>')  # noqa: S704
