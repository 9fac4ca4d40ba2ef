"""Each kind of packet that a socket can have: options and extension headers, UDP-Lite, Multipath TCP, broadcast and
multicast, while strangers do the same."""

import os
import signal
import subprocess
import sys
import time

import pcap
from harness import (FAR, FAR6, HERE, NEAR, NEAR6, STRANGER_PORTS, Tracedump, expect_equal, expect_same, main, wait_for)

PROTOCOLS = [sys.executable, "-B", HERE / "protocols.py"]
STRANGER = STRANGER_PORTS[0]
RECEIVER = 7999  # a stranger that is sent to by the application


class Obedient:
    """A program that runs the lines it is told; under tracedump if `options` are given, or on its own."""

    def __init__(self, lab, namespace=None, options=None):
        orders, self.orders = os.pipe()
        command = [*PROTOCOLS, "obey"]
        if options is None:
            self.process = lab.start(command, namespace=namespace, stdin=orders)
        else:
            self.process = Tracedump(lab, ["--", *command], options=options, file="launched.pcap", stdin=orders)
        os.close(orders)
        self.answered = 0
        self._await("ready")

    def _await(self, last):
        wait_for("the target's answer", lambda: self.process.stdout()[self.answered:].endswith(last + "\n")
                 or not self.process.running())
        assert self.process.running(), self.process.stderr()
        answer = self.process.stdout()[self.answered:]
        self.answered += len(answer)
        return answer.splitlines()[:-1]

    def order(self, *lines):
        """Runs each line; what the last one printed."""
        answer = []
        for line in lines:
            os.write(self.orders, (line + "\n").encode())
            answer = self._await("done")
        return answer[0] if answer else None

    def hang_up(self):
        os.close(self.orders)


def serve(lab, namespace, kind, family, port, setup="plain"):
    command = [*PROTOCOLS, "serve", kind, family, port, setup]
    return [lab.start(command, namespace=namespace), kind, port]


def await_servers(lab, namespace, servers):
    tables = {"tcp": "tcp", "mptcp": "tcp", "udp": "udp", "udplite": "udplite"}
    enter = ["nsenter", f"--net=/run/netns/{namespace}"]
    for _, kind, port in servers:
        files = [f"/proc/net/{tables[kind]}", f"/proc/net/{tables[kind]}6"]
        wait_for(f"{kind} port {port}", lambda files=files, port=port: f":{port:04X} 0" in subprocess.run(
            [*enter, "cat", *files], capture_output=True, text=True, check=True).stdout)


def talks(wanted, source=0):
    """A shell command that talks to each (kind, host, port, setup) in turn."""
    words = [[*PROTOCOLS, "talk", kind, host, port, source + 100 * i if source else 0, setup]
             for i, (kind, host, port, setup) in enumerate(wanted)]
    return ["sh", "-ec", "\n".join(" ".join(map(str, w)) for w in words)]


def exchange(lab, kinds, setups):
    """A launched client and attached servers, each (family, setup) over each kind, while strangers do the same."""
    cases = [(kind, family, 7000 + i, setup) for i, (kind, (family, setup)) in
             enumerate((k, s) for k in kinds for s in setups)]
    sides = {lab.far: (FAR, FAR6), lab.near: (NEAR, NEAR6)}
    servers = {side: [serve(lab, side, *case) for case in cases] for side in sides}
    for side in sides:
        await_servers(lab, side, servers[side])
    to = {side: [(kind, hosts[family == "6"], port, setup) for kind, family, port, setup in cases]
          for side, hosts in sides.items()}
    truth = lab.truth()
    attached = lab.attach(*[server[0] for server in servers[lab.near]])
    stranger = lab.start(talks(to[lab.far], STRANGER))
    client = lab.start(talks(to[lab.near]), namespace=lab.far)
    launched = lab.tracedump(["--", *talks(to[lab.far])], file="launched.pcap")
    for process in (stranger, client, launched):
        expect_equal(process.wait(30), 0, f"status of {process.name}: {process.stderr()}")
    settle(lab)
    packets = truth.packets()
    attached.end()
    ours = set(range(7000, 7000 + len(cases)))
    served = [p for p in packets if str(p.source) in sides[lab.near] and p.source_port in ours
              or str(p.destination) in sides[lab.near] and p.destination_port in ours]
    expect_same(served, attached.packets())
    expect_same([p for p in packets if p not in served], launched.packets())
    return packets


def settle(lab):
    """No connection of the namespace has anything left to say."""
    busy = ["ss", "-Htn", "state", "connected", "exclude", "established", "exclude", "time-wait"]
    wait_for("the connections to close", lambda: not lab.run(busy).strip())


def ipv4_options(lab):
    """Record route and no-operation in the headers of both sides, of TCP and UDP, in fragments too."""
    packets = exchange(lab, ["tcp", "udp"], [("4", "nops"), ("4", "route")])
    assert sum(1 for p in packets if p.ip[0] & 15 > 5) > 100, "no options: the test shows nothing"


def ipv6_extension_headers(lab):
    """Hop-by-hop options, destination options, both, a routing header, before a fragment header too."""
    for namespace in (lab.near, lab.far):
        subprocess.run(["ip", "netns", "exec", namespace, "sysctl", "-qw", "net.ipv6.conf.all.seg6_enabled=1",
                        "net.ipv6.conf.veth0.seg6_enabled=1"], check=True)
    packets = exchange(lab, ["tcp", "udp"], [("6", "hop"), ("6", "destination"), ("6", "both"), ("6", "routed")])
    for headers in ((0, 6), (0, 17), (0, 44), (0, 60), (60, 6), (60, 17), (60, 43)):
        assert any((p.ip[6], p.ip[40]) == headers for p in packets), f"no headers {headers}: the test shows nothing"


def udplite(lab):
    """UDP-Lite by IPv4 and IPv6, with a checksum over all and over the header alone."""
    exchange(lab, ["udplite"], [("4", "plain"), ("6", "plain"), ("4", "coverage"), ("6", "coverage")])


def udplite_lifetime(lab):
    """No multicast tells of the death of a UDP-Lite socket: one that is open survives the sweeps, one that is closed
    is let go by the next."""
    server = serve(lab, lab.far, "udplite", "4", 7000)
    await_servers(lab, lab.far, [server])
    target = Obedient(lab)
    for port in (7500, 7501):
        target.order(f"s{port} = opened('udplite', socket.AF_INET)", f"s{port}.bind(('', {port}))")
    truth = lab.truth()
    traced = lab.attach(target.process, options=["--debug=4"])

    def exchange_on(port):
        target.order(f"s{port}.sendto(b'ours', ('{FAR}', 7000))", f"s{port}.recv(100)")

    exchange_on(7501)
    wait_for("two sweeps", lambda: traced.stderr().count("gc: sweep") >= 2)
    exchange_on(7500)
    exchange_on(7501)
    target.order("s7500.close()")
    wait_for("the claim to end", lambda: "udplite *:7500 closed" in traced.stderr())
    stranger = Obedient(lab)
    stranger.order("s = opened('udplite', socket.AF_INET)", "s.bind(('', 7500))",
                   f"s.sendto(b'stranger', ('{FAR}', 7000))", "s.recv(100)")
    exchange_on(7501)
    packets = truth.packets()
    traced.end()
    foreign = [p for p in packets if p.ip.endswith(b"stranger")]
    expect_equal((len(packets), len(foreign)), (10, 2), "packets of the test")
    expect_same([p for p in packets if p not in foreign], traced.packets())


def casts(target, port, peer, strangers):
    """Broadcast and multicast to and from sockets of every kind; `port` and those after it are the target's."""
    group, group6 = "239.1.2.3", "ff02::1234"
    member = f"socket.inet_aton('{group}') + socket.inet_aton('{NEAR}')"
    member6 = f"socket.inet_pton(socket.AF_INET6, '{group6}') + struct.pack('I', socket.if_nametoindex('veth0'))"
    # Bound to any address, to the group, to either broadcast address; then the same by IPv6.
    sockets = [("4", ""), ("4", group), ("4", "255.255.255.255"), ("4", "10.77.0.255"), ("6", "::"), ("6", group6)]
    for i, (family, address) in enumerate(sockets):
        if family == "4":
            target.order(f"s{i} = opened('udp', socket.AF_INET)", f"s{i}.bind(('{address}', {port + i}))",
                         f"s{i}.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)",
                         f"s{i}.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'veth0')",
                         f"s{i}.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, {member})")
        else:
            target.order(f"s{i} = opened('udp', socket.AF_INET6)",
                         f"s{i}.bind(('{address}', {port + i}, 0, socket.if_nametoindex('veth0')))",
                         f"s{i}.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, {member6})")
    # What reaches each socket, and so does a stranger's to another port and in the other protocol.
    reaches = [(0, NEAR), (0, group), (0, "255.255.255.255"), (0, "10.77.0.255"), (1, group), (2, "255.255.255.255"),
               (3, "10.77.0.255"), (4, NEAR6), (4, group6), (5, group6)]
    for i, to in reaches:
        for who, socket_, to_port in ((peer, "s", port + i), (peer, "s", STRANGER), (peer, "lite", port + i)):
            who.order(f"{socket_}{6 if ':' in to else 4}.sendto(b'to you', ('{to}', {to_port}))")
        expect_equal(target.order(f"print(s{i}.recv(100))"), "b'to you'", f"what came to {to}")
    # What each sends, to the others on its own host as well (IP_MULTICAST_LOOP).
    for i, to in [(i, to) for i in (0, 1, 2) for to in (FAR, group, "255.255.255.255", "10.77.0.255")] + \
                 [(i, to) for i in (4, 5) for to in (FAR6, group6)]:
        target.order(f"s{i}.sendto(b'to all', ('{to}', {RECEIVER}))")
        if to not in (FAR, FAR6):
            expect_equal(strangers.order(f"print(s{6 if ':' in to else 4}.recv(100))"), "b'to all'", "the loop's copy")
    target.order(f"s1.sendto(b'to me', ('{group}', {port + 1}))", f"s5.sendto(b'to me', ('{group6}', {port + 5}))")
    expect_equal([target.order(f"print(s{i}.recv(100))") for i in (1, 5)], ["b'to me'"] * 2, "its own copies")


def broadcast_and_multicast(lab):
    peer, strangers = Obedient(lab, lab.far), Obedient(lab)
    for who, address, kinds in ((peer, FAR, ("udp", "udplite")), (strangers, NEAR, ("udp",))):
        for kind in kinds:
            name = "s" if kind == "udp" else "lite"
            who.order(f"{name}4 = opened('{kind}', socket.AF_INET)", f"{name}6 = opened('{kind}', socket.AF_INET6)",
                      f"{name}4.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)",
                      f"{name}4.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'veth0')",
                      f"{name}6.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'veth0')",
                      f"{name}6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)")
    strangers.order(f"s4.bind(('', {RECEIVER}))", f"s6.bind(('::', {RECEIVER}))")
    attached = Obedient(lab)
    truth = lab.truth()
    traced = lab.attach(attached.process)
    launched = Obedient(lab, options=[])
    casts(attached, 7600, peer, strangers)
    casts(launched, 7700, peer, strangers)
    launched.hang_up()
    expect_equal(launched.process.wait(), 0, "the launched one's status")
    packets = [p for p in truth.packets() if p.protocol == pcap.UDP]
    traced.end()
    expect_same([p for p in packets if set(p.ports()) & set(range(7600, 7700))], traced.packets())
    expect_same([p for p in packets if set(p.ports()) & set(range(7700, 7800))], launched.process.packets())


def multipath_lifetime(lab):
    """Connections of Multipath TCP that outlive sweeps, one to a server without it, and their ends."""
    servers = [serve(lab, lab.far, "mptcp", "6", 7000), serve(lab, lab.far, "tcp", "4", 7001)]
    ours = serve(lab, lab.near, "mptcp", "4", 7100)
    await_servers(lab, lab.far, servers)
    await_servers(lab, lab.near, [ours])
    truth = lab.truth()
    attached = lab.attach(ours[0], options=["--debug=3"])
    client, stranger, peer = Obedient(lab, options=["--debug=3"]), Obedient(lab), Obedient(lab, lab.far)
    connections = [(client, "a", FAR6, 7000), (client, "b", FAR, 7001), (stranger, "a", FAR6, 7000),
                   (peer, "a", NEAR, 7100), (peer, "b", NEAR, 7100)]
    for who, name, host, port in connections:
        who.order(f"{name} = opened('mptcp', family_of('{host}'))")
        if who is stranger:
            who.order(f"{name}.bind(('', {STRANGER}))")
        who.order(f"{name}.connect(('{host}', {port}))")
    until = time.monotonic() + 8.5
    while time.monotonic() < until:
        for who, name, _, _ in connections:
            who.order(f"{name}.sendall(b'ping')", f"receive({name}, 4)")
        time.sleep(0.2)
    for traced in (attached, client.process):
        assert "closed" not in traced.stderr(), f"given up while it was open: {traced.stderr()}"
    for who, name, _, _ in connections:
        who.order(f"{name}.close()")
    client.hang_up()
    expect_equal(client.process.wait(), 0, "the client's status")
    settle(lab)
    packets = truth.packets()
    attached.end()
    served = [p for p in packets if 7100 in p.ports()]
    expect_same(served, attached.packets())
    expect_same([p for p in packets if p not in served], client.process.packets())


def multipath_endpoint(namespace, address, role):
    subprocess.run(["ip", "-n", namespace, "address", "add", address + "/24", "dev", "veth0"], check=True)
    subprocess.run(["ip", "-n", namespace, "mptcp", "endpoint", "add", address, "dev", "veth0", role], check=True)


def multipath_limits(lab):
    for namespace in (lab.near, lab.far):
        subprocess.run(["ip", "-n", namespace, "mptcp", "limits", "set", "subflows", "8", "add_addr_accepted", "8"],
                       check=True)


def multipath_flows_of_a_server(lab):
    """Additional flows that clients begin come to the listener's port: they are there from the first packet on."""
    multipath_limits(lab)
    multipath_endpoint(lab.near, "10.77.0.12", "signal")
    multipath_endpoint(lab.far, "10.77.0.21", "subflow")
    ours = serve(lab, lab.near, "mptcp", "4", 7100)
    await_servers(lab, lab.near, [ours])
    truth = lab.truth()
    traced = lab.attach(ours[0])
    peer = Obedient(lab, lab.far)
    peer.order("s = opened('mptcp', socket.AF_INET)", f"s.connect(('{NEAR}', 7100))")
    flows = ["ss", "-Htn", "state", "established", "sport = :7100"]
    peer.order("s.sendall(b'ping')", "receive(s, 4)")
    wait_for("three flows", lambda: len(lab.run(flows).splitlines()) == 3)
    for _ in range(20):
        peer.order("s.sendall(b'ping')", "receive(s, 4)")
    peer.order("s.close()")
    settle(lab)
    packets = truth.packets()
    traced.end()
    expect_equal(sum(1 for p in packets if p.flags == "S"), 3, "flows in the truth")
    expect_same(packets, traced.packets())


def multipath_flows_of_a_client(lab):
    """A client's additional flows are the kernel's making, on ports of its choice. A sweep finds them: what they carry
    before that is missing, nothing after it, and none of a stranger's."""
    multipath_limits(lab)
    multipath_endpoint(lab.near, "10.77.0.11", "subflow")
    multipath_endpoint(lab.far, "10.77.0.22", "signal")
    await_servers(lab, lab.far, [serve(lab, lab.far, "mptcp", "4", port) for port in (7000, 7001)])
    truth = lab.truth()
    client, stranger = Obedient(lab, options=["--debug=3"]), Obedient(lab)
    for who, port in ((client, 7000), (stranger, 7001)):
        who.order("s = opened('mptcp', socket.AF_INET)", f"s.connect(('{FAR}', {port}))", "s.sendall(b'ping')",
                  "receive(s, 4)")
    wait_for("the flows to be found", lambda: client.process.stderr().count("opened") == 3)
    found = time.time()
    for _ in range(20):
        for who in (client, stranger):
            who.order("s.sendall(b'ping')", "receive(s, 4)")
    for who in (client, stranger):
        who.order("s.close()")
    client.hang_up()
    expect_equal(client.process.wait(), 0, "the client's status")
    settle(lab)
    packets = [p for p in truth.packets() if 7000 in p.ports()]
    expect_equal(sum(1 for p in packets if p.flags == "S"), 3, "flows in the truth")
    missing, extra = pcap.difference(packets, client.process.packets())
    wrong = [p for p in missing if p.time > found or {str(p.source), str(p.destination)} == {NEAR, FAR}]
    assert not extra and not wrong, pcap.describe(wrong, extra)
    print(f"      {len(missing)} of {len(packets)} packets were before the flows were found")


main(udplite, udplite_lifetime, ipv4_options, ipv6_extension_headers, broadcast_and_multicast, multipath_lifetime,
     multipath_flows_of_a_server, multipath_flows_of_a_client)
