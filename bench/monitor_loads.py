"""What it costs a program to be traced: servers and clients untraced, under tracedump with each of its sensors, and under
strace, which stops at the calls that the ptrace sensor stops at."""

import pathlib
import re
import time

from harness import BINARY, FAR, NEAR, PROGRAMS
from measure import Comparison, Target, load, printed_seconds, start, tracedump

CALLS = "trace=bind,connect,listen,sendto,sendmsg,sendmmsg"


# How a command is launched: arguments to put before it.

def untraced(_lab):
    return []


def under_tracedump(sensor):
    return lambda lab: [BINARY, f"--sensor={sensor}", "-w", lab.folder / "capture.pcap", "--"]


def under_strace(_lab):
    return ["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", CALLS]


def under_tcpdump(lab):
    """Untraced, and all its packets captured by tcpdump: what it costs to be captured alone."""
    start(lab, ["tcpdump", "-i", "any", "-Z", "root", "-B", "65536", "-w", lab.folder / "capture.pcap", "tcp"],
          "listening on")
    return []


LAUNCHED = {"untraced": untraced, "bpf": under_tracedump("bpf"), "ptrace": under_tracedump("ptrace"),
            "strace": under_strace}
SERVED = {**LAUNCHED, "tcpdump": under_tcpdump}


# Servers: a command and its port; what its client achieves, in requests a second.

def redis(lab):
    return ["redis-server", "--port", "6379", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir",
            lab.folder], 6379


def redis_benchmark(lab, requests=100_000):
    text = lab.run(["redis-benchmark", "-h", NEAR, "-t", "get,set", "-c", "50", "-n", str(requests), "--csv"],
                   namespace=lab.far)
    rates = [float(rate) for rate in re.findall(r'^"(?:GET|SET)","([\d.]+)"', text, re.MULTILINE)]
    assert len(rates) == 2, text
    return sum(rates) / 2


def nginx(lab):
    (lab.folder / "www").mkdir()
    (lab.folder / "www").chmod(0o755)
    (lab.folder / "www/index.html").write_text("welcome\n" * 64)
    (lab.folder / "nginx.conf").write_text(f"""
        daemon off; master_process on; worker_processes 1; pid {lab.folder}/nginx.pid; error_log {lab.folder}/error.log;
        events {{ worker_connections 256; }}
        http {{ access_log off; keepalive_requests 10000000; server {{ listen 8080; root {lab.folder}/www; }} }}""")
    return ["nginx", "-p", lab.folder, "-c", lab.folder / "nginx.conf"], 8080


def wrk(lab):
    text = lab.run(["wrk", "-c", "50", "-t", "1", "-d", "3s", f"http://{NEAR}:8080/index.html"], namespace=lab.far)
    assert "Non-2xx" not in text and "Socket errors" not in text, text
    return float(re.search(r"Requests/sec:\s*([\d.]+)", text).group(1))


def launched_server(server, client):
    def contender(how):
        def run(lab):
            command, port = server(lab)
            start(lab, [*how(lab), *command])
            lab.await_port(port)
            return {"requests": client(lab)}
        return run
    return {name: contender(how) for name, how in SERVED.items()}


# How running processes are attached to.

def attach_tracedump(sensor):
    return lambda lab, pids: tracedump(lab, pids, [f"--sensor={sensor}"])


def attach_strace(lab, pids):
    start(lab, ["strace", "-f", "-o", "/dev/null", *[f"-p{pid}" for pid in pids]], "attached")


ATTACHED = {"untraced": lambda lab, pids: None, "bpf": attach_tracedump("bpf"), "ptrace": attach_tracedump("ptrace"),
            "strace": attach_strace, "tcpdump": lambda lab, pids: under_tcpdump(lab)}


def processes_of(server):
    """It and its workers."""
    children = [word for task in pathlib.Path(f"/proc/{server.pid}/task").iterdir()
                for word in (task / "children").read_text().split()]
    return [server.pid, *map(int, children)]


def attached_server(server, client):
    def contender(attach):
        def run(lab):
            command, port = server(lab)
            process = start(lab, command)
            lab.await_port(port)
            attach(lab, processes_of(process))
            return {"requests": client(lab)}
        return run
    return {name: contender(attach) for name, attach in ATTACHED.items()}


# Clients, timed by themselves.

def launched_client(client, count):
    def contender(how):
        def run(lab):
            lab.start([PROGRAMS / "echo_server", "7000"], namespace=lab.far)
            lab.await_port(7000, namespace=lab.far)
            lab.start([load("udp_sink"), "7001"], namespace=lab.far)
            lab.await_port(7001, "udp", lab.far)
            port = "7000" if client == "tcp_client" else "7001"
            process = start(lab, [*how(lab), load(client), FAR, port, str(count)])
            process.wait_measured(120)
            assert process.popen.returncode == 0, process.stderr()
            return {"time": printed_seconds(process.stdout())}
        return run
    return {name: contender(how) for name, how in LAUNCHED.items()}


# From the beginning of a short command to its end.

def short_command(command):
    def contender(how):
        def run(lab):
            lab.web_server(lab.far)
            began = time.monotonic()
            process = start(lab, [*how(lab), *command(lab)])
            assert process.popen.wait() == 0, process.stderr()
            return {"time": 1000 * (time.monotonic() - began)}
        return run
    return {name: contender(how) for name, how in LAUNCHED.items() if name != "strace"}


def comparisons():
    def requests(name, of="untraced"):
        return lambda medians: medians[name]["requests"] / medians[of]["requests"]

    def added(name):
        def share(medians):
            base = medians["untraced"]["time"]
            return (medians[name]["time"] - base) / (medians["strace"]["time"] - base)
        return share

    def longer(name):
        return lambda medians: medians[name]["time"] - medians["untraced"]["time"]

    rate, seconds, millis = {"requests": "/s"}, {"time": "s"}, {"time": "ms"}
    launched = [Target("bpf: requests, of those untraced", requests("bpf"), at_least=0.98),
                Target("ptrace: requests, of those untraced", requests("ptrace"), at_least=0.98),
                Target("bpf: requests, of those that tcpdump captures", requests("bpf", "tcpdump"), at_least=1.0)]
    attached = [Target("bpf: requests, of those untraced", requests("bpf"), at_least=0.97),
                Target("bpf: requests, of those that tcpdump captures", requests("bpf", "tcpdump"), at_least=1.0),
                Target("ptrace: requests, of those under strace -p", requests("ptrace", "strace"), at_least=1.0)]
    client = [Target("bpf: time added, of what strace adds", added("bpf"), at_most=0.1),
              Target("ptrace: time added, of what strace adds", added("ptrace"), at_most=0.6)]
    short = [Target(f"{name}: added, ms", longer(name), at_most=50) for name in ("bpf", "ptrace")]
    return [
        Comparison("redis", "redis-server launched; redis-benchmark -t get,set -c 50 from another namespace.",
                   launched_server(redis, redis_benchmark), rate, launched),
        Comparison("nginx", "nginx launched; wrk -c 50, keep-alive, from another namespace.",
                   launched_server(nginx, wrk), rate, launched),
        Comparison("redis-attached", "redis-server attached while it runs; the same load. strace -p stops at every call.",
                   attached_server(redis, lambda lab: redis_benchmark(lab, 40_000)), rate, attached),
        Comparison("nginx-attached", "nginx, both processes, attached while it runs; the same load.",
                   attached_server(nginx, wrk), rate, attached),
        Comparison("tcp-connects", "5,000 TCP connect and close by a launched client.",
                   launched_client("tcp_client", 5_000), seconds, client),
        Comparison("udp-sockets", "20,000 UDP socket, sendto and close by a launched client.",
                   launched_client("udp_client", 20_000), seconds, client),
        Comparison("true", "Beginning and end: the command does nothing.",
                   short_command(lambda lab: ["true"]), millis, short, rounds=15),
        Comparison("curl", "Beginning and end: curl fetches a page from another namespace.",
                   short_command(lambda lab: ["curl", "-sS", "-o", "/dev/null", f"http://{FAR}:8080/hello"]), millis,
                   short, rounds=15)]
