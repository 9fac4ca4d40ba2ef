"""What the monitor costs the traced program: servers and clients untraced, under tracedump, and under strace that stops
at the same calls."""

import re

from harness import FAR, NEAR, PROGRAMS, TRACEDUMP
from measure import Comparison, Target, load, printed_seconds, start, tracedump

CALLS = "trace=bind,connect,listen,sendto,sendmsg,sendmmsg"


# How a command is launched: arguments to put before it.

def untraced(_lab):
    return []


def under_tracedump(lab):
    return [TRACEDUMP, "-w", lab.folder / "capture.pcap", "--"]


def under_strace(_lab):
    return ["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", CALLS]


LAUNCHED = {"untraced": untraced, "tracedump": under_tracedump, "strace": under_strace}


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
    return {name: contender(how) for name, how in LAUNCHED.items()}


def attached_redis(begin):
    def run(lab):
        command, port = redis(lab)
        server = start(lab, command)
        lab.await_port(port)
        begin(lab, server)
        return {"requests": redis_benchmark(lab, 20_000)}
    return run


ATTACHED = {"untraced": attached_redis(lambda lab, server: None),
            "tracedump": attached_redis(lambda lab, server: tracedump(lab, [server.pid])),
            "strace": attached_redis(lambda lab, server: start(lab, ["strace", "-f", "-o", "/dev/null", "-p",
                                                                     str(server.pid)], "attached"))}


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


def comparisons():
    def throughput(medians):
        return medians["tracedump"]["requests"] / medians["untraced"]["requests"]

    def added(medians):
        base = medians["untraced"]["time"]
        return (medians["tracedump"]["time"] - base) / (medians["strace"]["time"] - base)

    requests, seconds = {"requests": "/s"}, {"time": "s"}
    served = [Target("requests, of those untraced", throughput, at_least=0.98)]
    client = [Target("time added, of what strace adds", added, at_most=0.6)]
    return [
        Comparison("redis", "redis-server launched; redis-benchmark -t get,set -c 50 from another namespace.",
                   launched_server(redis, redis_benchmark), requests, served),
        Comparison("nginx", "nginx launched; wrk -c 50, keep-alive, from another namespace.",
                   launched_server(nginx, wrk), requests, served),
        Comparison("tcp-connects", "5,000 TCP connect and close by a launched client.",
                   launched_client("tcp_client", 5_000), seconds, client),
        Comparison("udp-sockets", "20,000 UDP socket, sendto and close by a launched client.",
                   launched_client("udp_client", 20_000), seconds, client),
        Comparison("redis-attached", "redis-server attached while it runs; the same load. strace -p stops at every call.",
                   ATTACHED, requests,
                   [Target("requests, of those under strace -p",
                           lambda medians: medians["tracedump"]["requests"] / medians["strace"]["requests"],
                           at_least=1.0)], rounds=3)]
