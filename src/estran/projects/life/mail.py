"""Sending the notices that wait, through the hospital's mail server (SMTP, RFC 5321; messages as RFC 5322).

A notice is sent at least once: should the power fail between the server's yes and our note of it, it goes again
under the same Message-ID, by which mail programs know it.
"""

from __future__ import annotations

import os
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.utils import format_datetime

from estran.settings import Settings
from estran.state import Notice, StateDatabase

PASSWORD = "ESTRAN_SMTP_PASSWORD"  # noqa: S105 (a name, not a password)
TIMEOUT = 20.0  # seconds


def send_waiting(state: StateDatabase, settings: Settings) -> tuple[int, int]:
    """Send what is due; returns how many were sent and how many failed. What failed is tried again later.

    Does nothing when the site names no mail server.
    """
    sent = failed = 0
    if not settings.smtp_host:
        return sent, failed
    while (notice := state.notices.take()) is not None:
        try:
            with _server(settings) as server:
                server.send_message(message(notice, settings))
        except (smtplib.SMTPException, OSError, ValueError) as error:
            state.notices.failed(notice, _why(error))
            failed += 1
            if not isinstance(error, smtplib.SMTPRecipientsRefused | ValueError):
                break  # the server itself is in trouble: the others would fail too
        else:
            state.notices.done(notice.id)
            sent += 1
    return sent, failed


def message(notice: Notice, settings: Settings) -> EmailMessage:
    """A notice as a message; ValueError when a header would not fit."""
    made = EmailMessage()
    made["From"] = settings.smtp_from
    made["To"] = notice.address
    made["Subject"] = notice.subject
    made["Date"] = format_datetime(notice.created)
    made["Message-ID"] = f"<estran-{notice.id}-{notice.created:%Y%m%d%H%M%S}@{settings.smtp_from.partition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    made.set_content(notice.text)
    return made


@contextmanager
def _server(settings: Settings) -> Iterator[smtplib.SMTP]:
    context = ssl.create_default_context()
    if settings.smtp_security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            settings.smtp_host, settings.smtp_port, timeout=TIMEOUT, context=context
        )
    else:
        server = smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=TIMEOUT)
    with server:
        if settings.smtp_security == "starttls":
            server.starttls(context=context)
        if settings.smtp_user:
            server.login(settings.smtp_user, os.environ.get(PASSWORD, ""))
        yield server


def _why(error: Exception) -> str:
    """The kind of failure and the server's code; its words may hold an address."""
    code = getattr(error, "smtp_code", None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__
