#!/usr/bin/env python3
# Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
"""Writes the seed corpus of safetensors_fuzz (committed; run again after a change here)."""
import json
import pathlib
import struct

FOLDER = pathlib.Path(__file__).parent / "corpus" / "safetensors"


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def file(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


SEEDS = {
    "empty": file({}),
    "scalar": file({"s": entry("F64", [], 0, 8)}, bytes(8)),
    "two": file({"a": entry("F32", [2], 0, 8), "b": entry("I8", [2, 2], 8, 12)}, bytes(12)),
    "metadata": file({"__metadata__": {"format": "pt"}, "a": entry("BF16", [1], 0, 2)}, b"\x80\x3f"),
    "no_elements": file({"a": entry("U8", [3, 0], 0, 0), "b": entry("BOOL", [1], 0, 1)}, b"\x01"),
    "unicode": file('{"注意 \\u0007": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}}'.encode(),
                    bytes(8)),
    "hole": file({"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 2, 3)}, bytes(3)),
    "overflow": file({"a": entry("F16", [2**62, 2**62], 0, 8)}, bytes(8)),
    "nested": file(b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}"),
    "pickle": b"\x80\x02}q\x00.",
    "zip": b"PK\x03\x04" + bytes(12),
    "short": b"\x02\0\0",
}

if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in SEEDS.items():
        (FOLDER / name).write_bytes(content)
