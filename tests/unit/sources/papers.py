"""Documents for the tests, written by the programs that people use: fpdf2, python-docx, odfpy."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable

import docx
from docx.enum.text import WD_BREAK
from fpdf import FPDF
from odf import style, table, text
from odf.opendocument import OpenDocumentText

LEFT = (
    "Le patient est hospitalisé pour une décompensation cardiaque globale survenue dans un contexte de fibrillation"
    " atriale rapide. Il présente depuis trois jours une dyspnée croissante avec orthopnée et des œdèmes des membres"
    " inférieurs remontant aux genoux. L'examen retrouve des crépitants des deux bases pulmonaires."
)
RIGHT = (
    "L'échographie montre une fraction d'éjection à trente-cinq pour cent sans trouble de la cinétique segmentaire."
    " Un traitement par furosémide intraveineux est débuté avec une bonne réponse diurétique. La sortie est prévue"
    " avec un relais par voie orale et une consultation de cardiologie dans un mois au plus tard."
)
RESULTS = (("Analyse", "Résultat", "Unité"), ("Créatinine", "98", "µmol/L"), ("Potassium", "4,1", "mmol/L"), ("Sodium", "139", "mmol/L"))


class Letter(FPDF):
    """Pages with a running header and footer."""

    def header(self) -> None:
        self.set_font("Helvetica", size=9)
        self.set_xy(15, 8)
        self.cell(0, 5, "CHU de Bretagne - Cardiologie - M. LE GALL Yann")

    def footer(self) -> None:
        self.set_font("Helvetica", size=8)
        self.set_xy(15, -15)
        self.cell(0, 5, f"Document confidentiel - Page {self.page_no()}/{{nb}}")


def latin(words: str) -> str:
    return words.replace("œ", "oe").replace("’", "'")


def pdf(draw: Callable[[FPDF], None], paper: FPDF | None = None, **made: dt.datetime) -> bytes:
    paper = paper or FPDF()
    paper.set_creation_date(made.get("made", dt.datetime(2024, 1, 4, 16, 5, tzinfo=dt.UTC)))
    paper.add_page()
    paper.set_font("Helvetica", size=11)
    draw(paper)
    return bytes(paper.output())


def plain_pdf(*lines: str, made: dt.datetime = dt.datetime(2024, 1, 4, 16, 5, tzinfo=dt.UTC)) -> bytes:
    def draw(paper: FPDF) -> None:
        for line in lines:
            paper.cell(0, 6, latin(line), new_x="LMARGIN", new_y="NEXT")

    return pdf(draw, made=made)


def two_columns(offset: float = 0.0) -> bytes:
    """A title over two columns, `offset` millimetres between the heights of their lines, a line under them."""

    def draw(paper: FPDF) -> None:
        paper.set_font("Helvetica", size=16)
        paper.cell(0, 10, "Compte rendu d'hospitalisation du service de cardiologie")
        paper.set_font("Helvetica", size=10)
        for x, shift, words in ((15, 0.0, LEFT), (110, offset, RIGHT)):
            paper.set_xy(x, 40 + shift)
            paper.multi_cell(85, 5, latin(words), align="L")
        paper.set_xy(15, 110)
        paper.multi_cell(180, 5, "Conclusion sur toute la largeur de la page : insuffisance cardiaque compensée, contrôle dans un mois.")

    return pdf(draw)


STAFF = """Chef de service\nPr A. MARTIN\n02 99 00 00 01\n\nPraticiens\nDr B. DURAND\nDr C. PETIT\nDr D. LEROY\n
Secrétariat\n02 99 00 00 02\ncardio@chu.example\n\nHospitalisation\n02 99 00 00 04\nCadre : Mme F. GIRARD"""


def hospital_letter() -> bytes:
    """The usual letter: the staff in small print on the left, the letter beside."""

    def draw(paper: FPDF) -> None:
        paper.cell(0, 8, "CENTRE HOSPITALIER UNIVERSITAIRE")
        paper.set_font("Helvetica", size=7)
        paper.set_xy(10, 40)
        paper.multi_cell(40, 3.3, STAFF, align="L")
        paper.set_font("Helvetica", size=10)
        paper.set_xy(60, 38)
        paper.multi_cell(135, 5, f"Rennes, le 3 avril 2021\n\n{latin(LEFT)}\n\n{latin(RIGHT)}\n\nBien confraternellement,", align="L")

    return pdf(draw)


def long_letter(pages: int = 3) -> bytes:
    paper = Letter()
    paper.set_auto_page_break(True, 20)

    def draw(paper: FPDF) -> None:
        for page in range(1, pages + 1):
            paper.set_xy(15, 30)
            paper.set_font("Helvetica", size=11)
            paper.multi_cell(0, 6, f"Contenu propre de la page {['une', 'deux', 'trois', 'quatre', 'cinq'][page - 1]}.\n" + latin(LEFT))
            if page < pages:
                paper.add_page()

    return pdf(draw, paper)


def results_table() -> bytes:
    def draw(paper: FPDF) -> None:
        with paper.table() as rows:
            for cells in RESULTS:
                row = rows.row()
                for cell in cells:
                    row.cell(cell)

    return pdf(draw)


def scan(text_page: bool = False) -> bytes:
    """A page that is a picture, as a scanner makes it, after a page of text if asked."""
    from PIL import Image

    picture = Image.new("L", (200, 280), 200)

    def draw(paper: FPDF) -> None:
        if text_page:
            paper.cell(0, 6, "Une page de texte.")
            paper.add_page()
        paper.image(picture, x=0, y=0, w=210)

    return pdf(draw)


def locked() -> bytes:
    paper = FPDF()
    paper.set_encryption(owner_password="owner", user_password="user", permissions=0)
    return pdf(lambda p: p.cell(0, 6, "secret"), paper)


def word_letter() -> bytes:
    paper = docx.Document()
    section = paper.sections[0]
    section.header.paragraphs[0].text = "CHU de Bretagne - Cardiologie"
    section.footer.paragraphs[0].text = "Document confidentiel"
    section.footer.add_paragraph("Page 1 sur 2")
    paper.add_heading("Compte rendu de consultation", 1)
    paper.add_paragraph("Patient vu ce jour pour palpitations.\tECG normal.")
    paper.add_paragraph("Pas de syncope", style="List Bullet")
    rows = paper.add_table(rows=0, cols=3)
    for cells in RESULTS:
        for cell, words in zip(rows.add_row().cells, cells, strict=True):
            cell.text = words
    paper.add_paragraph().add_run().add_break(WD_BREAK.PAGE)
    paper.add_paragraph("Suite au verso.").add_run(" Caché.").font.hidden = True
    paper.core_properties.title = "Consultation"
    paper.core_properties.modified = dt.datetime(2024, 3, 2, 9, 30)
    out = io.BytesIO()
    paper.save(out)
    return out.getvalue()


def writer_letter() -> bytes:
    paper = OpenDocumentText()
    layout = style.PageLayout(name="P")
    paper.automaticstyles.addElement(layout)
    master = style.MasterPage(name="Standard", pagelayoutname=layout)
    for kind, words in ((style.Header, "CHU de Bretagne - Cardiologie"), (style.Footer, "Document confidentiel")):
        margin = kind()
        margin.addElement(text.P(text=words))
        master.addElement(margin)
    paper.masterstyles.addElement(master)
    breaking = style.Style(name="Break", family="paragraph")
    breaking.addElement(style.ParagraphProperties(breakbefore="page"))
    paper.automaticstyles.addElement(breaking)
    paper.text.addElement(text.H(outlinelevel=1, text="Compte rendu de consultation"))
    words = text.P(text="Patient vu ce jour")
    words.addElement(text.S(c=3))
    words.addText("pour palpitations.")
    words.addElement(text.Tab())
    words.addText("ECG normal.")
    paper.text.addElement(words)
    bullets = text.List()
    item = text.ListItem()
    item.addElement(text.P(text="Pas de syncope"))
    bullets.addElement(item)
    paper.text.addElement(bullets)
    rows = table.Table()
    for cells in RESULTS:
        row = table.TableRow()
        for cell in cells:
            made = table.TableCell()
            made.addElement(text.P(text=cell))
            row.addElement(made)
        rows.addElement(row)
    paper.text.addElement(rows)
    paper.text.addElement(text.P(stylename=breaking, text="Suite au verso."))
    out = io.BytesIO()
    paper.save(out)
    return out.getvalue()


# As Word writes it, cut down: font table with charsets, code page, header, table, \\u with its stand-in, field.
RTF = (
    r"{\rtf1\ansi\ansicpg1252\uc1\deff0{\fonttbl{\f0\fswiss\fcharset0 Arial;}{\f1\fnil\fcharset238 Arial CE;}}"
    r"{\colortbl ;\red0\green0\blue0;}{\*\generator Riched20 10.0;}"
    r"{\info{\title Secret}{\revtim\yr2024\mo3\dy2\hr9\min30}}"
    r"{\header\pard CHU de Bretagne - Cardiologie\par}{\footer\pard Document confidentiel\par}"
    r"\pard\f0 Compte rendu de consultation\par "
    r"Patient \'e2g\'e9 de 65\~ans, \u339\'3fd\'e8me discret \{bilat\'e9ral\}.\line ECG normal\emdash sinusal.\par "
    r"{\f1 Dvo\'f8\'e1k}\par{\v invisible}{\field{\*\fldinst HYPERLINK x}{\fldrslt Lien}}\par "
    r"\trowd\cellx100\cellx200\cellx300\pard\intbl Analyse\cell R\'e9sultat\cell Unit\'e9\cell\row"
    r"\trowd\cellx100\cellx200\cellx300\pard\intbl Cr\'e9atinine\cell 98\cell \u181?mol/L\cell\row"
    r"\pard Fin du tableau. \u-10179?\u-8704?\par\page Suite au verso.\par{\pict\pngblip 89504e47}{\*\unknown xyz}}"
).encode("latin-1")

HTML = """<!DOCTYPE html><html><head><meta charset="iso-8859-1"><title>Consultation</title><style>p{}</style></head>
<body><h1>Compte rendu</h1><p>Patient vu ce&nbsp;jour<br>pour <b>palpita</b>tions.</p><ul><li>Pas de syncope</li></ul>
<table><tr><th>Analyse</th><th>Résultat</th></tr><tr><td>Créatinine</td><td><p>98</p></td></tr></table>
<script>alert(1)</script><div style="display:none">caché</div><p style="page-break-before: always">Suite.</p></body></html>""".encode(
    "latin-1"
)
