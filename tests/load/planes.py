"""The side of the control plane: keys made, usage taken in, and a data plane that starts from its disk copy.

Here the control plane and Postgres have both cores, and nothing else runs on them.
"""
import json, os, shutil, signal, statistics, subprocess, time

from world import MODEL, Broken, await_true, call, counter

CLIENTS = 16


def on_all_cores(pids):
    """Takes the pins off processes and all of their threads; those they start inherit it."""
    cores = set(range(os.cpu_count()))
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), cores)


def syncs_per_second(folder):
    """How often this disk takes a small write for good, one after another."""
    path, seen = os.path.join(folder, "syncs"), []
    with open(path, "wb", buffering=0) as f:
        for _ in range(5):
            began = time.monotonic()
            for _ in range(40):
                f.write(b"x" * 8192)
                os.fdatasync(f.fileno())
            seen.append(40 / (time.monotonic() - began))
    os.remove(path)
    return statistics.median(seen)


def keys(scenario, count):
    """`count` keys by 16 clients, each waiting for its answer: what the API does of them, and what the disk would."""
    world, disk = scenario.world, syncs_per_second(scenario.world.work)
    made = subprocess.run(
        [scenario.args.oha, "--no-tui", "--output-format", "json", "-n", str(count), "-c", str(CLIENTS), "-t", "30s",
         "-m", "POST", "-T", "application/json", "-d", "{}", "-H", f"Authorization: Bearer {world.master}",
         world.admin + "/key/generate?wait=none"], capture_output=True, text=True)
    said = json.loads(made.stdout)
    well = said["statusCodeDistribution"].get("200", 0)
    if well != count:
        raise Broken(f"/key/generate: {well} of {count} answered 200: {said['statusCodeDistribution']} {made.stderr[-300:]}")
    scenario.add(f"/key/generate per second, {CLIENTS} clients (disk: {disk:,.0f} syncs/s)",
                 said["summary"]["requestsPerSec"], None, "at least", round(min(200, 0.8 * disk)))
    scenario.add("/key/generate, p99 ms", said["latencyPercentiles"]["p99"] * 1000, None, "", None)
    status, text = call(world.admin + "/key/generate?wait=applied", "POST", {}, {"Authorization": f"Bearer {world.master}"})
    if status != 200:
        raise Broken(f"/key/generate?wait=applied: {status} {text[:300]}")


def lists(scenario, count):
    """The first page of lists when there are `count` keys. They are put in by SQL; data planes are not told."""
    world = scenario.world
    psql = shutil.which("psql") or os.path.join(os.environ.get("PG_BINDIR", ""), "psql")
    put = f"""insert into keys (hash, masked, alias, user_id, metadata)
              select sha256(convert_to('sk-listed-' || n, 'UTF8')), 'sk-...' || right('000' || n, 4), 'listed-' || n, 'user-' || n / 3, '{{}}'
              from generate_series(1, {count}) n; analyze keys"""
    subprocess.run([psql, world.database_url, "--no-psqlrc", "--quiet", "--command", put], check=True)
    for what, query in (("/key/list, first page", ""), ("/key/list of a user", "&user_id=user-7"),
                        ("/key/list, sorted by spend", "&sort_by=spend&sort_order=desc")):
        took = []
        for _ in range(20):
            began = time.monotonic()
            status, text = call(f"{world.admin}/key/list?size=50{query}&return_full_object=true",
                                headers={"Authorization": f"Bearer {world.master}"})
            took.append((time.monotonic() - began) * 1000)
            if status != 200:
                raise Broken(f"{what}: {status} {text[:300]}")
        scenario.add(f"{what}, {count:,} keys, p50 ms", statistics.median(took), None, "at most", 50)


def intake(scenario, seconds):
    """Usage that gathered while the control plane stood still, from its first moment until the last is acknowledged."""
    run, control = scenario.targets["turnpike"], scenario.control
    control.send_signal(signal.SIGSTOP)
    try:
        events = run.wrk(64, seconds, run.files["plain"])["requests"]
    finally:
        control.send_signal(signal.SIGCONT)
    began = time.monotonic()
    await_true("the spool is delivered", 600, lambda: counter(scenario.metrics, "turnpike_spool_bytes") == 0)
    scenario.add(f"spend events taken in per second, of {events:,}", events / (time.monotonic() - began), None,
                 "at least", 5000)


def restart(scenario, keys_known):
    """Killed, and started again with no control plane: from the first instruction to the first answered call."""
    world, data = scenario.world, scenario.data
    data.kill()
    data.wait()
    scenario.control.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        data = world.start("data-plane-again", scenario.args.gw_cpu, data.args[3:], data.environment)
        body = {"model": MODEL, "messages": [{"role": "user", "content": "Anybody there?"}]}

        def is_served():
            return call(scenario.url + "/chat/completions", "POST", body, scenario.key)[0] == 200
        await_true("the data plane serves from its copy", 30, is_served, data, pause=0.002)
        scenario.add(f"start to the first answer from the disk copy of {keys_known:,} keys, s",
                     time.monotonic() - began, None, "at most", 0.2)
        scenario.data = data
    finally:
        scenario.control.send_signal(signal.SIGCONT)
