"""The settings of a site: one frozen list, each with its default and a sentence."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo


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
    count_floor: int = _setting(10, "Fewer patients than this are never told, zero included.")
    count_near: int = _setting(10, "Sets of patients that differ by fewer than this get one answer.")
    count_step: int = _setting(5, "Counts of patients are rounded to the nearest multiple of this.")
    count_noise: float = _setting(10.0, "Scale of the noise of counts, in patients (discrete Laplace law).")
    count_quota: int = _setting(200, "New sets of patients that a person may have counted per period.")
    count_days: int = _setting(30, "Days of that period.")
    audit_checkpoint_minutes: int = _setting(60, "Minutes between two checkpoints of the audit trail, when lines were added.")
    audit_checkpoint_lines: int = _setting(1_000, "Lines of the audit trail after which a checkpoint is made at once.")
    audit_months: int = _setting(12, "Months for which lines of the audit trail are kept; at least 6.")
    audit_patients_hour: int = _setting(60, "Patients read by one person in an hour from which a review says so.")
    audit_same_patient: int = _setting(20, "Reads of one patient by one person in a review's period from which it says so.")
    audit_refusals: int = _setting(5, "Refused attempts in a row from which a review says so.")
    audit_odd_hours: str = _setting("20-7", "Hours of the night, first and last; Saturdays and Sundays count as night.")
    audit_odd_reads: int = _setting(10, "Reads by night beyond a person's habit from which a review says so.")
    audit_first_after: int = _setting(20, "Documents that a person must have read before a first ward or kind is worth saying.")
    audit_care_openings: int = _setting(1, "Records opened for care by one person in a review's period from which it says so.")
    care_minutes: int = _setting(60, "Minutes for which a record opened for care stays open.")
    public_url: str = _setting("", "Address under which people reach the portal (https://host), for passkeys and sign-in elsewhere; the one they used when empty.")
    second_factor: str = _setting("offered", "One-time codes and passkeys: off, offered or required.", ("off", "offered", "required"))
    session_hours: int = _setting(12, "Hours after which a session ends, used or not.")
    session_idle_minutes: int = _setting(120, "Minutes without a request after which a session ends.")
    api_requests_per_minute: int = _setting(60, "Requests that one API token may make in a minute.")
    oidc_issuer: str = _setting("", "Address of the identity provider of health professionals (OpenID Connect); nobody signs in elsewhere when empty.")
    oidc_client_id: str = _setting("", "What the identity provider calls this portal; its secret is in ESTRAN_OIDC_SECRET.")
    oidc_scopes: str = _setting("openid scope_all", "Scopes asked of the identity provider.")
    oidc_claim: str = _setting("SubjectNameID", "Claim of the identity provider that names the person.")
    smtp_host: str = _setting("", "Mail server that notices of projects are handed to; none are sent when empty.")
    smtp_port: int = _setting(587, "Its port.")
    smtp_security: str = _setting("starttls", "How the connection to it is protected: starttls, tls, or off.", ("starttls", "tls", "off"))
    smtp_user: str = _setting("", "Login there, if it asks for one; its password is in ESTRAN_SMTP_PASSWORD.")
    smtp_from: str = _setting("estran@localhost", "Address that notices are sent from.")
    airlock_profile: str = _setting("estran", "Thresholds of the airlock: estran, opensafely or acro.", ("estran", "opensafely", "acro"))
    workspace_python: str = _setting("", "Python that has JupyterLab, for workspaces; .venv-workspace beside Estran's own when empty.")
    workspace_url: str = _setting("", "Address under which browsers reach workspaces, another host than the portal's (https://work.host).")
    workspace_port: int = _setting(8001, "Port that the portal opens for workspaces; 0 for any free one.")
    workspace_memory_mb: int = _setting(4_096, "Memory that one process of a workspace may use, in MiB.")
    workspace_disk_mb: int = _setting(5_120, "Disk that a workspace may use, in MiB; it is stopped beyond.")
    workspace_processes: int = _setting(200, "Processes and threads that a workspace may have; it is stopped beyond.")
    workspace_cpu_minutes: int = _setting(600, "Processor time that one process of a workspace may use, in minutes.")
    workspace_idle_minutes: int = _setting(240, "Minutes without a request after which a workspace is stopped.")
    genetic_data: str = _setting("closed", "Genomic documents: closed, unless the person consented, or open.", ("closed", "open"))
    controller: str = _setting("", "Who answers for the warehouse before the law: name and address of the hospital, told to the public.")
    dpo_contact: str = _setting("", "How to reach the data protection officer, told to the public.")
    hdab_contact: str = _setting("", "E-mail address of the health data access body, told by the catalogue that leaves (HealthDCAT-AP).")
    catalogue_homepage: str = _setting("", "Address that the catalogue names as the site's own; public_url when empty.")
    catalogue_public: bool = _setting(False, "Whether everybody may read what the site holds as HealthDCAT-AP, at /catalogue.ttl and /catalogue.jsonld.")
    retention_years: int = _setting(20, "Years for which the warehouse keeps data about a patient, from the last stay on.")
    retention_basis: str = _setting("", "Decision that set retention_years, for the registry sheet.")
    committee_opinion: str = _setting("", "Number and date of the opinion of the scientific and ethics committee on the warehouse.")
    hdh_directory: str = _setting("", "Number of the warehouse in the public directory of the Health Data Hub.")
    disk_encryption: str = _setting("", "How the volume that holds the site is encrypted, as the hospital states it.")

    @property
    def clocks(self) -> ZoneInfo:
        """The zone of the site's clocks."""
        return ZoneInfo(self.zone)

    def day(self, moment: dt.datetime) -> dt.date:
        """The date that the site's clocks show at an aware moment."""
        return moment.astimezone(self.clocks).date()

    def today(self) -> dt.date:
        """The date that they show now."""
        return dt.datetime.now(self.clocks).date()
