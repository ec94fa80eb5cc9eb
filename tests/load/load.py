#!/usr/bin/env python3
"""Measures a release build of Turnpike beside nginx, on one core each, in interleaved windows, and prints one table.

`make load` builds what is needed and starts this beside a private Postgres. The windows are those of the bench that
TURNPIKE_BENCH names (wrk and oha, pinned; a window that other processes disturbed is repeated).
"""
import argparse, importlib.util, json, os, resource, shutil, signal, socket, statistics, subprocess, sys, time, urllib.parse

import planes
from quiet import Upstream
from world import MODEL, QUIET_MODEL, Broken, World, await_true, call, counter

# name: (what it is, key of the window's result, how it is compared, promise)
ROWS = [
    ("plain_c64", "CPU of a plain call, 64 connections, µs", "cpu_us_per_req", "x nginx", 2.0),
    ("plain_c64", "calls/s on one core, 64 connections", "rps", "x nginx at least", 0.5),
    ("limits_c64", "CPU of a call whose key and team have all limits and budgets, to one without, µs", "cpu_us_per_req",
     "x plain", 1.1),
    ("plain_c256", "calls/s at 256 connections, to those at 16", "rps", "x c16 at least", 0.97),
    ("open", "p50 added at 1,000 calls/s, ms", "p50_us", "over direct", 0.25),
    ("open", "p99 added at 1,000 calls/s, ms", "p99_us", "over direct", 0.5),
    ("stream", "CPU of a stream's chunk, µs", "cpu_us_per_chunk", "x nginx", 2.0),
    ("paced", "added until the first byte, 64 paced streams, p50 ms", "ttfb_p50_us", "over direct", 0.5),
    ("prose", "CPU of 256 KiB of prose, µs", "cpu_us_per_req", "x nginx", 2.0),
    ("code", "CPU of 256 KiB of escaped code, µs", "cpu_us_per_req", "x nginx", 2.0),
]
LINE_OF_CODE = '    if (names[i] != null && !"".equals(name)) {\n\t\treturn "\\"" + names[i] + "\\"";\n    }\n'


def the_bench(folder):
    spec = importlib.util.spec_from_file_location("bench", os.path.join(folder, "bench.py"))
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    return bench


def new_database(url):
    """An empty one beside the one that `with_postgres` has migrated already."""
    name = f"load_{os.getpid()}"
    psql = shutil.which("psql") or os.path.join(os.environ.get("PG_BINDIR", ""), "psql")
    subprocess.run([psql, url, "--no-psqlrc", "--quiet", "--command", f"create database {name}"], check=True)
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(path=f"/{name}"))


def processes_of_postgres():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm") as f:
                if f.read().strip() == "postgres":
                    found.append(int(pid))
        except OSError:
            pass
    return found


class Scenario:
    def __init__(self, bench, args, world):
        self.bench, self.args, self.world = bench, args, world
        self.results = {}  # (row, target) -> [result of a round]
        self.lines = []    # (what, turnpike, reference, comparison, promise, holds)

    def begin(self):
        w, a = self.world, self.args
        self.upstream = Upstream()
        mock = w.mock(a.mock)
        with open(os.path.join(a.bench, "targets.json")) as f:
            nginx = next(t for t in json.load(f)["targets"] if t["name"] == "nginx")
        nginx_process, nginx_url, nginx_key = w.nginx("\n".join(nginx["files"]["nginx.conf"]))
        self.control = w.control_plane(self.upstream.base)
        self.data, url, key, self.metrics = w.data_plane("data-plane", a.gw_cpu)
        # The bench counts these as ours: what they do is part of the scenario, not somebody else's disturbance.
        a.mock_pids = [mock.pid, self.control.pid, *processes_of_postgres()]
        target = lambda name, url, key, pid: self.bench.Run(
            a, {"name": name, "url": url, "model": MODEL, "pid": pid, "headers": [f"{k}: {v}" for k, v in key.items()]},
            0, dict(os.environ))
        self.targets = {"direct": target("direct", f"http://{w.mock_addr}/v1", {}, None),
                        "nginx": target("nginx", nginx_url, nginx_key, nginx_process.pid),
                        "turnpike": target("turnpike", url, key, self.data.pid)}
        self.url, self.key = url, key
        self.limits = w.key_with_limits()
        self.targets["limits"] = target("limits", url, self.limits, self.data.pid)

    def idle(self):
        time.sleep(2)
        rss = self.bench.mem_kb([self.data.pid], "VmRSS") / 1024
        self.add("memory of an idle data plane, MiB", rss, None, "at most", 30)
        self.add("start until ready, control plane there, s", self.data.ready_after, None, "", None)

    def verify(self):
        """Nobody is fast by doing less: usage, all chunks, and a wrong key refused."""
        for name in ("nginx", "turnpike"):
            run = self.targets[name]
            st, text = self.bench.post(run.url, run.headers, self.bench.body_for(run.t))
            wrong = self.bench.post(run.url, {"Authorization": "Bearer sk-wrong"}, self.bench.body_for(run.t))[0]
            if st != 200 or '"usage"' not in text or wrong != 401:
                raise Broken(f"{name}: status {st}, wrong key {wrong}: {text[:300]}")
            st, text = self.bench.post(run.url, run.headers, self.bench.body_for(run.t, stream=True, chunks=50))
            if st != 200 or text.count('"content":') < 50 or "[DONE]" not in text:
                raise Broken(f"{name}: a stream of 50 chunks came as {st}: {text[-300:]}")

    def rounds(self):
        b, a = self.bench, self.args
        code = LINE_OF_CODE * ((256 << 10) // len(json.dumps(LINE_OF_CODE)))
        call_of = lambda run: json.loads(b.body_for(run.t))
        for run in self.targets.values():
            run.files = {
                "plain": run.body_file("plain"), "stream": run.body_file("stream", stream=True, chunks=50),
                "paced": run.body_file("paced", stream=True, chunks=50, gap_ms=10),
                "prose": run.body_file("prose", big_kb=256)}
            body = call_of(run)
            body["messages"][-1]["content"] += code
            run.files["code"] = os.path.join(run.dir, "code.json")
            with open(run.files["code"], "w") as f:
                json.dump(body, f)
        wrk = lambda conns, file: lambda run: run.wrk(conns, a.duration, run.files[file])
        oha = lambda conns, file, rate: lambda run: run.oha(conns, a.duration + 1, run.files[file], rate)
        windows = [("plain_c16", wrk(16, "plain")), ("plain_c64", wrk(64, "plain")), ("limits_c64", wrk(64, "plain")),
                   ("plain_c256", wrk(256, "plain")),
                   ("open", oha(64, "plain", 1000)), ("stream", wrk(64, "stream")), ("paced", oha(64, "paced", None)),
                   ("prose", wrk(16, "prose")), ("code", wrk(16, "code"))]
        for name in ("nginx", "turnpike"):
            self.targets[name].wrk(16, a.warmup, self.targets[name].files["plain"])
        for number in range(1, a.rounds + 1):
            for window, measure in windows:
                if a.only and window not in a.only.split(","):
                    continue
                for name, run in self.targets.items():
                    if (name == "limits") != (window == "limits_c64"):
                        continue
                    run.rnd = number
                    result = self.window(name, run, measure)
                    if result.get("cpu_us_per_req"):
                        result["cpu_us_per_chunk"] = result["cpu_us_per_req"] / 50
                    run.emit(window, **result)
                    if result.get("failed") or result.get("errors"):
                        print(f"{name} {window}: {result.get('failed') or result}", file=sys.stderr)
                    self.results.setdefault((window, name), []).append(result)
        for window, what, key, how, promise in ROWS:
            self.compare(window, what, key, how, promise)

    def window(self, name, run, measure):
        frozen = name in ("turnpike", "limits") and self.args.intake == "frozen"
        if frozen:
            self.control.send_signal(signal.SIGSTOP)
        try:
            return measure(run)
        finally:
            if frozen:
                self.control.send_signal(signal.SIGCONT)
            if name in ("turnpike", "limits"):
                # What this window left in the spool must not be delivered in somebody else's.
                await_true("the spool is delivered", 600, lambda: counter(self.metrics, "turnpike_spool_events") == 0)

    def series(self, window, name, key):
        return [r.get(key) for r in self.results.get((window, name), [])]

    def compare(self, window, what, key, how, promise):
        """Medians of the rounds; ratios and differences are taken within a round."""
        ours = self.series(window, "limits" if window == "limits_c64" else "turnpike", key)
        other = {"over direct": (window, "direct"), "x c16 at least": ("plain_c16", "turnpike"),
                 "x plain": ("plain_c64", "turnpike")}
        reference = self.series(*other.get(how, (window, "nginx")), key)
        pairs = [(x, y) for x, y in zip(ours, reference) if x is not None and y]
        if not pairs:
            return
        if how == "over direct":
            # What nginx adds says what this machine does to anybody.
            added = lambda side: statistics.median((x - y) / 1000 for x, y in zip(side, reference) if x and y)
            self.add(what, added(ours), added(self.series(window, "nginx", key)), "at most", promise)
            return
        ratio = statistics.median(x / y for x, y in pairs)
        middle = [statistics.median(side) for side in zip(*pairs)]
        self.lines.append((what, middle[0], middle[1], ratio, how, promise,
                           ratio >= promise if how.endswith("at least") else ratio <= promise))

    def add(self, what, value, reference, how, promise):
        holds = None if promise is None else value >= promise if how == "at least" else value <= promise
        self.lines.append((what, value, reference, None, how, promise, holds))

    def quiet(self):
        """One call a second over all threads: each on a connection of its own, so that the kernel spreads them."""
        _, url, key, _ = self.world.data_plane("quiet", f"{self.args.gw_cpu},{self.args.load_cpu}", threads=4)
        body = {"model": QUIET_MODEL, "messages": [{"role": "user", "content": "Anybody there?"}]}
        for second in range(self.args.quiet):
            began = time.monotonic()
            status, text = call(url + "/chat/completions", "POST", body, key)
            if status != 200:
                raise Broken(f"the quiet gateway answered {status}: {text[:300]}")
            time.sleep(max(0.0, began + 1 - time.monotonic()))
        reused = 1 - self.upstream.connections / max(1, self.upstream.calls)
        self.add(f"upstream connections reused, 1 call/s for {self.args.quiet} s on 4 threads", reused, None, "at least", 0.9)

    def redis(self):
        """The same call through a data plane that shares its limits: CPU, and how often Redis is asked."""
        redis = self.world.redis()
        self.args.mock_pids.append(redis.pid)
        data, url, _, metrics = self.world.data_plane("sharing", self.args.gw_cpu, redis=redis)
        await_true("limits are shared", 10, lambda: counter(metrics, "turnpike_redis_connected") == 1, data)
        run = self.bench.Run(self.args, {"name": "redis", "url": url, "model": MODEL, "pid": data.pid,
                                         "headers": [f"{k}: {v}" for k, v in self.limits.items()]}, 0, dict(os.environ))
        file = run.body_file("plain")
        run.wrk(16, self.args.warmup, file)
        scripts = lambda: float(self.world.ask_redis(redis, "INFO commandstats").split("cmdstat_evalsha:calls=")[1].split(",")[0])
        results = []
        for _ in range(self.args.rounds):
            before = scripts()
            result = run.wrk(64, self.args.duration, file)
            result["scripts"] = (scripts() - before) / result["requests"]
            run.emit("redis_c64", **result)
            results.append(result)
        middle = lambda key: statistics.median(result[key] for result in results)
        plain = [x for x in self.series("plain_c64", "turnpike", "cpu_us_per_req") if x]
        self.lines.append(("CPU of such a call where limits are shared through Redis, to one without limits, µs",
                           middle("cpu_us_per_req"), statistics.median(plain) if plain else None,
                           middle("cpu_us_per_req") / statistics.median(plain) if plain else None, "", None, None))
        self.add("scripts that Redis runs for a call, what was used told with it", middle("scripts"), None, "at most", 2)
        failed = counter(metrics, "turnpike_redis_failures_total")
        self.add("calls that Redis did not answer within 20 ms, of a thousand",
                 1000 * failed / sum(result["requests"] for result in results), None, "", None)
        data.terminate()
        data.wait()

    def crowd(self):
        """Idle connections of clients that have called once."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        count = min(self.args.connections, soft - 200)
        if count < self.args.connections:
            print(f"only {count} connections: the limit of open files is {soft} (ulimit -n)", file=sys.stderr)
        data, url, key, _ = self.world.data_plane("crowd", self.args.gw_cpu)
        port = int(url.rsplit(":", 1)[1].split("/")[0])
        before = self.bench.mem_kb([data.pid], "VmRSS") / 1024
        sockets = []
        ask = f"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: {key['Authorization']}\r\n\r\n".encode()
        for _ in range(count):
            s = socket.create_connection(("127.0.0.1", port))
            s.sendall(ask)
            if not s.recv(4096).startswith(b"HTTP/1.1 200"):
                raise Broken("an idle connection was not answered")
            sockets.append(s)
        grown = self.bench.mem_kb([data.pid], "VmRSS") / 1024 - before
        self.add(f"memory for {count} idle connections, MiB", grown, None, "at most", 400)
        for s in sockets:
            s.close()

    def soak(self):
        """An hour or so at full load: memory in the last quarter against the second one."""
        run, seen, end = self.targets["turnpike"], [], time.monotonic() + self.args.soak
        while time.monotonic() < end:
            result = run.wrk(64, 20, run.files["plain"])
            run.emit("soak", **result)
            seen.append(result["rss_mb"])
        quarter = max(1, len(seen) // 4)
        grown = statistics.median(seen[-quarter:]) - statistics.median(seen[quarter:2 * quarter] or seen)
        self.add(f"memory grown over {self.args.soak} s at full load, MiB", grown, None, "at most", 5)

    def planes(self):
        """Last, because it takes the pins off and lets the data plane start anew."""
        run = self.targets["turnpike"]
        run.files = {"plain": run.body_file("plain"), **getattr(run, "files", {})}
        planes.on_all_cores([self.control.pid, *processes_of_postgres()])
        planes.intake(self, self.args.duration * 4)
        planes.keys(self, self.args.keys)
        planes.restart(self, self.args.keys)
        if self.args.listed:
            planes.lists(self, self.args.listed)

    def table(self):
        number = lambda x: "" if x is None else f"{x:,.0f}" if abs(x) >= 100 else f"{x:.3g}"
        print("\n| what | Turnpike | nginx or other | ratio | promise | holds |\n|---|---|---|---|---|---|")
        for what, ours, other, ratio, how, promise, holds in self.lines:
            said = "" if promise is None else f"{how} {promise:g}"
            verdict = {None: "", True: "yes", False: "**no**"}[holds]
            print(f"| {what} | {number(ours)} | {number(other)} | {number(ratio)} | {said} | {verdict} |")
        stolen = [f"{w} {n}" for (w, n), rs in self.results.items() if any(r.get("steal_pct", 0) > 2 for r in rs)]
        if stolen:
            print(f"\nThe host took more than 2 % of the processors' time, which shows in what is waited for: {', '.join(sorted(stolen))}")
        disturbed = [f"{w} {n}" for (w, n), rs in self.results.items()
                     if any(r.get("foreign_cores", 0) > self.args.max_foreign for r in rs)]
        if disturbed:
            print(f"\nOther processes ran meanwhile, so these are no figures to publish: {', '.join(sorted(disturbed))}")


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--bench", required=True, help="folder of the bench")
    ap.add_argument("--mock", required=True, help="the bench's mock, built")
    ap.add_argument("--binaries", required=True, help="folder of the release build")
    ap.add_argument("--oha", required=True)
    ap.add_argument("--work", required=True, help="scratch folder; emptied")
    ap.add_argument("--gw-cpu", default="0", dest="gw_cpu")
    ap.add_argument("--load-cpu", default="1", dest="load_cpu")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--duration", type=int, default=5, help="seconds of a window")
    ap.add_argument("--warmup", type=int, default=2)
    ap.add_argument("--only", help="windows, by comma: plain_c16, plain_c64, limits_c64, plain_c256, open, stream, paced, prose, code")
    ap.add_argument("--intake", choices=("live", "frozen"), default="live",
                    help="frozen: the control plane stands still within a window, so that it takes nothing of the load's core")
    ap.add_argument("--quiet", type=int, default=60, help="seconds of the quiet gateway; 0 leaves it out")
    ap.add_argument("--redis", type=int, default=1, help="0 leaves out the data plane that shares its limits")
    ap.add_argument("--connections", type=int, default=10000, help="idle connections; 0 leaves them out")
    ap.add_argument("--keys", type=int, default=10000, help="keys made at the end, and found in the disk copy; 0 leaves it out")
    ap.add_argument("--listed", type=int, default=1_000_000, help="keys that are there when lists are asked for")
    ap.add_argument("--soak", type=int, default=0, help="seconds at full load, such as 3600")
    ap.add_argument("--max-foreign", type=float, default=0.05)
    ap.add_argument("--retries", type=int, default=2)
    a = ap.parse_args()
    a.load_cpus, a.gw_cpus, a.mock_pids = a.load_cpu, a.gw_cpu, []
    a.out = os.path.join(os.path.abspath(a.work), "results.jsonl")
    return a


def main():
    args = arguments()
    if "DATABASE_URL" not in os.environ:
        sys.exit("load.py needs DATABASE_URL: `make load` starts it beside a private Postgres.")
    # So that a run that is stopped still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    world = World(args.work, args.binaries, args.gw_cpu, args.load_cpu, new_database(os.environ["DATABASE_URL"]))
    scenario = Scenario(the_bench(args.bench), args, world)
    try:
        scenario.begin()
        scenario.verify()
        scenario.idle()
        scenario.rounds()
        if args.quiet:
            scenario.quiet()
        if args.redis:
            scenario.redis()
        if args.connections:
            scenario.crowd()
        if args.soak:
            scenario.soak()
        if args.keys:
            scenario.planes()
        scenario.table()
        print(f"\nEvery window: {args.out}")
    except Broken as e:
        sys.exit(f"{e}\nLogs: {world.work}")
    finally:
        world.stop()


if __name__ == "__main__":
    main()
