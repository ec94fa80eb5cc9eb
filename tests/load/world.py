"""What is measured and against what: a mock upstream, nginx as the reference, and Turnpike's planes with a virtual key.

Processes start pinned: gateways to one core, everything else to the other. What starts here ends in `stop`.
"""
import http.client, json, os, secrets, shutil, signal, socket, subprocess, time, urllib.parse

MODEL = "gpt-4o-mini"
QUIET_MODEL = "quiet"
CLIENT_KEY_OF_NGINX = "sk-bench-client"


class Broken(Exception):
    """Something did not start or answer; the message says what to look at."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def call(url, method="GET", body=None, headers=None, timeout=10):
    """One HTTP call on a connection of its own: status and text."""
    u = urllib.parse.urlparse(url)
    c = http.client.HTTPConnection(u.hostname, u.port, timeout=timeout)
    try:
        text = None if body is None else json.dumps(body)
        c.request(method, u.path + (f"?{u.query}" if u.query else ""), text,
                  {"Content-Type": "application/json", **(headers or {})})
        r = c.getresponse()
        return r.status, r.read().decode("utf-8", "replace")
    finally:
        c.close()


def await_true(what, within, probe, process=None, pause=0.02):
    """Looks at `probe` until it holds. A process that has ended, or the deadline, is an error."""
    end, last = time.monotonic() + within, ""
    while time.monotonic() < end:
        if process and process.poll() is not None:
            raise Broken(f"{what}: the process ended with {process.returncode}; its log is {process.log_path}")
        try:
            if probe():
                return
        except OSError as e:
            last = f" ({e})"
        time.sleep(pause)
    raise Broken(f"{what}: not within {within} s{last}")


class World:
    def __init__(self, work, binaries, gw_cpu, load_cpu, database_url):
        self.work, self.binaries = os.path.abspath(work), binaries
        self.gw_cpu, self.load_cpu, self.database_url = gw_cpu, load_cpu, database_url
        self.started = []
        shutil.rmtree(self.work, ignore_errors=True)
        os.makedirs(self.work)

    def start(self, name, cpu, argv, env=None):
        log_path = os.path.join(self.work, f"{name}.log")
        base = {k: os.environ[k] for k in ("PATH", "HOME", "TMPDIR", "LANG") if k in os.environ}
        with open(log_path, "wb") as log:
            p = subprocess.Popen(["taskset", "-c", cpu, *argv], stdout=log, stderr=subprocess.STDOUT, cwd=self.work,
                                 env={**base, **(env or {})}, start_new_session=True)
        p.name, p.log_path, p.environment = name, log_path, env
        self.started.append(p)
        return p

    def stop(self):
        for p in reversed(self.started):
            if p.poll() is None:
                p.send_signal(signal.SIGCONT)
                p.terminate()
        for p in reversed(self.started):
            try:
                p.wait(15)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()

    def mock(self, program):
        port = free_port()
        p = self.start("mock", self.load_cpu, [program, f"127.0.0.1:{port}"])
        self.mock_addr = f"127.0.0.1:{port}"
        await_true("the mock upstream answers", 10, lambda: call(f"http://{self.mock_addr}/v1/models")[0] == 200, p)
        return p

    def nginx(self, text):
        """`text` is the configuration in bench's targets file, for port 9201."""
        folder, port = os.path.join(self.work, "nginx"), free_port()
        os.makedirs(folder)
        text = text.replace("${WORK}", folder).replace("${MOCK_ADDR}", self.mock_addr)
        with open(os.path.join(folder, "nginx.conf"), "w") as f:
            f.write(text.replace("127.0.0.1:9201", f"127.0.0.1:{port}"))
        p = self.start("nginx", self.gw_cpu, ["nginx", "-p", folder, "-c", os.path.join(folder, "nginx.conf")])
        key = {"Authorization": f"Bearer {CLIENT_KEY_OF_NGINX}"}
        await_true("nginx answers", 10, lambda: call(f"http://127.0.0.1:{port}/v1/models", headers=key)[0] == 200, p)
        return p, f"http://127.0.0.1:{port}/v1", key

    def control_plane(self, quiet_base):
        deployment = lambda name, base: {
            "model_name": name,
            "litellm_params": {"model": f"openai/{MODEL}", "api_base": base, "api_key": "sk-upstream",
                               "input_cost_per_token": 1.5e-7, "output_cost_per_token": 6e-7}}
        config = {"model_list": [deployment(MODEL, f"http://{self.mock_addr}/v1"), deployment(QUIET_MODEL, quiet_base)]}
        path = os.path.join(self.work, "config.yaml")
        with open(path, "w") as f:  # JSON is YAML too
            json.dump(config, f, indent=1)
        self.tls, self.grpc_port, admin_port = os.path.join(self.work, "tls"), free_port(), free_port()
        program, master = os.path.join(self.binaries, "turnpike-control-plane"), "sk-" + secrets.token_hex(16)
        subprocess.run([program, "init", "--out", self.tls, "--host", "127.0.0.1"], check=True, capture_output=True)
        p = self.start("control-plane", self.load_cpu,
                       [program, "--config", path, "--database-url", self.database_url, "--host", "127.0.0.1",
                        "--admin-port", str(admin_port), "--grpc-port", str(self.grpc_port), "--tls-dir", self.tls],
                       {"LITELLM_MASTER_KEY": master, "TURNPIKE_VAULT_KEY": secrets.token_hex(16), "RUST_LOG": "warn"})
        self.admin = f"http://127.0.0.1:{admin_port}"
        await_true("the control plane is ready", 60, lambda: call(self.admin + "/health/readiness")[0] == 200, p)
        self.master = master
        self.key = self.new("/key/generate", {})["key"]
        return p

    def new(self, path, wishes):
        """Makes something at the admin API, and waits until data planes have it."""
        status, text = call(f"{self.admin}{path}?wait=applied", "POST", wishes, {"Authorization": f"Bearer {self.master}"})
        if status != 200:
            raise Broken(f"{path}: {status} {text}")
        return json.loads(text)

    def key_with_limits(self):
        """A key that has all kinds of limits, and budgets, as has its team; none is ever reached."""
        many, much = 10**9, 10**6
        limits = {"rpm_limit": many, "tpm_limit": many, "max_parallel_requests": many, "max_budget": much}
        self.new("/team/new", {"team_id": "load", **limits})
        return {"Authorization": "Bearer " + self.new("/key/generate", {"team_id": "load", **limits})["key"]}

    def redis(self):
        """A Redis on the load's core. It is made to believe that it has counted for long."""
        port = free_port()
        p = self.start("redis", self.load_cpu, ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                                                "--appendonly", "no", "--dir", self.work])
        p.port = port
        await_true("Redis answers", 10, lambda: self.ask_redis(p, "PING").startswith("+PONG"), p)
        self.ask_redis(p, "SET {tp}:since 1")
        return p

    def ask_redis(self, redis, command):
        with socket.create_connection(("127.0.0.1", redis.port), 5) as s:
            s.sendall(f"{command}\r\n".encode())
            return s.recv(1 << 20).decode()

    def data_plane(self, name, cpu, threads=None, redis=None):
        """A data plane and how to call it: process, base, headers, address of its metrics, seconds until it was ready."""
        port, metrics = free_port(), free_port()
        env = {"TURNPIKE_METRICS_PORT": str(metrics), "TURNPIKE_LINGER_SECONDS": "0", "TURNPIKE_SPOOL_MAX_MB": "16384",
               "RUST_LOG": "warn"}
        if threads:
            env["TURNPIKE_THREADS"] = str(threads)
        if redis:
            env["REDIS_URL"] = f"redis://127.0.0.1:{redis.port}"
        began = time.monotonic()
        p = self.start(name, cpu, [os.path.join(self.binaries, "turnpike-data-plane"), "--control-plane",
                                   f"https://127.0.0.1:{self.grpc_port}", "--join-token-file",
                                   os.path.join(self.tls, "join-token"), "--host", "127.0.0.1", "--port", str(port),
                                   "--state-dir", os.path.join(self.work, f"state-{name}")], env)
        base = f"http://127.0.0.1:{port}"
        await_true(f"{name} is ready", 60, lambda: call(base + "/health/readiness")[0] == 200, p)
        p.ready_after = time.monotonic() - began
        return p, base + "/v1", {"Authorization": f"Bearer {self.key}"}, f"http://127.0.0.1:{metrics}/metrics"


def counter(metrics, name):
    """The value of one line of a Prometheus page."""
    for line in call(metrics)[1].splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    raise Broken(f"no `{name}` at {metrics}")
