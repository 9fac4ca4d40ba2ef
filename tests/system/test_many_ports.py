"""Ports by the thousand: the set may grow large, and must become small again."""

import os
import re
import signal
import subprocess

from harness import FAR, FAR6, HERE, STRANGER_PORTS, expect_equal, expect_same, main, program, wait_for

THEIR_PORTS = (str(STRANGER_PORTS[0]), str(STRANGER_PORTS[-1]))
CHURN_SECONDS = int(os.environ.get("TRACEDUMP_CHURN_SECONDS", "8"))


def open_sockets(traced):
    """How many sockets tracedump says are open, when asked."""
    before = traced.stderr().count(" open\n")
    traced.signal(signal.SIGUSR1)
    wait_for("the counters", lambda: traced.stderr().count(" open\n") > before)
    return int(re.findall(r"(\d+) sockets? open\n", traced.stderr())[-1])


def resident_kilobytes(traced):
    return int(traced.status("RssAnon").split()[0])


def twenty_thousand_of_each(lab):
    """20,000 bound UDP ports and 20,000 TCP connections at once, some of them in use, among strangers."""
    subprocess.run(["ip", "netns", "exec", lab.near, "sysctl", "-qw", "net.ipv4.ip_local_port_range=20000 60999"],
                   check=True)
    for port in range(7000, 7004):
        lab.start(["python3", "-B", HERE / "asyncio_echo.py", "serve", str(port)], namespace=lab.far)
        lab.await_port(port, "tcp", lab.far)
        lab.await_port(port, "udp", lab.far)
    truth = lab.truth(largest=2000)
    orders, ours = os.pipe()
    traced = lab.tracedump(["--", program("many_ports"), FAR, "7000", "4", "30000", "20000", "20000"], stdin=orders)
    os.close(orders)
    wait_for("the sockets to be open", lambda: "open" in traced.stdout() or not traced.running(), 90)
    assert open_sockets(traced) >= 40000, traced.stderr()
    lab.run([program("storm"), FAR, FAR6, "7000", "2", "2", "100", *THEIR_PORTS])
    os.write(ours, b"\n")
    expect_equal(traced.wait(60), 0, "status")
    packets = truth.packets()
    assert len(packets) > 60000, len(packets)
    expect_same(packets, traced.packets())
    assert "40000 sockets" in traced.stderr(), traced.stderr()


def churn(lab):
    """1,000 sockets a second are bound and closed: ports, descriptors and memory are what they were before."""
    script = f"""
import socket, sys, time
def step(): print("step", flush=True); sys.stdin.readline()
keep = socket.create_server(("127.0.0.1", 7200))
def round():
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        s = socket.socket(socket.AF_INET, kind)
        s.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM: s.listen()
        s.close()
for _ in range(500): round()
step()
due = time.monotonic()
for _ in range({CHURN_SECONDS} * 500):
    round()
    due += 0.002
    time.sleep(max(0, due - time.monotonic()))
step()
"""
    orders, ours = os.pipe()
    traced = lab.tracedump(["--", "python3", "-c", script], stdin=orders)
    os.close(orders)
    wait_for("the first step", lambda: traced.stdout().count("step") == 1)
    wait_for("the sockets to be gone", lambda: open_sockets(traced) == 1)
    memory, descriptors = resident_kilobytes(traced), len(os.listdir(f"/proc/{traced.pid}/fd"))
    os.write(ours, b"\n")
    wait_for("the second step", lambda: traced.stdout().count("step") == 2, CHURN_SECONDS + 60)
    wait_for("the sockets to be gone", lambda: open_sockets(traced) == 1)
    expect_equal(len(os.listdir(f"/proc/{traced.pid}/fd")), descriptors, "descriptors of tracedump")
    # The dead are remembered for a while: TCP's, 65,536 of them at most. (AddressSanitizer keeps what was freed.)
    grown = resident_kilobytes(traced) - memory
    assert grown < 32768 or "ASAN_OPTIONS" in os.environ, f"{grown} KiB more than before"
    os.write(ours, b"\n")
    expect_equal(traced.wait(), 0, "status")
    expect_equal(traced.packets(), [], "packets")


main(twenty_thousand_of_each, churn)
