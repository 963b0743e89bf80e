"""The worked cases of public guidance, each under its own thresholds, classified as its text says.

OpenSAFELY, "Statistical disclosure control", https://docs.opensafely.org/outputs/sdc/ (page of the repository
opensafely/documentation, docs/outputs/sdc.md, commit 1ea5fd4), and "Requesting file release",
https://docs.opensafely.org/outputs/requesting-file-release/ (earlier docs/releasing-files.md, commit 002abe4).
ACRO, https://github.com/AI-SDC/ACRO, notebooks/test.ipynb (commit 02358f7), whose outputs print each outcome; its
thresholds are those that the notebook prints: threshold 10, dof 10, NK (2, 0.9), p-ratio 0.1.
"""

from __future__ import annotations

from estran.release.airlock import Checked, HandedIn, Verdict, check, profile


def csv(name: str, text: str) -> HandedIn:
    return HandedIn(name, "\n".join(line.strip() for line in text.strip().splitlines()).encode())


def opensafely(*files: HandedIn) -> list[Checked]:
    return check(files, profile("opensafely"))


def acro(*files: HandedIn) -> list[Checked]:
    return check(files, profile("acro"))


def rules(checked: Checked) -> set[str]:
    return {one.rule for one in checked.findings}


def cells(checked: Checked, rule: str) -> set[tuple[int, int]]:
    return {(one.row, one.column) for one in checked.findings if one.rule == rule}


HEAD = "Age band,Heart disease,Population"


def test_opensafely_primary_disclosure() -> None:
    """One person of 21-30 has heart disease, of one: that is told directly, hence primary disclosure."""
    (found,) = opensafely(csv("primary.csv", f"{HEAD}\n21-30,1,1\n31-40,10,100\n41-50,15,90\n51+,25,85\nTotal,51,276"))
    assert found.verdict is Verdict.REFUSE
    assert cells(found, "small") == {(2, 2), (2, 3)}


def test_opensafely_secondary_disclosure_by_totals() -> None:
    """The row is redacted but 51 and 276 still stand below it: one person is deduced, hence secondary disclosure."""
    (found,) = opensafely(
        csv("totals.csv", f"{HEAD}\n21-30,[REDACTED],[REDACTED]\n31-40,10,100\n41-50,15,90\n51+,25,85\nTotal,51,276")
    )
    assert found.verdict is Verdict.REFUSE
    assert "small" not in rules(found)
    assert cells(found, "deduced") == {(2, 2), (2, 3)}
    assert {dict(one.words)["count"] for one in found.findings if one.rule == "deduced"} == {"1"}


def test_opensafely_secondary_disclosure_by_differencing() -> None:
    """Everybody (8 of 20) beside men alone (7 of 19): the difference is one woman, with heart disease."""
    everybody = csv("all.csv", f"{HEAD}\n21-30,8,20\n31-40,10,25\n41-50,15,30\n51+,25,40\nTotal,58,115")
    men = csv("men.csv", f"{HEAD}\n21-30,7,19\n31-40,5,15\n41-50,8,18\n51+,13,25\nTotal,33,64")
    found, _ = opensafely(everybody, men)
    assert found.verdict is Verdict.REFUSE
    assert {(2, 2), (2, 3)} <= cells(found, "differencing")
    (alone,) = opensafely(everybody)
    assert "differencing" not in rules(alone)


def test_opensafely_table_before_rounding_is_not_released() -> None:
    """3, 8, 16, 23 of 18, 23, 31, 44: to be redacted up to 7, then rounded to the nearest 5."""
    (found,) = opensafely(csv("before.csv", f"{HEAD}\n21-30,3,18\n31-40,8,23\n41-50,16,31\n51+,23,44\nTotal,50,116"))
    assert found.verdict is Verdict.REFUSE
    assert cells(found, "small") == {(2, 2)}
    assert (3, 2) in cells(found, "unrounded"), "8 is no small count, but it is not rounded"


def test_opensafely_table_after_redaction_and_rounding_is_released() -> None:
    """The same table redacted and rounded, totals the sums of rounded counts (50 and 120): acceptable."""
    (found,) = opensafely(
        csv("after.csv", f"{HEAD}\n21-30,[REDACTED],20\n31-40,10,25\n41-50,15,30\n51+,25,45\nTotal,50,120")
    )
    assert (found.verdict, found.findings) == (Verdict.PASS, ())


def test_opensafely_seven_is_redacted_and_eight_is_not_small() -> None:
    """Counts up to 7 go, so that a 5 left by rounding cannot be a 6 or a 7; a 5 itself is then not shown."""
    (five,) = opensafely(csv("five.csv", "group,n\na,5\nb,10"))
    (seven,) = opensafely(csv("seven.csv", "group,n\na,7\nb,10"))
    (ten,) = opensafely(csv("ten.csv", "group,n\na,15\nb,10"))
    assert [one.verdict for one in (five, seven, ten)] == [Verdict.REFUSE, Verdict.REFUSE, Verdict.PASS]


def test_opensafely_midpoint_six_rounding() -> None:
    """0, 3, 9, 15 under a heading that ends in _midpoint6 are labels of 0, 1-6, 7-12, 13-18: acceptable there only."""
    (named,) = opensafely(csv("km.csv", "time,at_risk_midpoint6\n0,15\n1,9\n2,3\n3,0"))
    (derived,) = opensafely(csv("life.csv", "time,cumulative_midpoint6_derived\n0,6\n1,12\n2,18"))
    (bare,) = opensafely(csv("bare.csv", "time,at_risk\n0,15\n1,9\n2,3\n3,0"))
    (wrong,) = opensafely(csv("wrong.csv", "time,at_risk_midpoint6\n0,15\n1,8"))
    assert [one.verdict for one in (named, derived)] == [Verdict.PASS, Verdict.PASS]
    assert [one.verdict for one in (bare, wrong)] == [Verdict.REFUSE, Verdict.REFUSE]


def test_opensafely_statistic_of_few_patients() -> None:
    """A mean that describes 5 or fewer patients goes, whether its count is shown or redacted."""
    (shown,) = opensafely(csv("mean.csv", "group,n,mean\na,4,61.5\nb,120,58.2"))
    (redacted,) = opensafely(csv("mean.csv", "group,n,mean\na,[REDACTED],61.5\nb,120,58.2"))
    (both,) = opensafely(csv("mean.csv", "group,n,mean\na,[REDACTED],[REDACTED]\nb,120,58.2"))
    assert [one.verdict for one in (shown, redacted, both)] == [Verdict.REFUSE, Verdict.REFUSE, Verdict.PASS]
    assert "group" in rules(redacted)


def test_opensafely_rate_of_few_patients() -> None:
    """A rate whose numerator is redacted is redacted too."""
    (found,) = opensafely(csv("rate.csv", "group,events,population,rate\na,[REDACTED],200,0.02\nb,40,400,0.1"))
    assert found.verdict is Verdict.REFUSE


def test_opensafely_minimum_and_maximum_are_a_persons_own() -> None:
    """They often are one or two people's values, though sometimes a broad trait of the sample: a checker says which."""
    (found,) = opensafely(csv("range.csv", "group,n,max\na,120,103"))
    assert (found.verdict, rules(found)) == (Verdict.HUMAN, {"extreme"})


def test_opensafely_zero_may_stay_and_all_of_a_group_is_judged() -> None:
    """Zero can be kept in general; what holds for every member of a group is to be looked at."""
    (zero,) = opensafely(csv("zero.csv", "group,events,population\na,0,40\nb,10,40"))
    (everybody,) = opensafely(csv("everybody.csv", "group,events,population\na,40,40\nb,10,40"))
    assert zero.verdict is Verdict.PASS
    assert (everybody.verdict, rules(everybody)) == (Verdict.HUMAN, {"everybody"})


def test_opensafely_model_coefficients_are_no_risk() -> None:
    """Coefficients, test statistics and goodness of fit of genuine analyses generally are none."""
    (found,) = opensafely(csv("model.csv", "term,coef,std err,p\nage,0.031,0.004,0.001\nsex,-0.2,0.1,0.045"))
    assert found.verdict is Verdict.PASS


def test_opensafely_kinds_of_files() -> None:
    """csv, jpeg, png, svg, txt, json, html are reviewed; html without JavaScript; a figure with its counts; others not."""
    report, active, log, figure, other = opensafely(
        HandedIn("report.html", b"<html><body><p>Results</p></body></html>"),
        HandedIn("active.html", b"<html><body><script>1</script></body></html>"),
        HandedIn("error.log", b"ValueError: no such column\n"),
        HandedIn("figure.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="3" height="3"/></svg>'),
        HandedIn("figure.pdf", b"%PDF-1.4\n%%EOF\n"),
    )
    assert [one.verdict for one in (report, log, figure)] == [Verdict.HUMAN] * 3
    assert [one.verdict for one in (active, other)] == [Verdict.REFUSE] * 2


YEARS = range(2010, 2016)


def test_acro_crosstab_fails_in_six_cells() -> None:
    """Year by grant type, 15, 59, 71 and 8 each year: "fail; threshold: 6 cells suppressed", all in R/G."""
    (found,) = acro(csv("crosstab.csv", "year,G,N,R,R/G\n" + "\n".join(f"{year},15,59,71,8" for year in YEARS)))
    assert found.verdict is Verdict.REFUSE
    assert rules(found) == {"small"}
    assert cells(found, "small") == {(row, 5) for row in range(2, 8)}


def test_acro_crosstab_once_suppressed_passes() -> None:
    """The table that ACRO gives back, NaN in R/G and no total."""
    (found,) = acro(csv("crosstab.csv", "year,G,N,R,R/G\n" + "\n".join(f"{year},15,59,71,NaN" for year in YEARS)))
    assert found.verdict is Verdict.PASS


def test_acro_totals_of_suppressed_cells_are_worked_out_again() -> None:
    """ACRO leaves suppressed records out of its margins: with totals over all records (153) they could be deduced."""
    kept = "year,G,N,R,R/G,All\n" + "\n".join(f"{year},15,59,71,NaN,{{}}" for year in YEARS)
    (over_all,) = acro(csv("margins.csv", kept.replace("{}", "153")))
    (over_shown,) = acro(csv("margins.csv", kept.replace("{}", "145")))
    assert cells(over_all, "deduced") == {(row, 5) for row in range(2, 8)}
    assert over_shown.verdict is Verdict.PASS


def test_acro_regression_with_807_degrees_of_freedom_passes() -> None:
    """OLS of the charity data: "pass; dof=807.0 >= 10"; the same printed with fewer than 10 fails."""
    table = "term,coef,std err,t,dof\ninc_grants,-0.8846,0.025,-35.956,{}\ntotal_costs,0.8313,0.011,78.674,{}"
    (enough,) = acro(csv("ols.csv", table.replace("{}", "807")))
    (few,) = acro(csv("ols.csv", table.replace("{}", "9")))
    assert enough.verdict is Verdict.PASS
    assert (few.verdict, rules(few)) == (Verdict.REFUSE, {"dof"})
    (printed,) = acro(HandedIn("ols.txt", b"OLS Regression Results\nDf Residuals:    9\n"))
    assert printed.verdict is Verdict.REFUSE


def test_acro_negative_values_are_reviewed() -> None:
    """Mean grants with negative ones among them: "review; negative values found", not a failure."""
    table = csv("grants.csv", "grant_type,mean\nN,134180\nR,7882231")
    evidence = csv(
        "grants.evidence.csv",
        "cell,n,total,largest,second,negative\nN,354,47000000,900000,800000,5\nR,426,3e9,1e9,8e8,6",
    )
    _, proof = acro(table, evidence)
    assert (proof.verdict, rules(proof)) == (Verdict.HUMAN, {"negative"})


def test_acro_dominance_by_both_rules() -> None:
    """A cell fails both rules when its two largest make more than 90% and the rest is below 10% of the largest."""
    proof = "cell,n,total,largest,second\nok,12,120,20,18\nnk,12,100,50,42\nboth,12,100,80,15"
    (found,) = acro(csv("sums.evidence.csv", proof))
    assert cells(found, "nk") == {(3, 0), (4, 0)}
    assert cells(found, "p-ratio") == {(4, 0)}
    assert found.verdict is Verdict.REFUSE


def test_acro_mean_without_evidence_is_not_passed() -> None:
    """ACRO works the contributions out itself; from the table alone nobody can."""
    table = csv("grants.csv", "grant_type,n,mean\nG,90,11412790\nN,354,134431.9")
    (alone,) = acro(table)
    proved, _ = acro(
        table, csv("grants.evidence.csv", "cell,n,total,largest,second\nG,90,1e9,9e7,8e7\nN,354,4.7e7,9e5,8e5")
    )
    assert (alone.verdict, proved.verdict) == (Verdict.HUMAN, Verdict.PASS)
