#!/usr/bin/env python3
# Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
"""report.py FOLDER: makes table.md and plot.svg from the lines.jsonl and limits.jsonl that run.sh wrote there.

Of several rounds the lowest minimum and the lowest median of a case count, for attend and its peers alike, and the
highest of each limit."""
import json
import pathlib
import re
import sys

PEER_TITLES = {"torch": "PyTorch", "onednn": "oneDNN", "libtorch": "LibTorch"}
# What a peer calls its way of doing a case; without it the case has the name that attend gives it.
WAYS = r"(eager|sdpa|graph|prim|fastpath|slowpath)_"
DISTURBED = 0.08  # CPU seconds per second of other processes


def read_lines(path):
    for line in path.read_text().splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def common_name(case):
    """The name of a peer's case without its way, and that way."""
    # Queries of a group given as rows of one key/value head are the decoding of that group.
    grouped = re.fullmatch(r"decode_(\w+?)_(f32|bf16)_full_1x8x4x128x32768x8", case)
    if grouped:
        return f"decode_{grouped[2]}_full_1x32x1x128x32768x8", grouped[1] + ", grouped by hand"
    weights = re.fullmatch(r"weights_-_(f32)_full_(\w+)", case)
    if weights:
        return f"trace_full-matrix_{weights[1]}_full_{weights[2]}", "eager, whole matrix"
    way = re.search(WAYS, case)
    return re.sub(WAYS, "", case), way[1] if way else ""


def of_medians(field):
    return field.endswith("_median") or field == "added_percent"


def merge(lines):
    """{(case, threads): {(peer, way): line}}"""
    cases = {}
    for line in lines:
        name, way = common_name(line["case"])
        found = cases.setdefault((name, line["threads"]), {})
        key = (line["peer"], way)
        if key not in found:
            found[key] = dict(line)
            continue
        kept = found[key]
        if line["ms_min"] < kept["ms_min"]:
            median = {key: kept[key] for key in kept if of_medians(key)}
            kept.update(line)
            kept.update(median)
        if line["ms_median"] < kept["ms_median"]:
            kept.update({key: line[key] for key in line if of_medians(key)})
    return cases


def limit_of(case, threads, limits):
    if case.startswith("translate"):
        return None
    if case.startswith(("decode", "generate")):
        return limits.get(("memory_read", threads))
    if "_bf16_" in case or "_mixed_" in case:
        return limits.get(("dot_bf16", threads)) or limits.get(("fma_f32", threads))
    return limits.get(("fma_f32", threads))


def rate(line):
    return next(line[key] for key in ("kv_gbs", "read_gbs", "sentences_per_s", "gflops") if key in line)


def title(peer, way):
    short = PEER_TITLES.get(peer.split("-")[0], peer.split("-")[0])
    return f"{short} {way}".strip()


def rows_of(cases, limits):
    for (name, threads), found in cases.items():
        ours = next((line for (peer, _), line in found.items() if peer == "attend"), None)
        # Mixed precision is compared with what a peer does quickest in any precision.
        rivals = {(peer, f"{way} {kind}".strip()): line for kind in ("f32", "bf16") if "_mixed_" in name
                  for (peer, way), line in cases.get((name.replace("_mixed_", f"_{kind}_"), threads), {}).items()}
        peers = sorted(((line["ms_min"], peer, way, line) for (peer, way), line in (rivals or found).items()
                        if peer != "attend"), key=lambda entry: entry[0])
        if ours is None and not name.startswith("trace_full-matrix"):
            continue
        yield name, threads, ours, peers, limit_of(name, threads, limits)


def table(rows):
    text = ["| case | threads | attend, ms min / median | rate | share of limit | best peer, ms | its rate | times faster |"
            " other peers, ms |", "|---|---|---|---|---|---|---|---|---|"]
    for name, threads, ours, peers, limit in rows:
        cells = [name, str(threads)]
        if ours:
            mark = "~" if ours.get("foreign", 0) > DISTURBED else ""
            share = f"{100 * rate(ours) / limit:.0f} %" if limit else "-"
            extra = f", {ours['added_percent']:+.1f} % over plain" if "added_percent" in ours else ""
            extra += f", peak {ours['rss_mb']:.0f} MB" if name.startswith("memory") else ""
            extra += f", {ours['tokens_per_s']} tokens/s" if "tokens_per_s" in ours else ""
            cells += [f"{mark}{ours['ms_min']:.4g} / {ours['ms_median']:.4g}{extra}", f"{rate(ours):.1f}", share]
        else:
            cells += ["-", "-", "-"]
        if peers:
            ms, peer, way, line = peers[0]
            mark = "~" if line.get("foreign", 0) > DISTURBED else ""
            cells += [f"{title(peer, way)} {mark}{ms:.4g}", f"{rate(line):.1f}",
                      f"{ms / ours['ms_min']:.2f}" if ours else "-"]
            cells.append("; ".join(f"{title(p, w)} {m:.4g}" for m, p, w, _ in peers[1:]) or "-")
        else:
            cells += ["-"] * 4
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text) + "\n"


def plot(rows, versions):
    """Share of the limit, one thread: attend and the best peer, one pair of bars a case."""
    shown = [row for row in rows if row[1] == 1 and row[2] and row[4] and re.match("fwd|bwd|decode|encoder", row[0])
             and "window" not in row[0]]
    left, width, step = 330, 400, 30
    height = step * len(shown) + 70
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 60} {height}" '
             f'font-family="sans-serif" font-size="12" role="img">',
             "<title>Share of the machine's measured limit, one thread</title>",
             '<rect width="100%" height="100%" fill="#ffffff"/>',
             '<rect x="10" y="8" width="12" height="12" fill="#0b6e99"/><text x="28" y="18">attend</text>',
             '<rect x="90" y="8" width="12" height="12" fill="#b9b9b9"/>'
             f'<text x="108" y="18">best peer of {versions}</text>']
    for share in range(0, 101, 20):
        x = left + width * share / 100
        parts.append(f'<line x1="{x:.0f}" y1="34" x2="{x:.0f}" y2="{height - 30}" stroke="#dddddd"/>'
                     f'<text x="{x:.0f}" y="{height - 14}" text-anchor="middle">{share} %</text>')
    for index, (name, _, ours, peers, limit) in enumerate(shown):
        y = 38 + step * index
        parts.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{name}</text>')
        bars = [("#0b6e99", rate(ours) / limit)]
        if peers:
            bars.append(("#b9b9b9", rate(peers[0][3]) / limit))
        for number, (color, share) in enumerate(bars):
            parts.append(f'<rect x="{left}" y="{y + 11 * number}" width="{width * min(share, 1):.1f}" height="10" '
                         f'fill="{color}"/><text x="{left + width * min(share, 1) + 4:.1f}" y="{y + 11 * number + 9}" '
                         f'font-size="10">{100 * share:.0f}</text>')
    return "\n".join(parts + ["</svg>"]) + "\n"


def main():
    folder = pathlib.Path(sys.argv[1])
    limits = {}
    for line in read_lines(folder / "limits.jsonl"):
        key = line["case"], line["threads"]
        limits[key] = max(line["value"], limits.get(key, 0))
    lines = list(read_lines(folder / "lines.jsonl"))
    rows = list(rows_of(merge(lines), limits))
    versions = ", ".join(sorted({line["peer"] for line in lines} - {"attend"}))
    heading = "; ".join(f"{case} {value:g} ({threads} thread{'s' if threads > 1 else ''})"
                        for (case, threads), value in limits.items())
    note = ("Rates in GFLOP/s, of decoding and generating in GB/s read, of translating in sentences/s; from the "
            f"minimum. ~: other processes used more than {100 * DISTURBED:.0f} % of a processor meanwhile.")
    (folder / "table.md").write_text(f"Limits measured in the same run: {heading}. Peers: {versions}.\n\n{note}\n\n"
                                     + table(rows))
    (folder / "plot.svg").write_text(plot(rows, versions))


if __name__ == "__main__":
    main()
