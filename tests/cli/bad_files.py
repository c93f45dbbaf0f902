"""The files that the table of bad inputs (docs/bad-input.md) speaks of."""

import gzip
import os
from pathlib import Path

_ROW = b'{"custom_id": "a", "prompt": "x"}\n'
_TABLE = b"id,text\n1,hello\n1,bye\n"

FILES: dict[str, bytes] = {
    "rows.jsonl": _ROW,
    "empty.jsonl": b"\n\n",
    "table.csv": _TABLE,
    "ragged.csv": b"id,text\n1,hello,more\n",
    "header.csv": b"id,text\n",
    "twice.csv": b"text,text\na,b\n",
    "rows.jsonl.gz": gzip.compress(_ROW),
    "rows.jsonl.zst": b"\x28\xb5\x2f\xfd rest",
    "utf16.jsonl": _ROW.decode().encode("utf-16"),
    "latin1.jsonl": '{"custom_id": "ä", "prompt": "x"}\n'.encode("latin-1"),
    "array.json": b'[{"custom_id": "a", "prompt": "x"}]',
    "pretty.json": b'{\n "custom_id": "a",\n "prompt": "x"\n}\n',
    "rows.parquet": b"PAR1 rest PAR1",
    "rows.xlsx": b"PK\x03\x04 rest",
    "rows.pdf": b"%PDF-1.7\n",
    "cut.jsonl": _ROW + b'{"custom_id": "b", "pro',
    "nul.jsonl": _ROW + b"\0\0\0\n",
    "list.jsonl": _ROW + b'["a"]\n',
    "nan.jsonl": b'{"custom_id": "a", "prompt": NaN}\n',
    "deep.jsonl": b'{"custom_id": "a", "prompt": ' + b"[" * 100_000 + b"\n",
    "long.jsonl": b'{"custom_id": "a", "prompt": "' + b"x" * 2000 + b'"}\n',
    "promt.jsonl": b'{"custom_id": "a", "promt": "x"}\n',
    "number.jsonl": b'{"custom_id": 17, "prompt": "x"}\n',
    "no-id.jsonl": b'{"prompt": "x"}\n',
    "empty-id.jsonl": b'{"custom_id": "", "prompt": "x"}\n',
    "long-id.jsonl": b'{"custom_id": "' + b"a" * 600 + b'", "prompt": "x"}\n',
    "same-id.jsonl": _ROW + _ROW,
    "no-prompt.jsonl": b'{"custom_id": "a"}\n',
    "no-messages.jsonl": b'{"custom_id": "a", "messages": []}\n',
    "role.jsonl": b'{"custom_id": "a", "messages": [{"role": "usr", "content": "x"}]}\n',
    "hot.jsonl": b'{"custom_id": "a", "prompt": "x", "generation_config": {"temperature": 9}}\n',
    "escape.jsonl": b'{"custom_id": "a", "prompt": "x", "\\u001b[2Jcolour": 1}\n',
    "schema.json": b"[1]",
    "bad.toml": b"colour = 1\n",
    "broken.toml": b"[openai\n",
}


def write_files(folder: Path) -> None:
    """Write them, and what is no regular file."""
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
