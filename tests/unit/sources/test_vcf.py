"""Variants: the real files, through the whole pipeline; annotations; genotypes; many variants; an older site."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.spec.site_kit import count, digest, findings, found, load, make, rows, value

from estran.app import Site, open_site
from estran.model.codes import Zygosity
from estran.sources.vcf import asking
from estran.sources.vcf.annotate import Annotator, is_pathogenic
from estran.sources.vcf.asking import Broken, ask
from estran.sources.vcf.parse import Unread, parse
from estran.sources.vcf.reader import VcfReader
from estran.warehouse import Scope

HEADER = """##fileformat=VCFv4.2
##fileDate=20240105
##reference=file:///refs/GRCh38.fa
##INFO=<ID=ANN,Number=.,Type=String,Description="Functional annotations: 'Allele | Annotation | …'">
##INFO=<ID=CLNSIG,Number=.,Type=String,Description="ClinVar">
##FILTER=<ID=LowQual,Description="low">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Reads">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">
##contig=<ID=chr13,length=114364328>
##contig=<ID=chr17,length=83257441>
"""
WAITING = "no-patient: The patient is not known yet: no record has introduced this patient number."
UNREADABLE = "malformed: The file is no VCF or BCF that can be read."
NOBODY = "missing: The file names no sample: its variants are nobody's."


def ann(alt: str, effect: str, impact: str, gene: str, coding: str = "", protein: str = "") -> str:
    return f"{alt}|{effect}|{impact}|{gene}|ENSG1|transcript|ENST1|protein_coding|2/9|{coding}|{protein}||||"


SITES = [
    ("chr13", 32316461, "A", "G", "PASS", "ANN=" + ann("G", "stop_gained", "HIGH", "BRCA2", "c.1A>G", "p.Met1*"),
     ("0/1:10,30:40", "0/0:20,0:20")),
    ("chr13", 32316500, "C", "T", "LowQual", "ANN=" + ann("T", "intron_variant", "MODIFIER", "BRCA2"),
     ("1/1:0,9:9", "0/1:5,5:10")),
    ("chr17", 43045712, "T", "C,G", "PASS",
     "ANN=" + ann("C", "missense_variant", "MODERATE", "BRCA1", "c.5T>C", "p.Leu2Pro") + ","
     + ann("G", "synonymous_variant", "LOW", "BRCA1", "c.5T>G", "p.Leu2="), ("1/2:0,4,6:10", "./2:0,0,7:7")),
    ("chrM", 5, "A", "G", ".", "CLNSIG=Likely_pathogenic", ("1:.:.", "0:.:.")),
]  # fmt: skip


def vcf(path: Path, sites: list[tuple[object, ...]] = SITES, samples: tuple[str, ...] = ("S1", "S2"), header: str = HEADER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    genotypes = ["FORMAT", *samples] if samples else []
    lines = [header, "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", *genotypes]) + "\n"]
    for chrom, pos, ref, alt, passed, info, genotypes in sites:
        lines.append("\t".join(map(str, [chrom, pos, ".", ref, alt, 50, passed, info, "GT:AD:DP", *genotypes])) + "\n")
    path.write_text("".join(lines))
    return path


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make(tmp_path / "site", author_system="CHU", bucket_patients=2, genetic_data="open")


def known(tmp_path: Path, site: Site, *names: str) -> None:
    """A patient for each sample: introduced by a report, tied by a list of samples in a folder of its own."""
    people = tmp_path / "people.jsonl"
    people.write_text("".join(f'{{"ipp":"P-{n}","id":"{n}","birth_name":"N{k}","text":"vu"}}\n' for k, n in enumerate(names)))
    ties = tmp_path / "ties" / "samples.tsv"
    ties.parent.mkdir(exist_ok=True)
    ties.write_text("sample\tipp\n" + "".join(f"{n}\tP-{n}\n" for n in names))
    load(site, "report", people)
    assert load(site, "vcf", ties).total("quarantined") == 0


def of(site: Site, question: str) -> set[str]:
    """The hospital numbers that answer, without those of the samples."""
    return {name for name in found(site, question) if name.startswith("P-")}


# The real files


def test_the_real_files_have_their_account(site: Site, shared: Path) -> None:
    """Every sample of every file waits for its patient; what is no VCF, or nobody's, says why. Ten samples are
    twice there: a file and the same one compressed, or as BCF."""
    report = load(site, "vcf", shared / "vcf_cyvcf2", shared / "vcf_allel")
    assert (report.total("read"), report.total("quarantined"), report.total("superseded")) == (447, 437, 10)
    assert report.reasons == {WAITING: 432, UNREADABLE: 3, NOBODY: 2}
    assert findings(site) == []


def test_real_variants_are_found_by_gene_and_region(site: Site, shared: Path, tmp_path: Path) -> None:
    known(tmp_path, site, "child_3", "dad_3", "NA00001", "NA00002", "NA00003")
    load(site, "vcf", shared / "vcf_cyvcf2" / "multi-contig.bcf", shared / "vcf_allel" / "sample.vcf")
    assert of(site, "variant:20:1110696-1110696") == {"P-NA00001", "P-NA00002", "P-NA00003"}
    assert of(site, "variant:20:17330-17330") == {"P-NA00002"}
    load(site, "vcf", shared / "vcf_cyvcf2" / "test.comp_het.3.vcf")
    assert of(site, "gène:WASH7P impact:HIGH") == of(site, "HGNC:WASH7P") == {"P-child_3", "P-dad_3"}
    assert findings(site) == []


def test_bgzip_and_plain_say_the_same(shared: Path) -> None:
    folder = shared / "vcf_allel"
    plain, packed = (dict(parse(folder / name).tables()) for name in ("sample.vcf", "sample.vcf.gz"))
    assert {n: t.to_pylist() for n, t in plain.items()} == {n: t.to_pylist() for n, t in packed.items()}
    assert plain["NA00002"].num_rows == 6


# One file, in detail


def test_a_file_of_two_samples(site: Site, tmp_path: Path) -> None:
    known(tmp_path, site, "S1", "S2")
    assert load(site, "vcf", vcf(tmp_path / "in" / "exome.vcf")).total("loaded") == 2
    seen = rows(
        site,
        """select v.chrom, v.pos, v.alt, v.zygosity, round(v.allele_fraction::double, 2), v.depth, v.filter, v.gene, v.impact
           from variant v join document d using (document_id) where d.title = 'Variants génétiques GRCh38'
           order by v.patient_id, v.chrom, v.pos, v.alt""",
    )
    assert seen == [
        ("13", 32316461, "G", Zygosity.HETEROZYGOUS, 0.75, 40, "PASS", "BRCA2", "HIGH"),
        ("13", 32316500, "T", Zygosity.HOMOZYGOUS, 1.0, 9, "LowQual", "BRCA2", "MODIFIER"),
        ("17", 43045712, "C", Zygosity.HETEROZYGOUS, 0.4, 10, "PASS", "BRCA1", "MODERATE"),
        ("17", 43045712, "G", Zygosity.HETEROZYGOUS, 0.6, 10, "PASS", "BRCA1", "LOW"),
        ("MT", 5, "G", Zygosity.HEMIZYGOUS, None, None, None, None, None),
        ("13", 32316500, "T", Zygosity.HETEROZYGOUS, 0.5, 10, "LowQual", "BRCA2", "MODIFIER"),
        ("17", 43045712, "G", Zygosity.UNKNOWN, 1.0, 7, "PASS", "BRCA1", "LOW"),
    ]
    assert of(site, "gène:BRCA2 impact:HIGH") == of(site, "HGNC:BRCA2") == {"P-S1"}
    assert of(site, "gène:BRCA1") == {"P-S1", "P-S2"} and of(site, "variant:chr13:32316461-32316499") == {"P-S1"}
    assert of(site, "variant:M") == {"P-S1"} and of(site, "gène:TP53") == set()
    assert rows(site, "select start_date::varchar, kind from document where kind = 'genomics'") == [("2024-01-05", "genomics")] * 2
    assert rows(site, "select value_text from fact join concept using (concept_id) where vocabulary = 'HGNC' order by 1") == [
        ("c.1A>G p.Met1*",), ("c.5T>C p.Leu2Pro",)
    ]  # fmt: skip
    assert value(site, "select count(*) from fact_attribute a join concept c on a.attribute_id = c.concept_id where code = 'zygosity'") == 2
    assert site.snapshot().counts["variant"] == 7
    assert findings(site) == []


def test_samples_wait_for_their_list_which_dates_them(site: Site, tmp_path: Path) -> None:
    """The list may come later, and lie beside the file: then it says when the sample was taken, and for what."""
    alone = vcf(tmp_path / "alone" / "exome.vcf")
    assert load(site, "vcf", alone).reasons == {WAITING: 2}
    known(tmp_path, site, "S1", "S2")
    assert value(site, "select count(*) from raw_quarantine") == 0 and count(site, "gène:BRCA1") == 2
    beside = vcf(tmp_path / "beside" / "exome.vcf")
    (beside.parent / "samples.csv").write_text("sample;ipp;date;panel\nS1;P-S1;2023-12-01;Sein\nS2;P-S2;;\n")
    report = load(site, "vcf", beside.parent)
    assert {f.file: (f.loaded, f.superseded) for f in report.files} == {"samples.csv": (0, 2), "exome.vcf": (1, 1)}
    assert rows(site, "select start_date::varchar from document where kind = 'genomics' order by 1") == [("2023-12-01",), ("2024-01-05",)]
    assert of(site, "gène:BRCA1[2023]") == {"P-S1"} and count(site, "LOCAL/VCF:panel") == 1
    assert load(site, "vcf", alone).total("superseded") == 2  # what says less does not replace what says more
    assert rows(site, "select start_date::varchar from document where kind = 'genomics' order by 1") == [("2023-12-01",), ("2024-01-05",)]
    site.warehouse.compact()
    assert site.snapshot().counts["variant"] == 7 and findings(site) == []


def test_a_list_without_its_columns_is_refused(site: Site, tmp_path: Path) -> None:
    bad = tmp_path / "samples.tsv"
    bad.write_text("a\tb\n1\t2\n")
    assert list(load(site, "vcf", bad).reasons.values()) == [1]
    bad.write_text("sample\tipp\nS1\t\n")
    assert load(site, "vcf", bad).reasons == {"missing: The line names no sample or no patient.": 1}


def test_a_version_replaces_an_older_one_whatever_the_order(tmp_path: Path) -> None:
    old = vcf(tmp_path / "old" / "exome.vcf")
    new = vcf(tmp_path / "new" / "exome.vcf", SITES[:1], header=HEADER.replace("20240105", "20240301"))
    digests = []
    for name, order in (("a", (old, new)), ("b", (new, old))):
        site = make(tmp_path / name / "site", author_system="CHU", genetic_data="open")
        known(tmp_path, site, "S1", "S2")
        for path in order:
            load(site, "vcf", path)
        assert value(site, "select count(*) from variant") == 1 and count(site, "gène:BRCA1") == 0
        digests.append(digest(site))
    assert digests[0] == digests[1]


# Whose variants may be seen, and their end


def test_opposition_merge_and_erasure_take_variants_along(site: Site, tmp_path: Path) -> None:
    known(tmp_path, site, "S1", "S2")
    load(site, "vcf", vcf(tmp_path / "in" / "exome.vcf"))
    (first,) = {p for (p,) in rows(site, "select patient_id from variant where impact = 'HIGH'")}
    with site.warehouse.writer() as writer:
        import datetime as dt

        import pyarrow as pa

        from estran.model.tables import PERMISSION
        from estran.warehouse import Changes

        def permission(kind: str, to: dt.date | None) -> pa.Table:
            row = {"patient_id": first, "scope": "research", "kind": kind, "from_date": dt.date(2000, 1, 1), "to_date": to}
            return pa.Table.from_pylist([row], PERMISSION)

        writer.commit(Changes(append={"permission": permission("opposition", None)}))
    assert of(site, "gène:BRCA1") == {"P-S2"} and value(site, "select count(*) from raw_variant") == 7
    assert value(site, "select count(*) from variant") == 2
    with site.warehouse.writer() as writer:
        writer.commit(Changes(append={"permission": permission("erasure", None)}))
    assert site.warehouse.compact().erased == [first]
    assert value(site, "select count(*) from raw_variant") == 2
    assert all(f.code != "orphan" for f in site.warehouse.check())


def test_variants_follow_a_merge_of_patients(site: Site, tmp_path: Path) -> None:
    known(tmp_path, site, "S1", "S2")
    load(site, "vcf", vcf(tmp_path / "in" / "exome.vcf"))
    message = (
        "MSH|^~\\&|A|B|C|D|20240601||ADT^A40^ADT_A39|1|P|2.5\rEVN||20240601\rPID|||P-S1^^^CHU^PI||N0^X\rMRG|P-S2^^^CHU^PI\r"
    )
    merge = tmp_path / "merge.hl7"
    merge.write_text(message)
    load(site, "hl7v2", merge)
    assert len({p for (p,) in rows(site, "select distinct patient_id from variant")}) == 1
    assert site.snapshot().counts["variant"] >= 7 and count(site, "gène:BRCA1") == 1
    assert findings(site) == []


# Many variants


def many(path: Path, number: int) -> Path:
    """Sites on 22 chromosomes, out of order; one in fifty of a HIGH or MODERATE impact."""
    impacts = [("HIGH", "stop_gained"), ("MODERATE", "missense_variant"), *[("MODIFIER", "intron_variant")] * 98]
    sites = []
    for n in range(number):
        impact, effect = impacts[n % 100]
        info = "ANN=" + ann("G", effect, impact, f"GENE{n // 100}", f"c.{n}A>G")
        sites.append((f"chr{1 + n % 22}", 1000 + n, "A", "G", "PASS", info, ("0/1:8,8:16",)))
    return vcf(path, sites, ("BIG",), HEADER)


def test_twenty_thousand_variants_do_not_drown_the_facts(site: Site, tmp_path: Path) -> None:
    known(tmp_path, site, "BIG")
    assert load(site, "vcf", many(tmp_path / "big.vcf", 20_000)).total("loaded") == 1
    counts = site.snapshot().counts
    assert counts["variant"] == 20_000
    kinds = dict(rows(site, "select vocabulary, count(*) from fact join concept using (concept_id) group by 1"))
    assert kinds["HGNC"] + kinds["LOCAL/VCF"] <= 500 and kinds["HGNC"] == 400
    assert of(site, "gène:GENE7 impact:HIGH") == {"P-BIG"} and of(site, "variant:22:1021") == {"P-BIG"}
    placed = rows(site, f"select chrom, pos from read_parquet('{site.snapshot().files('variant')[0]}')")
    assert placed == sorted(placed)


def test_facts_stop_at_five_hundred_the_gravest_first(site: Site, tmp_path: Path) -> None:
    known(tmp_path, site, "S1")
    sites = [
        ("chr13", 100 + n, "A", "G", ".", "ANN=" + ann("G", "missense_variant", "MODERATE", f"G{n}", f"c.{n}A>G"), ("0/1:1,1:2",))
        for n in range(600)
    ]
    sites += [("chr17", 5, "A", "G", ".", "ANN=" + ann("G", "stop_gained", "HIGH", "LAST"), ("1|1:0,2:2",))]
    load(site, "vcf", vcf(tmp_path / "in" / "a.vcf", sites, ("S1",)))
    assert value(site, "select count(*) from fact join document d using (document_id) where d.kind = 'genomics'") == 500
    assert of(site, "HGNC:LAST") == {"P-S1"} == of(site, "gène:G599") and of(site, "HGNC:G599") == set()


# Sites from before


def test_a_site_from_before_the_table_opens_reads_and_loads(site: Site, tmp_path: Path) -> None:
    known(tmp_path, site, "S1", "S2")
    warehouse = site.directory / "warehouse"
    shutil.rmtree(warehouse / "tables" / "variant")
    for record in (warehouse / "snapshots").glob("*.json"):
        said = json.loads(record.read_text())
        del said["tables"]["variant"]
        record.write_text(json.dumps(said))
    old = open_site(site.directory)
    assert old.snapshot().counts["variant"] == 0 and findings(old) == [] and count(old, "gène:BRCA1") == 0
    load(old, "vcf", vcf(tmp_path / "in" / "exome.vcf"))
    assert of(old, "gène:BRCA1") == {"P-S1", "P-S2"} and findings(old) == []
    assert old.warehouse.snapshot(None, Scope.CARE).counts["variant"] == 7


# Annotations

CSQ = '##INFO=<ID=CSQ,Number=.,Type=String,Description="Consequence annotations from Ensembl VEP. Format: Allele|Consequence|IMPACT|SYMBOL|HGVSc|HGVSp|CLIN_SIG">'


def test_vep_names_alleles_its_own_way() -> None:
    said = ("-|frameshift_variant|HIGH|BRCA1|ENST1:c.5del|ENSP1:p.Leu2%3D|benign,"
            "T|missense_variant|MODERATE|NBR2|||pathogenic&likely_benign")  # fmt: skip
    best = [Annotator(CSQ).of((said,), "AT", alt, 2) for alt in ("A", "T")]
    assert [(a.gene, a.impact, a.hgvs_c, a.hgvs_p, a.pathogenic) for a in best] == [
        ("BRCA1", "HIGH", "c.5del", "p.Leu2=", False), ("NBR2", "MODERATE", None, None, True),
    ]  # fmt: skip


def test_consequences_are_graded_when_vep_was_not_asked_to() -> None:
    header = CSQ.replace("|IMPACT", "")
    best = Annotator(header).of(("G|missense_variant|TP53|||,G|stop_gained&splice_region_variant|TP53|||",), "A", "G", 1)
    assert (best.impact, best.effect) == ("HIGH", "stop_gained&splice_region_variant")


def test_words_of_another_shape_stay_out() -> None:
    """Nobody's name comes in by a field that is not masked."""
    said = ann("G", "Jean Dupont né le", "GRAVE", "Mme Dupont", "Dupont 0612345678", "p.Jean Dupont")
    best = Annotator(HEADER).of((said, None), "A", "G", 1)
    assert best[1:] == (None, None, None, None, None, False)


@pytest.mark.parametrize(
    ("said", "is_so"),
    [("Pathogenic", True), ("Likely_pathogenic|risk_factor", True), ("5", True), ("2|4", True), ("Benign", False),
     ("Conflicting_interpretations_of_pathogenicity", False), ("", False), (None, False), ("255", False)],
)  # fmt: skip
def test_clinvar(said: str | None, is_so: bool) -> None:
    assert is_pathogenic(said) is is_so


@given(st.text(max_size=80))
@settings(max_examples=100, deadline=None)
def test_any_annotation_is_read_or_left_out(text: str) -> None:
    for header in (HEADER, CSQ, HEADER.replace("ID=ANN", "ID=EFF")):
        annotator = Annotator(header)
        said = annotator.said(lambda _: text)
        assert all(annotator.of(said, "A", alt, 2)[1:] for alt in ("G", "AT"))


# Damage


@given(st.integers(0, 900), st.binary(min_size=1, max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_file_never_ends_the_load(tmp_path: Path, place: int, change: bytes) -> None:
    good = vcf(tmp_path / "good.vcf").read_bytes()
    at = len(HEADER) + place % (len(good) - len(HEADER))
    bad = tmp_path / "bad.vcf"
    bad.write_bytes(good[:at] + change + good[at + len(change) :])
    for batch in VcfReader().read(bad, bad.name):
        assert batch.records.num_rows == batch.documents.num_rows + len(batch.refusals)


def test_a_file_cut_short_is_refused_whole(site: Site, shared: Path, tmp_path: Path) -> None:
    whole = (shared / "vcf_cyvcf2" / "test.vcf.gz").read_bytes()
    cut = tmp_path / "cut.vcf.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    assert load(site, "vcf", cut).reasons == {"truncated: The file is cut short.": 1}
    packed = gzip.compress(vcf(tmp_path / "a.vcf").read_bytes())
    cut.write_bytes(packed[:-40])
    assert load(site, "vcf", cut).total("loaded") == 0


def test_a_process_that_dies_costs_its_file(tmp_path: Path) -> None:
    path = vcf(tmp_path / "a.vcf")
    with pytest.raises(Broken):
        list(ask(path, seconds=0))
    assert [words["sample"] for words, _ in ask(path)] == ["S1", "S2"]
    process = asking._child._process
    assert process is not None
    process.kill()
    process.wait()
    assert [words["sample"] for words, _ in ask(path)] == ["S1", "S2"]


def test_an_answer_left_halfway_is_nobody_elses(tmp_path: Path) -> None:
    path = vcf(tmp_path / "a.vcf")
    answers = ask(path)
    assert next(answers)[0]["sample"] == "S1"
    process = asking._child._process
    answers.close()  # type: ignore[attr-defined]
    assert process is not None and process.poll() is not None
    assert [words["sample"] for words, _ in ask(path)] == ["S1", "S2"]


def test_no_sample_no_contig_no_file(tmp_path: Path) -> None:
    with pytest.raises(Unread, match="nobody's"):
        parse(vcf(tmp_path / "none.vcf", [], ()))
    odd = [("13", 5, "A", "<a name>", ".", ".", ("0/1:1,1:2", "0/0:1,1:2"))]
    with pytest.raises(Unread, match="does not allow"):
        parse(vcf(tmp_path / "odd.vcf", odd))
