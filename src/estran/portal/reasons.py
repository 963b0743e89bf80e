"""What other rooms say in English, in the reader's language: reasons of quarantine, errors, outcomes of work.

Their sentences are constants, some with words of a file in them. The catalogue takes them from the code
(`estran.portal.sentences`); a sentence that it does not know is shown as it came.
"""

from __future__ import annotations

import re
from functools import cache

from babel.messages.mofile import read_mo

from estran.model.errors import EstranError
from estran.portal.language import DOMAIN, FOLDER, Language
from estran.portal.words import _

_GAP = re.compile(r"\{(\d)\}")
# What a job did, as `keeping.work` puts it together.
OUTCOMES = (
    _("replayed {1}, quarantined {2}"),
    _("found"), _("not found"), _("carried out: {1}"),
    _("documents -{1}, read {2}, loaded {3}, superseded {4}, quarantined {5}"),
    _("datamart {1}, rows {2}"), _("datamarts -{1}, workspace -{2}"),
    _("Unexpected error: {1}."),
    _("entries {1}, checks {2}, failed {3}"),
)


def reason(spoken: Language, text: str) -> str:
    """A sentence in this language; as it is when it is none of ours."""
    if spoken.code == "en" or not text:
        return text
    found = spoken.text(text)
    return found if found != text else _with_words(spoken, text)


def told(spoken: Language, error: EstranError) -> str:
    """What happened and what to do about it, as two sentences."""
    hint = reason(spoken, error.hint)
    return f"{reason(spoken, error.what)} {hint[:1].upper()}{hint[1:]}".strip()


def _with_words(spoken: Language, text: str) -> str:
    for pattern, message in _patterns(spoken.code):
        if said := pattern.fullmatch(text):
            return _filled(spoken, spoken.text(message), said)
    return text


def _filled(spoken: Language, message: str, said: re.Match[str]) -> str:
    """The message with its words; a word that is a phrase of ours is translated too, a word of a file is not."""

    def word(gap: re.Match[str]) -> str:
        found = said[int(gap[1])]
        return reason(spoken, found) if " " in found else found

    return _GAP.sub(word, message)


@cache
def _patterns(code: str) -> list[tuple[re.Pattern[str], str]]:
    """Messages that take words in, the most telling first."""
    with (FOLDER / code / "LC_MESSAGES" / f"{DOMAIN}.mo").open("rb") as stream:
        messages = [str(m.id) for m in read_mo(stream) if _GAP.search(str(m.id))]
    messages.sort(key=lambda message: (-len(_GAP.sub("", message)), message))
    return [(_pattern(message), message) for message in messages]


def _pattern(message: str) -> re.Pattern[str]:
    """The message as a pattern; a gap holds at least one character."""
    plain = map(re.escape, _GAP.split(message)[::2])
    return re.compile("(.+?)".join(plain), re.DOTALL)
