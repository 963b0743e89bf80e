"""Files of their own: CDA and PDF letters, images, recordings, variants. Few per hospital, small, and valid.

Images are read as theirs by the number in their header; recordings and variants by the list
`patients.csv` beside them, and by an ADT that gives the further number.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from xml.sax.saxutils import escape as xml

from estran.region.calendar import DAY, date_of, hl7, hl7_day
from estran.region.course import Stay
from estran.region.dice import Dice
from estran.region.identities import Identity
from estran.region.library import Hospital, wards
from estran.region.truth import Truth
from estran.region.writing.movements import Movements

_SHARDS = 40  # shards that hold files: their number stays small whatever the size of the region
_MOST = {"cda": 5, "pdf": 3, "dicom": 2, "signal": 1, "vcf": 1}
_SIGNALS = frozenset(("cardio", "usic", "neuro"))
_CHROMOSOMES = (("7", 140753336, "A", "T"), ("12", 25245350, "C", "T"), ("17", 7674220, "C", "T"), ("17", 43094692, "G", "A"))


class Samples:
    """The files of one hospital for one shard."""

    def __init__(self, hospital: Hospital, shard: int, dice: Dice, truth: Truth) -> None:
        self._hospital, self._shard, self._dice, self._truth = hospital, shard, dice, truth
        self._left = dict(_MOST) if shard < _SHARDS else {}
        self._files: list[tuple[str, bytes]] = []
        self._ties: dict[str, list[str]] = {}
        self.written = self.bytes = 0

    def _takes(self, kind: str) -> bool:
        if self._left.get(kind, 0) <= 0:
            return False
        self._left[kind] -= 1
        return True

    def _add(self, name: str, data: bytes) -> None:
        self._files.append((name, data))
        self.written += 1
        self.bytes += len(data)

    def write(self, site: Path) -> None:
        """Write the files, and whose they are."""
        for name, data in self._files:
            path = site / "feeds" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for folder, lines in self._ties.items():
            path = site / "feeds" / folder / f"lot-{self._shard:05d}" / "patients.csv"
            path.write_text("number,ipp,ipp_system\n" + "".join(lines), "utf-8")

    def letter(self, words: str, stay: Stay, identity: Identity, minute: int) -> str:
        """The number of a hospital report that leaves as CDA or PDF instead of the usual way, else nothing."""
        if self._dice.chance() > 0.05:
            return ""
        kind = "cda" if self._hospital.has_oid and self._dice.chance() < 0.6 else "pdf"
        if not self._takes(kind):
            return ""
        number = f"F{self._shard:04d}{len(self._files):05d}"
        if kind == "cda":
            self._add(f"cda/{number}.xml", cda(self._hospital, number, words, stay, identity, minute))
        else:
            name = f"{identity.ipp}_{stay.number}_{hl7_day(minute // DAY)}_CRH_{number}.pdf"
            self._add(f"pdf/{name}", pdf(words))
        self._truth.table("documents").append((
            self._hospital.key, number, kind, "discharge", stay.number, identity.ipp, minute, "final", 1, len(words)
        ))  # fmt: skip
        return number

    def take(self, stay: Stay, identity: Identity, movements: Movements) -> None:
        """A CT slice or an ECG, when the stay would have one."""
        lot = f"lot-{self._shard:05d}"
        if stay.reason.unit in ("pneumo", "chirdig", "onco") and self._dice.chance() < 0.1 and self._takes("dicom"):
            number = f"{self._shard:04d}{len(self._files):05d}"
            self._add(f"dicom/{lot}/{number}.dcm", dicom(self._hospital, number, stay, identity, self._dice))
        if stay.reason.unit in _SIGNALS and self._dice.chance() < 0.2 and self._takes("signal"):
            number = f"ECG{self._shard:04d}{len(self._files):05d}"
            self._add(f"signal/{lot}/{number}.edf", edf(number, stay, self._dice))
            self._ties.setdefault("signal", []).append(f"{number},{identity.ipp},{self._hospital.authority}\n")
            movements.tie(identity, "recording", number, stay.start + 30)

    def variants(self, stay: Stay, identity: Identity, movements: Movements) -> None:
        """The variant file of a panel."""
        if self._takes("vcf"):
            number = f"ADN{self._shard:04d}{len(self._files):05d}"
            self._add(f"vcf/lot-{self._shard:05d}/{number}.vcf", vcf(number, self._dice))
            self._ties.setdefault("vcf", []).append(f"{number},{identity.ipp},{self._hospital.authority}\n")
            movements.tie(identity, "sample", number, stay.start + 40)


def cda(hospital: Hospital, number: str, words: str, stay: Stay, identity: Identity, minute: int) -> bytes:
    """A CDA R2 hospital report with a narrative body."""
    who, home = identity.traits, identity.person
    code, label = wards()[stay.wards[-1].unit]
    body = "".join(f"<paragraph>{xml(line)}</paragraph>" for line in words.split("\n") if line.strip())
    system, own = f'root="{hospital.authority}"', f"{hospital.authority}.2"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ClinicalDocument xmlns="urn:hl7-org:v3">'
        '<realmCode code="FR"/><typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>'
        f'<id root="{own}" extension="{number}"/>'
        '<code code="34105-7" codeSystem="2.16.840.1.113883.6.1" displayName="CR hospitalier"/>'
        f'<title>Compte-rendu d\'hospitalisation</title><effectiveTime value="{hl7(minute)[:12]}+0100"/>'
        '<confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/><languageCode code="fr-FR"/>'
        f'<setId root="{own}" extension="{number}"/><versionNumber value="1"/>'
        f'<recordTarget><patientRole><id {system} extension="{identity.ipp}"/>'
        f"<addr><streetAddressLine>{xml(home.street)}</streetAddressLine><postalCode>{home.commune.postcode}</postalCode>"
        f"<city>{xml(home.commune.name)}</city></addr><patient><name><given>{xml(who.given)}</given>"
        f'<family qualifier="BR">{xml(who.birth_name)}</family></name>'
        f'<administrativeGenderCode code="{who.sex}" codeSystem="2.16.840.1.113883.5.1"/>'
        f'<birthTime value="{hl7_day(who.birth)}"/></patient></patientRole></recordTarget>'
        f'<author><time value="{hl7(minute)[:12]}+0100"/><assignedAuthor><id nullFlavor="NI"/></assignedAuthor></author>'
        '<custodian><assignedCustodian><representedCustodianOrganization>'
        f'<id root="1.2.250.1.71.4.2.2" extension="1{hospital.finess}"/><name>{xml(hospital.name)}</name>'
        "</representedCustodianOrganization></assignedCustodian></custodian>"
        f'<componentOf><encompassingEncounter><id {system} extension="{stay.number}"/>'
        f'<effectiveTime><low value="{hl7(stay.start)[:12]}"/><high value="{hl7(stay.end)[:12]}"/></effectiveTime>'
        f"<location><healthCareFacility><location><name>{xml(label)} ({code})</name></location></healthCareFacility></location>"
        "</encompassingEncounter></componentOf><component><structuredBody><component><section>"
        '<code code="48767-8" codeSystem="2.16.840.1.113883.6.1" displayName="Commentaire"/>'
        f"<title>Compte-rendu</title><text>{body}</text></section></component></structuredBody></component></ClinicalDocument>\n"
    ).encode()


def pdf(words: str) -> bytes:
    """A PDF of one font, as many pages as needed."""
    lines = [piece for line in words.split("\n") for piece in _wrapped(line, 92)]
    pages = [lines[n : n + 56] for n in range(0, len(lines), 56)]
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"]
    kids = []
    for page in pages:
        shown = "".join(f"({_pdf_text(line)}) Tj T*\n" for line in page)
        stream = zlib.compress(f"BT /F1 10 Tf 13 TL 50 790 Td\n{shown}ET".encode("cp1252", "replace"))
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {len(objects) + 2} 0 R /Resources << /Font << /F1 3 0 R >> >> >>")
        kids.append(f"{len(objects)} 0 R")
        objects.append(f"<< /Length {len(stream)} /Filter /FlateDecode >>\nstream\n{stream.decode('latin-1')}\nendstream")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(pages)} >>"
    out, places = "%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{one}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
    return out.encode("latin-1")


def _pdf_text(line: str) -> str:
    return line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def _wrapped(line: str, width: int) -> list[str]:
    found = []
    while len(line) > width:
        cut = line.rfind(" ", 1, width)
        cut = cut if cut > 0 else width
        found.append(line[:cut])
        line = line[cut:].lstrip()
    return [*found, line]


def dicom(hospital: Hospital, number: str, stay: Stay, identity: Identity, dice: Dice) -> bytes:
    """A CT slice of 32 by 32 pixels, explicit VR little endian."""
    who, root = identity.traits, f"1.2.826.0.1.3680043.10.999.{hospital.place + 1}"
    uid = f"{root}.{int(number)}"
    meta = [
        (2, 0x0001, "OB", b"\0\1"), (2, 0x0002, "UI", b"1.2.840.10008.5.1.4.1.1.2"), (2, 0x0003, "UI", f"{uid}.1.1".encode()),
        (2, 0x0010, "UI", b"1.2.840.10008.1.2.1"), (2, 0x0012, "UI", root.encode()),
    ]  # fmt: skip
    pixels = struct.pack("<1024h", *(dice.between(-900, 400) for _ in range(1024)))
    body = [
        (8, 0x0005, "CS", b"ISO_IR 192"), (8, 0x0016, "UI", b"1.2.840.10008.5.1.4.1.1.2"), (8, 0x0018, "UI", f"{uid}.1.1".encode()),
        (8, 0x0020, "DA", hl7_day(stay.start // DAY).encode()), (8, 0x0030, "TM", hl7(stay.start)[8:].encode()),
        (8, 0x0050, "SH", f"A{number}".encode()), (8, 0x0060, "CS", b"CT"), (8, 0x0070, "LO", b"ESTRAN"), (8, 0x0080, "LO", hospital.name.encode()),
        (8, 0x1030, "LO", b"Scanner thoraco-abdomino-pelvien"), (16, 0x0010, "PN", f"{who.birth_name}^{who.given}".encode()),
        (16, 0x0020, "LO", identity.ipp.encode()), (16, 0x0021, "LO", hospital.authority.encode()), (16, 0x0030, "DA", hl7_day(who.birth).encode()),
        (16, 0x0040, "CS", who.sex.encode()), (24, 0x0015, "CS", b"CHEST"), (24, 0x0060, "DS", b"120"),
        (32, 0x000D, "UI", uid.encode()), (32, 0x000E, "UI", f"{uid}.1".encode()), (32, 0x0010, "SH", number.encode()), (32, 0x0011, "IS", b"1"),
        (32, 0x0013, "IS", b"1"), (40, 0x0002, "US", struct.pack("<H", 1)), (40, 0x0004, "CS", b"MONOCHROME2"), (40, 0x0010, "US", struct.pack("<H", 32)),
        (40, 0x0011, "US", struct.pack("<H", 32)), (40, 0x0100, "US", struct.pack("<H", 16)), (40, 0x0101, "US", struct.pack("<H", 16)),
        (40, 0x0102, "US", struct.pack("<H", 15)), (40, 0x0103, "US", struct.pack("<H", 1)), (0x7FE0, 0x0010, "OW", pixels),
    ]  # fmt: skip
    head = b"".join(_element(*one) for one in meta)
    group = _element(2, 0, "UL", struct.pack("<I", len(head)))
    return b"\0" * 128 + b"DICM" + group + head + b"".join(_element(*one) for one in body)


def _element(group: int, number: int, kind: str, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if kind in ("UI", "OB") else b" "
    size = struct.pack("<HI", 0, len(value)) if kind in ("OB", "OW") else struct.pack("<H", len(value))
    return struct.pack("<HH", group, number) + kind.encode() + size + value


def edf(number: str, stay: Stay, dice: Dice) -> bytes:
    """Ten seconds of a two-lead ECG at 100 Hz, EDF."""
    leads, seconds, rate = ("I", "II"), 10, 100
    start = date_of(stay.start // DAY)
    clock = f"{stay.start % DAY // 60:02d}.{stay.start % 60:02d}.00"
    head = f"{'0':<8}{number:<80}{'Startdate ' + start.strftime('%d-%b-%Y').upper():<80}{start.strftime('%d.%m.%y')}{clock}"
    head += f"{256 * (len(leads) + 1):<8}{'':<44}{seconds:<8}{1:<8}{len(leads):<4}"
    fields: tuple[tuple[str, int], ...] = (
        ("ECG {}", 16), ("", 80), ("uV", 8), ("-3200", 8), ("3200", 8), ("-32768", 8), ("32767", 8), ("", 80), (str(rate), 8), ("", 32),
    )  # fmt: skip
    head += "".join(f"{text.format(lead):<{size}}" for text, size in fields for lead in leads)
    beat = dice.between(55, 110)
    samples = b""
    for second in range(seconds):
        for gain in (1, 2):
            wave = []
            for place in range(rate):
                phase = (second * rate + place) * beat // 60 % rate
                wave.append(gain * (4000 if phase in (50, 51) else -800 if phase == 53 else 500 if 70 <= phase < 80 else dice.between(-40, 40)))
            samples += struct.pack(f"<{rate}h", *wave)
    return head.encode("ascii") + samples


def vcf(number: str, dice: Dice) -> bytes:
    """A VCF 4.2 of a small panel, one sample."""
    lines = ["##fileformat=VCFv4.2", '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">',
             '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">', '##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Allele depths">',
             '##FORMAT=<ID=AF,Number=A,Type=Float,Description="Allele fraction">']  # fmt: skip
    lines += [f"##contig=<ID={c}>" for c in ("7", "12", "17")]
    lines.append(f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{number}")
    for chromosome, place, ref, alt in _CHROMOSOMES:
        if dice.chance() < 0.6:
            depth = dice.between(80, 900)
            read = int(depth * (0.05 + 0.5 * dice.chance()))
            lines.append(f"{chromosome}\t{place}\t.\t{ref}\t{alt}\t{dice.between(30, 255)}\tPASS\tDP={depth}\tGT:AD:AF\t0/1:{depth - read},{read}:{read / depth:.3f}")
    return ("\n".join(lines) + "\n").encode()
