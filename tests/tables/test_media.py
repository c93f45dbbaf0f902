"""Columns that name images and PDFs."""

import base64
from pathlib import Path

import pytest

from batch_router.exceptions import ValidationError
from batch_router.tables.rendering import render_table

PNG, PDF = b"\x89PNG\r\n\x1a\n1", b"%PDF-1.7\n"


def test_a_row_has_the_media_that_its_cells_name(tmp_path: Path) -> None:
    """By URL, as a `data:` URL, or as the path of a file; in front of the text, and none for an empty cell."""
    (tmp_path / "a.bin").write_bytes(PNG)
    data = base64.b64encode(PDF).decode()
    rows: list[dict[str, object]] = [
        {"i": str(tmp_path / "a.bin"), "d": f"data:application/pdf;base64,{data}"},
        {"i": "https://example.com/a", "d": ""},
        {"i": None, "d": "https://example.com/b"},
    ]
    first, second, third = (
        request["prompt"] for request in render_table(rows, "Describe", image_column="i", document_column="d")
    )
    assert [(part["type"], part.get("media_type"), part.get("data")) for part in first] == [
        ("image", "image/png", base64.b64encode(PNG).decode()),
        ("document", "application/pdf", data),
        ("text", None, None),
    ]
    assert [(part["type"], part.get("source_type")) for part in second] == [("image", "url"), ("text", None)]
    assert [(part["type"], part.get("source_type")) for part in third] == [("document", "url"), ("text", None)]


def test_no_other_file_is_sent(tmp_path: Path) -> None:
    """Only what begins as an image or a PDF does; what is not there, or of the other kind, is told with its row."""
    (tmp_path / "secrets").write_bytes(b"key = 1")
    (tmp_path / "a.png").write_bytes(PDF)
    for name, why in (("secrets", "it is no PNG"), ("a.png", "it is no PNG"), ("none", "cannot be read: No such file")):
        table = [{"i": "https://example.com/a"}, {"i": str(tmp_path / name)}]
        with pytest.raises(ValidationError, match=f"^table, row 2: image_column: .*{name}.*{why}"):
            list(render_table(table, "Describe", image_column="i"))
