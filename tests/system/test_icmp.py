"""--icmp: errors that quote a packet of the application, and none that quotes a stranger's."""

import subprocess
import time

import pcap
from harness import FAR, FAR6, STRANGER_PORTS, expect_equal, expect_same, main, wait_for

# Provokes errors, each awaited; with a port to begin at, from sockets bound to that and the following ones.
PROVOKE = """
import itertools, select, socket, sys
ports = itertools.count(int(sys.argv[1])) if len(sys.argv) > 1 else itertools.repeat(0)
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
RECVERR = {4: (socket.IPPROTO_IP, 11), 6: (socket.IPPROTO_IPV6, 25)}
HOPS = {4: (socket.IPPROTO_IP, socket.IP_TTL), 6: (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)}
DONT_FRAGMENT = {4: (socket.IPPROTO_IP, 10, 3), 6: (socket.IPPROTO_IPV6, 23, 3)}  # nor mind what others learned
def fresh(version, kind=socket.SOCK_DGRAM):
    s = socket.socket(FAMILIES[version], kind)
    s.setsockopt(*RECVERR[version], 1)
    if port := next(ports): s.bind(("", port))
    return s
def await_error(s):
    poll = select.poll()
    poll.register(s, 0)
    if not poll.poll(20000): sys.exit("no error came")
def udp(version, to, hops=None, size=5):
    s = fresh(version)
    if hops: s.setsockopt(*HOPS[version], hops)
    if size > 1000: s.setsockopt(*DONT_FRAGMENT[version])
    s.connect(to)
    s.send(b"x" * size)
    await_error(s)
    s.close()
def tcp(version, to):
    try: fresh(version, socket.SOCK_STREAM).connect(to)
    except OSError as error: print(error.strerror)
"""

ON_THE_WAY = PROVOKE + f"""
for version, far, beyond in ((4, "{FAR}", "10.79.0.5"), (6, "{FAR6}", "fd79::5")):
    udp(version, (far, 9999))
    udp(version, (beyond, 9999), hops=1)
    udp(version, (beyond, 9999), size=1400)
    tcp(version, (beyond, 9999))
"""


def prepare(lab):
    """Errors are not rationed; `far` forwards to a network with a small MTU, where nobody lives."""
    for namespace in (lab.near, lab.far):
        subprocess.run(["ip", "netns", "exec", namespace, "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0",
                        "net.ipv4.icmp_msgs_per_sec=100000", "net.ipv6.icmp.ratelimit=0"], check=True)
    subprocess.run(["ip", "netns", "exec", lab.far, "sysctl", "-qw", "net.ipv4.ip_forward=1",
                    "net.ipv6.conf.all.forwarding=1"], check=True)
    for words in (["link", "add", "narrow", "type", "veth", "peer", "name", "end"], ["link", "set", "end", "up"],
                  ["link", "set", "narrow", "mtu", "1280", "up"], ["address", "add", "10.79.0.1/24", "dev", "narrow"],
                  ["address", "add", "fd79::1/64", "dev", "narrow", "nodad"]):
        subprocess.run(["ip", "-n", lab.far, *words], check=True)
    for network, via in (("10.79.0.0/24", FAR), ("fd79::/64", FAR6)):
        subprocess.run(["ip", "-n", lab.near, "route", "add", network, "via", via], check=True)


def provoked(lab, script, options=("--icmp",)):
    """The truth while a command runs the script, and strangers do so at the same time; and the capture. (The strangers
    may be longer about it, and another error may come to what the command has sent when it has ended.)"""
    prepare(lab)
    truth = lab.truth()
    strangers = [lab.start(["python3", "-c", script, str(STRANGER_PORTS[100 * i])]) for i in range(3)]
    traced = lab.launch(["python3", "-c", script], list(options))
    ended = time.time()
    for stranger in strangers:
        expect_equal((stranger.wait(), stranger.stderr()), (0, ""), "how a stranger ended")
    return [p for p in truth.packets(icmp=True) if p.time < ended], pcap.read(traced.file), traced


def on_the_way(lab):
    """Port unreachable, time exceeded and too big for UDP, host unreachable for a SYN; IPv4 and IPv6."""
    truth, captured, traced = provoked(lab, ON_THE_WAY)
    expect_same(truth, captured)
    kinds = {(p.protocol, p.quoted.protocol) for p in captured if p.quoted}
    expect_equal(kinds, {(1, 17), (1, 6), (58, 17), (58, 6)}, "errors and what they quote")
    assert sum(1 for p in captured if p.quoted) >= 8, captured
    expect_equal(len(captured), int(traced.stderr().split(" packets captured")[0].split()[-1]), "packets captured")


def on_the_loopback(lab):
    truth, captured, _ = provoked(lab, PROVOKE + """
udp(4, ("127.0.0.1", 9999))
udp(6, ("::1", 9999))
""")
    expect_same(truth, captured)
    expect_equal(sum(1 for p in captured if p.quoted), 2, "errors")


def after_the_close(lab):
    """A neighbour that does not answer is reported after three seconds; the socket is long closed, its process waits."""
    truth, captured, _ = provoked(lab, PROVOKE + """
reports = [socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
           socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)]
for version, nobody in ((4, "10.77.0.99"), (6, "fd77::99")):
    s = fresh(version)
    s.sendto(b"hello", (nobody, 9999))
    port = s.getsockname()[1].to_bytes(2, "big")
    s.close()
    report = reports.pop(0)
    report.settimeout(20)
    while port + b"\\x27\\x0f" not in report.recv(1000): pass
""")
    expect_same(truth, captured)
    expect_equal(sum(1 for p in captured if p.quoted), 2, "errors")


def what_we_refuse(lab):
    """The error that this host sends about a packet that came for the application: here by a blocked protocol."""
    prepare(lab)
    truth = lab.truth()
    server = lab.start(["python3", "-c", """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.77.0.1", 7900))
s.connect(("10.77.0.2", 7901))
print("bound", flush=True)
import signal
signal.pause()
"""])
    wait_for("the server", lambda: "bound" in server.stdout())
    traced = lab.attach(server, options=["--icmp"])
    # A connected socket takes nothing from other peers: the kernel answers them that the port is unreachable.
    lab.run(["python3", "-c", """
import select, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, 11, 1)
s.bind(("10.77.0.2", 7902))
s.connect(("10.77.0.1", 7900))
s.send(b"hello")
poll = select.poll()
poll.register(s, 0)
assert poll.poll(20000)
"""], namespace=lab.far)
    packets = truth.packets(icmp=True)
    traced.end()
    expect_same(packets, pcap.read(traced.file))


def not_unless_asked(lab):
    truth, captured, _ = provoked(lab, ON_THE_WAY, options=())
    expect_same([p for p in truth if not p.quoted], captured)
    expect_equal([p for p in captured if p.quoted], [], "errors in the file")


main(on_the_way, on_the_loopback, after_the_close, what_we_refuse, not_unless_asked)
