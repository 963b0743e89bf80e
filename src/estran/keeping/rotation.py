"""Changing the sealing key of a site: vault, landing and the data that projects bring are sealed anew, with a key drawn for it.

The key file is written first with both keys, and at the end with the new one alone: whatever the
instant of a crash, the file opens everything, and the same command goes on. The keyed hashes by
which rows are found stay, since quarantined records wait by them; without the sealed values they
tell nobody's name.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from estran.identity.keys import read_key, replace_key, with_last_seal, with_new_seal
from estran.identity.rotation import reseal
from estran.identity.store import Store
from estran.model.site_file import read_settings
from estran.projects.owndata.store import FOLDER as OWN_DATA
from estran.projects.owndata.store import landing_in
from estran.sources.landing import landing_of
from estran.warehouse import Warehouse

Told = Callable[[str, int], None]  # what is being sealed, how many are done


def rotate(site: Path, key_file: Path, told: Told = lambda _what, _done: None) -> None:
    """Seal the vault, the landing and projects' own data of `site` with a new key; `key_file` then opens nothing sealed before.

    Copies of the key file and backups of the site from before keep opening each other. Raises StoreError
    when a load is running or a value does not open; nothing is lost then, and the command can be repeated.
    """
    with Warehouse.open(site / "warehouse", read_settings(site)).writer():
        key = with_new_seal(read_key(key_file))
        replace_key(key_file, key)
        with closing(Store.open(site / "vault", key)) as store:
            for done in reseal(store):
                told("vault", done)
        for done in landing_of(site, key).reseal():
            told("landing", done)
        for folder in sorted((site / OWN_DATA).glob("*")):
            for done in landing_in(folder, key).reseal():
                told("own data", done)
        replace_key(key_file, with_last_seal(key))
