#!/usr/bin/env python3
"""Derives table.json from a model price list in LiteLLM's format.

    python3 derive.py path/to/model_prices.json

One line per model, sorted by name, so that a diff of two versions reads as a list of price changes. Left out is what
documents the list (`source`, `comment`, `metadata`) and its template entry. Figures that Turnpike charges are rounded to
the femto-dollar (1e-15 USD), which takes the noise of binary arithmetic off them: 8.900000000000001e-07 is 8.9e-07.
Everything else is kept as it is. The script stops at what it cannot explain, and then writes nothing.
"""

import json
import math
import re
import sys
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

LEFT_OUT = {"source", "comment", "metadata"}
TEMPLATE = "sample_spec"
CHARGED = re.compile(r"per_(\w+_)?token|token_cost|per_second|per_request")
FEMTO = Decimal("1e-15")
LARGEST = 18_446  # USD per unit: 2**64 femto-dollars


def figure(where, value):
    """A charged price, to the femto-dollar."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        sys.exit(f"{where}: {value!r} is not a number")
    if not math.isfinite(value) or not 0 <= value <= LARGEST:
        sys.exit(f"{where}: {value!r} is not a price between 0 and {LARGEST} USD")
    rounded = float(Decimal(repr(value)).quantize(FEMTO, ROUND_HALF_EVEN))
    if value > 0 and rounded == 0:
        sys.exit(f"{where}: {value!r} is less than a femto-dollar")
    if not math.isclose(value, rounded, rel_tol=1e-5):
        sys.exit(f"{where}: {value!r} needs more than femto-dollars")
    return value if rounded == value else rounded


def fields(where, entry):
    """The fields of a model, or of one tier of its `tiered_pricing`, sorted."""
    kept = {}
    for name, value in sorted(entry.items()):
        at = f"{where}.{name}"
        if name in LEFT_OUT or value is None:
            continue
        if name == "tiered_pricing":
            kept[name] = [fields(at, tier) for tier in value]
        elif CHARGED.search(name) and not isinstance(value, dict):
            kept[name] = figure(at, value)
        else:
            kept[name] = value
    return kept


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    models = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    models.pop(TEMPLATE, None)
    lines = []
    for name, entry in sorted(models.items()):
        if not re.fullmatch(r'[ -!#-\[\]-~]+', name):
            sys.exit(f"{name!r}: a name that JSON would escape")
        lines.append(json.dumps(name) + ":" + json.dumps(fields(name, entry), separators=(",", ":"), allow_nan=False))
    Path(__file__).with_name("table.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{len(lines)} models")


if __name__ == "__main__":
    main()
