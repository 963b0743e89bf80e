"""The rules of folding, words and stems."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.spec import plain_scan

from estran.text.analysis import fold, fold_with_offsets, index_terms, stem, tokens, words


@pytest.mark.parametrize(
    ("text", "folded"),
    [("Œdème", "oedeme"), ("L’ÉTÉ", "l'ete"), ("cre\u0301e\u0301", "cree"), ("soft\u00adhyphen", "softhyphen"),
     ("5 µg – 10 μg", "5 ug - 10 ug"), ("m²", "m2"), ("ﬁèvre", "fievre"), ("Doliprane™", "doliprane™")],
)  # fmt: skip
def test_folding(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(st.text())
def test_folding_twice_changes_nothing_and_offsets_lead_back(text: str) -> None:
    folded = fold_with_offsets(text)
    assert folded.text == fold(text)
    assert fold(folded.text) == folded.text
    assert len(folded.origins) == len(folded.text) + 1
    assert list(folded.origins) == sorted(folded.origins)
    assert all(char in fold(text[origin]) for char, origin in zip(folded.text, folded.origins, strict=False))


def test_words_are_runs_of_letters_and_digits() -> None:
    text = "L’œdème, pseudo-kyste : 1,8 mmol/l (B27) a_b"
    assert words(text) == ["l", "oedeme", "pseudo", "kyste", "1", "8", "mmol", "l", "b27", "a", "b"]
    assert [text[t.start : t.end] for t in tokens(text)][:4] == ["L", "œdème", "pseudo", "kyste"]


def test_a_tag_is_one_word_that_has_no_letters() -> None:
    assert [(t.stem, t.word) for t in tokens("M. [NOM] vu")] == [("m", "m"), ("[NOM]", ""), ("vu", "vu")]
    stems, distinct = index_terms("M. [NOM] vu")
    assert (stems, set(distinct.split())) == ("m [NOM] vu", {"vu"})


def test_a_span_covers_its_combining_accents() -> None:
    text = "cre\u0301e\u0301 !"
    assert [(t.start, t.end) for t in tokens(text)] == [(0, 6)]


@pytest.mark.parametrize(
    "forms",
    ["opérée opérés opéré operee operes opérées", "fièvre FIEVRE fièvres", "infectieux infectieuse infectieuses",
     "premier première premiers premières", "rénal rénale rénaux rénales", "genou genoux", "noyau noyaux", "œil yeux",
     "bénin bénigne bénins bénignes", "âgé âgée âgés âgées", "aigu aiguë aigus aiguës", "céphalée céphalées cephalee",
     "œdème oedèmes", "hôpital hôpitaux", "tissu tissus", "artériel artérielle artériels artérielles", "cheveu cheveux",
     "actif active actives", "positif positive positifs positives", "créé créée créées", "né née nés nées"],
)  # fmt: skip
def test_plural_feminine_and_accents_meet(forms: str) -> None:
    assert len({stem(fold(form)) for form in forms.split()}) == 1


@pytest.mark.parametrize("apart", ["toux tout", "fièvre fibre", "b27 b28", "os ose"])
def test_other_words_stay_apart(apart: str) -> None:
    first, second = apart.split()
    assert stem(fold(first)) != stem(fold(second))


@given(st.text(alphabet="aàâeéèêëiïoôœuùçhlnrstvxy'’-™[]NOM 0123456789", max_size=60))
def test_the_index_sees_the_words_that_tokens_sees(text: str) -> None:
    stems, _ = index_terms(text)
    assert stems.split() == [token.stem for token in tokens(text)] == list(plain_scan.stems(text))


def test_long_words_are_cut() -> None:
    assert words("a" * 100) == ["a" * 64]
    assert index_terms("a" * 100)[1] == "a" * 64
