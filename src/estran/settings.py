"""The settings of a site: one frozen list, each with its default and a sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def _setting(default: Any, sentence: str, among: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"sentence": sentence, "among": among})


@dataclass(frozen=True)
class Settings:
    """What `estran.toml` may say. Unknown names are refused."""

    name: str = _setting("Estran", "Name of the site, shown on every page.")
    zone: str = _setting("Europe/Paris", "Time zone in which the site's clocks tell the time.")
    language: str = _setting("fr", "Language of pages and explanations when nobody chose: fr or en.")
    bucket_patients: int = _setting(400_000, "Patients per bucket; fixed once the site holds data.")
    row_group_rows: int = _setting(131_072, "Rows per Parquet row group.")
    commit_records: int = _setting(400_000, "Input records gathered before a load commits a snapshot.")
    author_system: str = _setting("", "Assigning authority of patient numbers that come without one.")
    authorities: str = _setting("", "Other names of assigning authorities: OTHER = NAME, OTHER = NAME (urn:oid: may be left out).")
    report_name: str = _setting("{ipp}_{nda}_{date}_{kind}[_{id}]", "What the names of report files say, field by field.")
    dicomweb_url: str = _setting("", "Base address of the DICOMweb server that holds the images, for links to them (https://pacs/dicom-web).")
    pmsi_layouts: str = _setting("", "Folder with further tables of PMSI layouts (*.toml), read after those of Estran.")
    public_url: str = _setting("", "Address under which people reach the portal (https://host), for passkeys and sign-in elsewhere; the one they used when empty.")
    second_factor: str = _setting("offered", "One-time codes and passkeys: off, offered or required.", ("off", "offered", "required"))
    session_hours: int = _setting(12, "Hours after which a session ends, used or not.")
    session_idle_minutes: int = _setting(120, "Minutes without a request after which a session ends.")
    api_requests_per_minute: int = _setting(60, "Requests that one API token may make in a minute.")
    oidc_issuer: str = _setting("", "Address of the identity provider of health professionals (OpenID Connect); nobody signs in elsewhere when empty.")
    oidc_client_id: str = _setting("", "What the identity provider calls this portal; its secret is in ESTRAN_OIDC_SECRET.")
    oidc_scopes: str = _setting("openid scope_all", "Scopes asked of the identity provider.")
    oidc_claim: str = _setting("SubjectNameID", "Claim of the identity provider that names the person.")
