"""The PDF of a report: PDF/A-3a to be kept for years, PDF/UA-1 to be read by everybody, the record's data inside."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from exactcopy.errors import ExactCopyError
from exactcopy.report import words
from exactcopy.report.formats import html

# WOFF2 is a quarter of the size, and takes a second to unpack for every PDF.
PDF_FONT = "ttf"
PANGO_MISSING = (
    "report.pdf: Pango is missing. Install libpango-1.0-0 libpangoft2-1.0-0 (Debian, Ubuntu), "
    "`brew install pango` (macOS)"
)
# WeasyPrint says one standard of a file. PDF/A takes a second one only with its schema (ISO 19005-3, 6.6.2.3).
PDFUA = b"""<rdf:Description rdf:about="" xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/"
 xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#" xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#">
<pdfaExtension:schemas><rdf:Bag><rdf:li rdf:parseType="Resource">
<pdfaSchema:schema>PDF/UA identification schema</pdfaSchema:schema>
<pdfaSchema:namespaceURI>http://www.aiim.org/pdfua/ns/id/</pdfaSchema:namespaceURI>
<pdfaSchema:prefix>pdfuaid</pdfaSchema:prefix>
<pdfaSchema:property><rdf:Seq><rdf:li rdf:parseType="Resource">
<pdfaProperty:name>part</pdfaProperty:name><pdfaProperty:valueType>Integer</pdfaProperty:valueType>
<pdfaProperty:category>internal</pdfaProperty:category>
<pdfaProperty:description>Part of ISO 14289 that the file keeps</pdfaProperty:description>
</rdf:li></rdf:Seq></pdfaSchema:property></rdf:li></rdf:Bag></pdfaExtension:schemas></rdf:Description>
<rdf:Description rdf:about="" xmlns:pdfuaid="http://www.aiim.org/pdfua/ns/id/">
<pdfuaid:part>1</pdfuaid:part></rdf:Description>
"""


def pdf_possible() -> None:
    """Raise ExactCopyError, with what to install, where this machine cannot make a PDF."""
    _weasyprint()


def write_pdf(view: Mapping[str, Any], attachments: Mapping[str, bytes], path: Path) -> None:
    """Write the report as PDF/A-3a and PDF/UA-1; an equal record and equal libraries give equal bytes."""
    weasyprint = _weasyprint()
    identifier = (view["evidence_sha256"] or view["id"])[:32].encode("ascii")
    page = weasyprint.HTML(string=html(view, PDF_FONT), url_fetcher=url_fetcher())
    with _clock_at(view["created"]), warnings.catch_warnings():
        # WeasyPrint leaves its own color profile open.
        warnings.simplefilter("ignore", ResourceWarning)
        page.write_pdf(
            path,
            pdf_variant="pdf/a-3a",
            pdf_identifier=identifier,
            attachments=list(_attached(view, attachments)),
            finisher=_finish,
        )


def _attached(view: Mapping[str, Any], attachments: Mapping[str, bytes]) -> Iterator[Any]:
    """Yield the files to embed, each under the name and with the description that section 6 prints."""
    created = words.parse(view["created"])
    what = {each["name"]: each["what"] for each in view["evidence"]["files"]}
    # A name tree is sorted (ISO 32000-1, 7.9.6).
    for name, data in sorted(attachments.items()):
        yield _weasyprint().Attachment(
            file_obj=BytesIO(data),
            name=name,
            description=what[name],
            relationship="Data",
            created=created,
            modified=created,
        )


def _finish(_document: Any, pdf: Any) -> None:
    """Say that the file is PDF/UA-1, and of every table's header what it heads (ISO 14289-1, 7.5)."""
    metadata = _object(pdf, pdf.catalog["Metadata"])
    metadata.stream = [part.replace(b"</rdf:RDF>", PDFUA + b"</rdf:RDF>") for part in metadata.stream]
    # WeasyPrint names each embedded file twice.
    if files := pdf.catalog.get("AF"):
        files[:] = dict.fromkeys(files)
    for header in [each for each in pdf.objects if isinstance(each, dict) and each.get("S") == "/TH"]:
        section = _object(pdf, _object(pdf, header["P"])["P"])
        header["A"]["Scope"] = "/Column" if section["S"] == "/THead" else "/Row"


def _object(pdf: Any, reference: bytes) -> Any:
    """Give the object that a reference such as "12 0 R" names."""
    return pdf.objects[int(reference.split()[0])]


def _weasyprint() -> Any:
    # Imported late: it loads Pango, which every other format does without.
    try:
        import weasyprint
    except (OSError, ImportError) as error:
        raise ExactCopyError(PANGO_MISSING) from error
    return weasyprint


def url_fetcher() -> Any:
    """Give a fetcher that opens what is inlined and refuses every file and address."""
    _weasyprint()
    from weasyprint.urls import URLFetcher

    return URLFetcher(allowed_protocols=("data",), allow_redirects=False)


@contextmanager
def _clock_at(stamp: str) -> Iterator[None]:
    """Set SOURCE_DATE_EPOCH, the only clock that font subsets heed, to the audit's own time."""
    before = os.environ.get("SOURCE_DATE_EPOCH")
    os.environ["SOURCE_DATE_EPOCH"] = str(int(words.parse(stamp).timestamp()))
    try:
        yield
    finally:
        if before is None:
            del os.environ["SOURCE_DATE_EPOCH"]
        else:
            os.environ["SOURCE_DATE_EPOCH"] = before
