"""The checks of a model: skops (a zip of JSON and arrays) or ONNX. Some models are their training data."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator

from estran.release.airlock.findings import Finding, finding

# Their fitted attributes hold rows of the training data (scikit-learn's documentation of each class).
_REMEMBER = re.compile(
    rb"KNeighbors\w+|RadiusNeighbors\w+|NearestNeighbors|LocalOutlierFactor|NuSV[CR]|SV[CR]|OneClassSVM|GaussianProcess\w+"
    rb"|KernelRidge|KernelPCA|KernelDensity|DBSCAN|LabelPropagation|LabelSpreading|Isomap|\bTSNE|KNNImputer|NearestCentroid"
)
_MEMBER = re.compile(r"schema\.json|\d+\.npy|\d+\.npz")


def check_skops(data: bytes, name: str) -> Iterator[Finding]:
    """Members and classes; a person decides."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            schema = archive.read("schema.json") if "schema.json" in names else b""
            whole = sum(info.compress_size for info in archive.infolist())
    except (zipfile.BadZipFile, RuntimeError, OSError):
        yield finding("unreadable", name)
        return
    if not schema or any(_MEMBER.fullmatch(member) is None for member in names) or len(names) != len(set(names)):
        yield finding("archive", name)
    if len(data) - whole > 200 * (len(names) + 4):
        yield finding("trailing", name, size=len(data) - whole)
    yield from _remembering(schema, name)


def check_onnx(data: bytes, name: str) -> Iterator[Finding]:
    """Operators that hold training rows; a person decides."""
    if b"SVMClassifier" in data or b"SVMRegressor" in data or b"NearestNeighbor" in data:
        yield finding("memory", name, what="SVM")
    if b"external" in data and b"location" in data:
        yield finding("outside", name)


def _remembering(schema: bytes, name: str) -> Iterator[Finding]:
    for found in sorted({match.group().decode() for match in _REMEMBER.finditer(schema)}):
        yield finding("memory", name, what=found)
