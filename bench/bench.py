#!/usr/bin/env python3
"""Measures hark beside what a user would pick instead, in one run, on one machine, with the same load.

usage: bench.py [NAME...] [--rounds N] [--seconds S] [--smoke] [--count] [--list]

  NAME      only these works (a prefix is enough: `rr`, `mtls`)
  --smoke   each work once, for a moment: only whether it still runs
  --count   instructions of hark alone, counted by callgrind: the figure that can be compared from commit to commit

  --write   these works into docs/performance.md, beside what is there of the others

Writes build/bench.json; a full run also writes docs/performance.md. Everything runs in a network namespace of its own.
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import measure
import peers
import report
import works


def say(text):
    print(f"== {text}", file=sys.stderr, flush=True)


def run_work(work, rounds, scratch):
    """{peer: {metric: [a value per round]}}; None for a peer that is not there."""
    running, samples = {}, {}
    try:
        to = work.start()
        for name, how in work.table.items():
            running[name] = peers.start(name, how, scratch, to)
            samples[name] = {metric: [] for metric in work.units} if running[name] else None
            if running[name]:
                work.ready(running[name])
        for turn in range(rounds):
            busy = {}
            for name, peer in running.items():  # A B C A B C: what drifts, drifts for all
                if not peer:
                    continue
                if work.fresh and turn:
                    peer.stop()
                    peer = running[name] = peers.start(name, work.table[name], scratch, to)
                for metric, value in work.measure(peer).items():
                    if metric.startswith("busy_"):
                        busy[metric] = busy.get(metric, value if name == "direct" else 0.0)
                        value -= busy[metric]
                    samples[name][metric].append(value)
    finally:
        for peer in running.values():
            if peer:
                peer.stop()
        work.stop()
    return samples


def spread(values):
    middle = statistics.median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


def rows_of(work, samples, rounds):
    """Result rows; ratios compare medians, to the bare relay and to the best peer that is neither it, nor direct, nor hark."""
    medians = {name: {m: statistics.median(v) for m, v in metrics.items() if v} for name, metrics in samples.items() if metrics}
    others = [name for name in medians if name not in ("direct", "bare") and not name.startswith("hark")]
    higher = {"units_per_s", "gib_per_s", "units_per_cpu_s", "gib_per_cpu_s", "aes_of_user", "aes_of_cpu"}
    rows = []
    for name, metrics in samples.items():
        for metric, unit in work.units.items():
            row = {"work": work.name, "proxy": name, "metric": metric, "unit": unit}
            if not metrics:
                rows.append({**row, "median": None, "note": "not installed"})
                continue
            values = metrics[metric]
            if not values:
                continue
            mine = medians[name][metric]
            best = [medians[o][metric] for o in others if metric in medians[o]]
            best = (max(best) if metric in higher else min(best)) if best else None
            bare = medians.get("bare", {}).get(metric)
            row.update(median=round(mine, 3), min=round(min(values), 3), max=round(max(values), 3), rounds=rounds,
                       ratio_to_bare=round(mine / bare, 3) if bare else None, ratio_to_best_peer=round(mine / best, 3) if best else None)
            if metric == work.main and rounds > 1 and mine and spread(values) > 0.15:
                row["note"] = f"spread {spread(values):.0%}: this run was noisy"
            rows.append(row)
    return rows


def in_own_network():
    """Runs this program again in a network namespace with a loopback of its own; all it makes ends with it."""
    if os.environ.get("BENCH_INSIDE"):
        return
    os.environ["BENCH_INSIDE"] = "1"
    script = 'ip link set lo up && exec "$@"'
    os.execvp("unshare", ["unshare", "--net", "sh", "-c", script, "sh", sys.executable, *sys.argv])


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended from outside: meshes are taken down, as with Ctrl-C
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--count", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    in_own_network()
    if args.count:
        import count
        return count.main(args.names)
    if args.smoke:
        args.rounds, args.seconds = 1, 0.5
    elif not args.list:
        peers.install_envoy()
    works.prepare(args.seconds)
    chosen = [w for w in works.all_works() if not args.names or any(w.name.startswith(n) for n in args.names)]
    if args.list or not chosen:
        for work in works.all_works():
            print(f"{work.name:16} {work.about}")
        return 0 if args.list else 2
    scratch = tempfile.mkdtemp(prefix="hark-bench-")
    os.environ["BENCH_SCRATCH"] = scratch
    results, failed, negotiated = [], [], {}
    try:
        for work in chosen:
            say(f"{work.name}: {work.about}")
            try:
                rows = rows_of(work, run_work(work, args.rounds, scratch), args.rounds)
            except Exception as e:  # one broken row must not cost the others; the exit status tells
                say(f"{work.name}: FAILED: {e}")
                failed.append(work.name)
                continue
            results += rows
            if work.negotiated:
                negotiated[work.name] = work.negotiated
            print(report.text_table(work, rows), flush=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    out = {"machine": measure.machine(), "versions": peers.versions(), "results": results, "negotiated": negotiated, "failed": failed}
    os.makedirs(peers.TOP / "build", exist_ok=True)
    path = peers.TOP / "build/bench.json"
    if args.names and path.exists():  # a partial run replaces its own rows only
        with open(path) as f:
            old = json.load(f)
        fresh = {w.name for w in chosen}
        out["results"] = [r for r in old["results"] if r["work"] not in fresh] + results
        out["negotiated"] = {**old.get("negotiated", {}), **negotiated}
    with open(path, "w") as f:
        json.dump(out, f, indent=1)
    if not args.smoke and (args.write or not args.names):
        report.write(out, works.all_works())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
