"""What each hospital's folder says of itself: settings and feeds, nothing drawn at random, no path of a machine."""

from __future__ import annotations

import json
from pathlib import Path

from estran.model.feeds import Feed
from estran.model.site_file import FILE_NAME
from estran.region.feeds import STREAMS
from estran.region.library import Hospital

# Feeds made of files, after the streams: name, format.
_FILES = (("cda", "cda"), ("pdf", "report"), ("dicom", "dicom"), ("signal", "signal"), ("vcf", "vcf"))


def describe(site: Path, hospital: Hospital) -> None:
    """Write the site file of a hospital: what `estran ingest SITE --all` needs."""
    lines = [
        "# A hospital of the synthetic region: nobody in it exists.",
        f"name = {_quoted(hospital.name)}", 'zone = "Europe/Paris"',
        "# Assigning authority of numbers that come without one.", f"author_system = {_quoted(hospital.authority)}",
        "# What its catalogue names; no such addresses exist.",
        f"catalogue_homepage = {_quoted(f'https://{hospital.key}.example')}",
        f"dpo_contact = {_quoted(f'dpo@{hospital.key}.example')}", 'hdab_contact = "hdab@hub.example"',
        "# These genomes are invented: nobody has to consent.", 'genetic_data = "open"', "",
    ]  # fmt: skip
    for feed in feeds_of(site):
        lines += ["[[feed]]", f"name = {_quoted(feed.name)}", f"format = {_quoted(feed.format)}", f"path = {_quoted(feed.path)}", ""]
    (site / FILE_NAME).write_text("\n".join(lines), "utf-8")


def feeds_of(site: Path) -> list[Feed]:
    """The feeds that the folder holds, those that introduce patients first."""
    every = [(name, form) for name, (_, form) in STREAMS.items()] + list(_FILES)
    return [Feed(name, form, f"feeds/{name}") for name, form in every if (site / "feeds" / name).is_dir()]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
