"""results.json as a Markdown table and as plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt


def write(results: dict[str, Any], directory: Path) -> None:
    (directory / "results.md").write_text(markdown(results))
    mpl.rcParams["svg.hashsalt"] = "django-jam-sessions"  # the same figures, the same file
    ratios(results, directory / "ratios.svg")
    growth(results, directory / "growth.svg")


def markdown(results: dict[str, Any]) -> str:
    lines = ["# Benchmarks", ""]
    lines += ["Measured by `make bench`; medians (minimum to maximum) of a round's mean.", ""]
    lines.append(machine(results) + ".")
    for title, section in results["work"].items():
        lines += ["", "## " + title[:1].upper() + title[1:], ""]
        rows = section["rows"]
        if "bytes" in next(iter(rows.values())):
            lines += ["| | bytes |", "|---|---:|"]
            lines += ["| %s | %d |" % (name, row["bytes"]) for name, row in rows.items()]
            continue
        floor = section["floor"]
        lines += ["| | µs |%s" % (" ratio to %s |" % floor if floor else ""), "|---|---:|"]
        lines[-1] += "---:|" if floor else ""
        for name, row in rows.items():
            figures = (name, row["median_us"], row["min_us"], row["max_us"])
            line = "| %s | %.0f (%.0f to %.0f) |" % figures
            lines.append(line + (" %.2f |" % row["ratio"] if floor else ""))
    return "\n".join(lines) + "\n"


def machine(results: dict[str, Any]) -> str:
    return ", ".join("%s %s" % item for item in results["machine"].items())


def ratios(results: dict[str, Any], path: Path) -> None:
    titles = [
        "load + save, blocking, 300 B",
        "load + save, async, 32 in flight, 300 B",
        "create, 300 B",
    ]
    figure, axes = plt.subplots(len(titles), 1, figsize=(8, 9), layout="constrained")
    figure.supxlabel(machine(results), fontsize=8)
    for axis, title in zip(axes, titles, strict=True):
        rows = results["work"][title]["rows"]
        names = list(rows)[::-1]
        colours = ["#0c4b33" if "this engine" in name else "#9aa5a0" for name in names]
        values = [rows[name]["ratio"] for name in names]
        bars = axis.barh(names, values, color=colours)
        axis.bar_label(bars, ["%.2f" % value for value in values], padding=3)
        axis.axvline(1, color="#444", linewidth=0.8)
        axis.set_title(title + ": ratio to bare redis-py calls", loc="left", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_xlim(0, max(values) * 1.12)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def growth(results: dict[str, Any], path: Path) -> None:
    figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
    figure.supxlabel(machine(results), fontsize=8)
    on_redis = results["work"]["growth: load + save, sessions in the store"]["rows"]
    sizes = [int(size) for size in on_redis]
    axis.plot(sizes, [row["median_us"] for row in on_redis.values()], "o-", label="Redis")
    on_json = results["work"]["growth on JSON: load + save, sessions in the directory"]["rows"]
    for name in ("this engine on JSON", "Django file"):
        rows = {int(key.rpartition(", ")[2]): row for key, row in on_json.items() if name in key}
        axis.plot(list(rows), [row["median_us"] for row in rows.values()], "o-", label=name)
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("sessions in the store")
    axis.set_ylabel("load + save, µs")
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
