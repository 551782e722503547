"""Runs Pintail and what it is compared with, in turn, against an API on this machine, and prints medians and ratios.

    run [CASE ...] [--runs N]          cases: see CASES at the end of this file

`run` builds what is needed and calls this. Each result of a load is held against what the API's rows add up to.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
WORK = Path(os.environ["BENCH_WORK"])
PINTAIL = os.environ["BENCH_PINTAIL"]
SERVER = WORK / "server/release/server"
FLOOR = WORK / "floor/release/floor"
PYTHON = WORK / "python/bin/python"


class Run(NamedTuple):
    wall: float  # seconds
    cpu: float  # seconds of all processors, user and system
    peak: float  # MB
    ended: float  # seconds since 1970


class Contender(NamedTuple):
    """What is run: a name, a command, what readies the folder for a run, and what looks at the result."""

    name: str
    command: list
    ready: object = lambda: None
    look: object = lambda run: None


def measure(command, log):
    with open(log, "wb") as out:
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        _, status, used = os.wait4(process.pid, 0)
        wall, ended = time.perf_counter() - begun, time.time()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{Path(log).read_text()}\nended with {process.returncode}")
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6, ended)


def in_turn(contenders, runs):
    """One run of each that does not count, then so many of each, A B A B. Prints a line for each, and returns them."""
    results = {contender.name: [] for contender in contenders}
    for round in range(runs + 1):
        for contender in contenders:
            contender.ready()
            run = measure(contender.command, WORK / "log")
            contender.look(run)
            if round > 0:
                results[contender.name].append(run)
    for name, runs in results.items():
        wall, cpu, peak = (statistics.median(getattr(run, field) for run in runs) for field in ("wall", "cpu", "peak"))
        least = min(run.wall for run in runs)
        print(f"  {name:24} wall {wall:7.3f} s (least {least:7.3f})   cpu {cpu:7.3f} s   peak {peak:5.0f} MB", flush=True)
    return results


def ratio(results, ours, theirs, field="wall"):
    """The median of the ratios run by run: a machine that slows down slows down both."""
    pairs = zip(results[ours], results[theirs])
    return statistics.median(getattr(our, field) / getattr(their, field) for our, their in pairs)


def target(text, measured, unit=""):
    print(f"  {text}: {measured:.2f}{unit}", flush=True)


class Api:
    """The server, for as long as a `with` lasts."""

    def __init__(self, **options):
        words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        self.process = subprocess.Popen([SERVER, *words], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        self.rows = options.get("rows", 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def ask(self, path):
        with urllib.request.urlopen(self.url + path) as answer:
            return json.load(answer)


def fresh(name):
    folder = WORK / "out" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def check(api, resource, folder):
    """Fails if the tables in a folder are not what the API has."""
    wanted = WORK / f"expected-{resource}-{api.rows}.json"
    if not wanted.exists():
        rows = subprocess.Popen([SERVER, "--rows", str(api.rows), "--dump", resource], stdout=subprocess.PIPE)
        sums = subprocess.check_output([PYTHON, HERE / "check.py", "expect", resource], stdin=rows.stdout)
        wanted.write_bytes(sums)
    subprocess.run([PYTHON, HERE / "check.py", "verify", resource, folder, wanted], check=True)


def pipeline(api, name, resources, client=""):
    """Writes a pipeline file, and returns its path."""
    text = f'name = "bench"\n[client]\nbase_url = "{api.url}/"\n'
    text += f'auth = {{ type = "bearer", token = "bench-token" }}\n{client}\n'
    for resource, keys in resources.items():
        text += f"[resources.{resource}]\n{keys}\n"
    path = WORK / f"{name}.toml"
    path.write_text(text)
    return path


PAGES = 'paginator = { type = "offset", limit = 1000 }'
MERGE = f'primary_key = "id"\nwrite_disposition = "merge"\n{PAGES}'
CHANGED = f'{MERGE}\nincremental = {{ cursor_path = "updated_at", start_param = "since" }}'


def pintail(path, folder, kind="duckdb"):
    to = f"duckdb:{folder}/out.duckdb" if kind == "duckdb" else f"parquet:{folder}"
    return [PINTAIL, "-q", "run", path, "--destination", to, "--state-dir", f"{folder}/state"]


def against_floor(api, resource, kind, runs, also_merge=False):
    ours, merged, theirs = (WORK / "out" / name for name in ("pintail", "merge", "floor"))
    plain = pipeline(api, "plain", {resource: PAGES})
    contenders = [
        Contender("pintail", pintail(plain, ours, kind), lambda: fresh("pintail"), lambda _: check(api, resource, ours)),
        Contender(
            "floor",
            [FLOOR, "load", kind, api.url, resource, theirs],
            lambda: fresh("floor"),
            lambda _: check(api, resource, theirs),
        ),
    ]
    if also_merge:
        keyed = pipeline(api, "keyed", {resource: MERGE})
        looked = lambda _: check(api, resource, merged)
        contenders.append(Contender("pintail, merge", pintail(keyed, merged, kind), lambda: fresh("merge"), looked))
    return in_turn(contenders, runs)


def append(runs):
    for resource in ("interactions", "views"):
        with Api(rows=100_000) as api:
            print(f"append: 100,000 {resource} into DuckDB")
            results = against_floor(api, resource, "duckdb", runs, also_merge=True)
            target("wall / floor, at most 0.75", ratio(results, "pintail", "floor"))
            target("cpu / floor, at most 1.30", ratio(results, "pintail", "floor", "cpu"))
            target("first merge / append, at most 1.30", ratio(results, "pintail, merge", "pintail"))
            overlap = statistics.median(run.wall / run.cpu for run in results["pintail"])
            target("wall / cpu, at most 0.65", overlap)


def parquet(runs):
    for resource in ("interactions", "views"):
        with Api(rows=100_000) as api:
            print(f"parquet: 100,000 {resource} into Parquet")
            target("wall / floor, at most 1.00", ratio(against_floor(api, resource, "parquet", runs), "pintail", "floor"))


def million(runs):
    peaks = []
    for rows in (100_000, 1_000_000):
        with Api(rows=rows) as api:
            print(f"million: {rows:,} interactions into DuckDB")
            results = against_floor(api, "interactions", "duckdb", runs if rows > 100_000 else 1)
            peaks.append(statistics.median(run.peak for run in results["pintail"]))
    target("wall / floor, at most 0.75", ratio(results, "pintail", "floor"))
    target("cpu / floor, at most 1.30", ratio(results, "pintail", "floor", "cpu"))
    target("peak memory, at most 200 MB", peaks[1], " MB")
    target("peak memory / that of 100,000 rows, at most 1.10", peaks[1] / peaks[0])


def upsert(runs):
    """10,000 changed interactions into a million, beside DuckDB's own deletion and insertion from Parquet files."""
    changed = f"'{WORK}/changed"
    tables = [("interactions", "_pintail_id"), ("interactions__responses", "_pintail_root_id")]
    with Api(rows=1_000_000) as api:
        stored = fresh("stored")
        measure(pintail(pipeline(api, "changed", {"interactions": CHANGED}), stored), WORK / "log")
    with Api(rows=1_000_000, revised=10_000) as api:
        path = pipeline(api, "changed", {"interactions": CHANGED})

        def copied(name):
            shutil.rmtree(WORK / "out" / name, ignore_errors=True)
            shutil.copytree(stored, WORK / "out" / name)

        copied("pintail")
        measure(pintail(path, WORK / "out/pintail"), WORK / "log")
        newest = "_pintail_load_id = (SELECT max(_pintail_load_id) FROM bench.interactions)"
        export = [f"COPY (FROM bench.{t} WHERE {newest}) TO {changed}-{t}.parquet'" for t, _ in tables]
        delete = [
            f"DELETE FROM bench.{t} WHERE {key} IN (SELECT _pintail_id FROM {changed}-interactions.parquet')"
            for t, key in tables
        ]
        insert = [f"INSERT INTO bench.{t} FROM {changed}-{t}.parquet'" for t, _ in tables]
        sql(WORK / "out/pintail", export)
        duckdb = [PYTHON, HERE / "sql.py", WORK / "out/duckdb/out.duckdb", "BEGIN", *delete, *insert, "COMMIT"]
        print("upsert: 10,000 changed interactions into 1,000,000")
        contenders = [
            Contender("pintail", pintail(path, WORK / "out/pintail"), lambda: copied("pintail")),
            Contender("duckdb from parquet", duckdb, lambda: copied("duckdb")),
        ]
        results = in_turn(contenders, runs)
        count = ["SELECT count(*), count_if(title LIKE '%revised') FROM bench.interactions"]
        if sql(WORK / "out/pintail", count) != sql(WORK / "out/duckdb", count):
            sys.exit("the two upserts did not come to the same")
        target("wall / DuckDB's own, at most 1.50", ratio(results, "pintail", "duckdb from parquet"))
        target("cpu / DuckDB's own", ratio(results, "pintail", "duckdb from parquet", "cpu"))


def sql(folder, statements):
    return subprocess.check_output([PYTHON, HERE / "sql.py", folder / "out.duckdb", *statements])


def idle(runs):
    with Api(rows=10_000) as api:
        print("idle: ten resources with nothing new")
        path = pipeline(api, "idle", {f"views_{n}": f'path = "views"\n{CHANGED}' for n in range(10)})
        folder = fresh("idle")
        measure(pintail(path, folder), WORK / "log")
        waits = []
        look = lambda run: waits.append(1000 * (run.ended - api.ask("/stats")["answered_at"]))
        in_turn([Contender("pintail", pintail(path, folder), look=look)], runs)
        target("after the last answer, at most 100 ms", statistics.median(waits[1:]), " ms")


def start(runs):
    print("start: pintail --version")
    results = in_turn([Contender("pintail --version", [PINTAIL, "--version"])], 4 * runs)
    target("at most 20 ms", 1000 * statistics.median(run.wall for run in results["pintail --version"]), " ms")


def slow(runs):
    with Api(rows=10_000, latency_ms=50) as api:
        print("slow: 10,000 interactions by 100, 50 ms an answer")
        contenders = []
        for prefetch in (1, 8):
            name = f"prefetch {prefetch}"
            keys = f'paginator = {{ type = "offset", limit = 100, prefetch = {prefetch} }}'
            path = pipeline(api, name, {"interactions": keys}, "concurrency = 8")
            looked = lambda _, name=name: check(api, "interactions", WORK / "out" / name)
            ready = lambda name=name: fresh(name)
            contenders.append(Contender(name, pintail(path, WORK / "out" / name), ready, looked))
        target("times faster, at least 6", ratio(in_turn(contenders, runs), "prefetch 1", "prefetch 8"))


def side_by_side(runs):
    with Api(rows=2_000, latency_ms=50) as api:
        print("side_by_side: ten resources of 2,000 rows by 100, 50 ms an answer, concurrency 8")
        keys = 'path = "views"\npaginator = { type = "offset", limit = 100 }'
        path = pipeline(api, "side", {f"views_{n}": keys for n in range(10)}, "concurrency = 8")
        shares = []

        def look(run):
            shares.append(api.ask("/stats")["requests"] * 0.050 / run.wall)
            api.ask("/reset")

        in_turn([Contender("pintail", pintail(path, WORK / "out/side"), lambda: fresh("side"), look)], runs)
        target("requests in flight on average, of 8", statistics.median(shares[1:]))


def fanout(runs):
    one = 'paginator = "single_page"'
    peaks = []
    for videos in (10_000, 100_000):
        with Api(rows=3 * videos, videos=videos) as api:
            print(f"fanout: {videos:,} parents with a small page each, concurrency 8")
            child = f'parent = "videos"\npath = "videos/{{{{ parent.id }}}}/interactions"\n{one}'
            path = pipeline(api, "fanout", {"videos": one, "interactions": child}, "concurrency = 8")
            looked = lambda _: check(api, "interactions", WORK / "out/fanout")
            contenders = [
                Contender("pintail", pintail(path, WORK / "out/fanout"), lambda: fresh("fanout"), looked),
                Contender("load generator", [FLOOR, "ask", api.url, "8"]),
            ]
            results = in_turn(contenders, runs if videos == 10_000 else 1)
            peaks.append(statistics.median(run.peak for run in results["pintail"]))
            target("rate / load generator's, at least 0.70", ratio(results, "load generator", "pintail"))
    target("peak memory with 100,000 parents / with 10,000", peaks[1] / peaks[0])


def dirty(runs):
    with Api(wide=20_000) as api:
        print("dirty: 20,000 rows of 200 fields by 100, clean and with new fields and conflicts")
        keys = 'paginator = { type = "offset", limit = 100 }'
        contenders = [
            Contender(
                name,
                pintail(pipeline(api, name, {name: keys}), WORK / "out" / name),
                lambda name=name: fresh(name),
            )
            for name in ("wide", "dirty")
        ]
        results = in_turn(contenders, runs)
        target("dirty / clean, at most 2.00", ratio(results, "dirty", "wide"))
        target("the same in cpu", ratio(results, "dirty", "wide", "cpu"))


CASES = [append, parquet, million, upsert, idle, start, slow, side_by_side, fanout, dirty]


def main():
    names = {case.__name__: case for case in CASES}
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(names))
    arguments.add_argument("--runs", type=int, default=5)
    chosen = arguments.parse_args()
    if unknown := set(chosen.cases) - set(names):
        arguments.error(f"no such case: {', '.join(sorted(unknown))}")
    for name in chosen.cases or names:
        names[name](chosen.runs)


if __name__ == "__main__":
    main()
