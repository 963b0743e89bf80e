"""What a site offers to projects, and for how much: `services.toml`, which the site alone writes."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from estran.model.errors import UsageError

FILE_NAME = "services.toml"
_MOST, _LONGEST = 100, 300


@dataclass(frozen=True)
class Service:
    """One line: `price` in euros without tax for one `unit` (a day, a project); None when it is asked for."""

    name: str
    unit: str = ""
    price: float | None = None
    note: str = ""


def read_services(folder: Path) -> tuple[Service, ...]:
    """Every [[service]] of the file, none when there is no file; UsageError with what is wrong."""
    path = folder / FILE_NAME
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return ()
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"The services are not valid TOML: {error}.", where=str(path)) from None
    found = values.get("service", [])
    if set(values) - {"service"} or not isinstance(found, list) or len(found) > _MOST:
        raise UsageError("Services are written as [[service]], at most 100.", where=str(path))
    return tuple(service_of(one, str(path)) for one in found)


def service_of(value: object, where: str = "") -> Service:
    """A service from its fields; UsageError when one does not fit."""
    names = {item.name for item in fields(Service)}
    if not isinstance(value, dict) or not value.get("name") or set(value) - names:
        raise UsageError(f"A service has a name, and may have {', '.join(sorted(names - {'name'}))}.", where=where)
    texts = {name: value.get(name, "") for name in ("name", "unit", "note")}
    price = value.get("price")
    fits = price is None or (isinstance(price, int | float) and not isinstance(price, bool) and 0 <= price < 1e9)
    if not fits or not all(isinstance(text, str) and len(text) <= _LONGEST for text in texts.values()):
        raise UsageError("A service is said in short texts, with a price in euros.", where=where)
    return Service(texts["name"], texts["unit"], None if price is None else float(price), texts["note"])
