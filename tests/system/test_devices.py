"""A packet that crosses several devices of the host is recorded once: bridge, macvlan, veth, VXLAN, VLAN, bond.

The truth is what the device that has the address saw; the capture sees that one and those beneath it. Of a tunnel the
inner packets are the application's; the outer ones are the kernel's, from no socket of the application."""

import contextlib

import subprocess
import sys

from harness import FAR, FAR6, HERE, NEAR, NEAR6, expect_same, ip, main, program


def addresses(namespace, device, v4, v6):
    ip(namespace, "address", "add", v4 + "/24", "dev", device)
    ip(namespace, "address", "add", v6 + "/64", "dev", device, "nodad")
    ip(namespace, "link", "set", device, "up")


def exchange(lab, device):
    """Connections and datagrams by every call, with fragments, through `device`."""
    lab.start([sys.executable, "-B", HERE / "asyncio_echo.py", "serve", "7000"], namespace=lab.far)
    lab.await_port(7000, "tcp", lab.far)
    lab.await_port(7000, "udp", lab.far)
    truth = lab.truth(device)
    calls = [program("tcp_calls"), FAR, FAR6, "7000", "7001", "5"]
    datagrams = [program("udp_calls"), FAR, FAR6, "7000"]
    talk = [sys.executable, "-B", HERE / "asyncio_echo.py", "talk", FAR, FAR6, "7000"]
    traced = lab.launch(["sh", "-c", " && ".join(" ".join(map(str, command)) for command in (calls, datagrams, talk))])
    expect_same(truth.packets(), traced.packets())


def bridge(lab):
    ip(lab.near, "link", "add", "br0", "type", "bridge")
    ip(lab.near, "address", "flush", "dev", "veth0")
    ip(lab.near, "link", "set", "veth0", "master", "br0")
    addresses(lab.near, "br0", NEAR, NEAR6)
    exchange(lab, "br0")


def macvlan(lab):
    ip(lab.near, "address", "flush", "dev", "veth0")
    ip(lab.near, "link", "add", "link", "veth0", "name", "mac0", "type", "macvlan", "mode", "bridge")
    addresses(lab.near, "mac0", NEAR, NEAR6)
    exchange(lab, "mac0")


def macvlan_on_bridge(lab):
    """Three devices: the macvlan, the bridge beneath it, and the bridge's port."""
    ip(lab.near, "link", "add", "br0", "type", "bridge")
    ip(lab.near, "address", "flush", "dev", "veth0")
    ip(lab.near, "link", "set", "veth0", "master", "br0")
    ip(lab.near, "link", "set", "br0", "up")
    ip(lab.near, "link", "add", "link", "br0", "name", "mac0", "type", "macvlan", "mode", "bridge")
    addresses(lab.near, "mac0", NEAR, NEAR6)
    exchange(lab, "mac0")


def veth_through_bridge(lab):
    """As containers have it: a pair of veths, one end with the address, the other a port of the bridge, in one host."""
    ip(lab.near, "link", "add", "br0", "type", "bridge")
    ip(lab.near, "link", "add", "inside", "type", "veth", "peer", "name", "port0")
    ip(lab.near, "address", "flush", "dev", "veth0")
    for port in ("veth0", "port0"):
        ip(lab.near, "link", "set", port, "master", "br0")
        ip(lab.near, "link", "set", port, "up")
    ip(lab.near, "link", "set", "br0", "up")
    addresses(lab.near, "inside", NEAR, NEAR6)
    exchange(lab, "inside")


def vxlan(lab):
    """A tunnel: the application's packets inside UDP packets of the kernel's, from ports that no socket is given."""
    for namespace, v4, v6, outer, other in ((lab.near, NEAR, NEAR6, "10.79.0.1", "10.79.0.2"),
                                            (lab.far, FAR, FAR6, "10.79.0.2", "10.79.0.1")):
        ip(namespace, "address", "flush", "dev", "veth0")
        ip(namespace, "address", "add", outer + "/24", "dev", "veth0")
        ip(namespace, "link", "add", "vxlan0", "type", "vxlan", "id", "5", "remote", other, "local", outer,
           "dstport", "4789", "srcport", "20000", "30000", "dev", "veth0")
        addresses(namespace, "vxlan0", v4, v6)
    exchange(lab, "vxlan0")


def forwarded(lab):
    """A router between the ends, with a smaller MTU behind it."""
    router = lab.near + "r"
    with contextlib.ExitStack() as ends:
        subprocess.run(["ip", "netns", "add", router], check=True)
        ends.callback(subprocess.run, ["ip", "netns", "delete", router], check=True)
        subprocess.run(["ip", "netns", "exec", router, "sysctl", "-qw", "net.ipv4.ip_forward=1",
                        "net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.default.accept_dad=0"], check=True)
        ip(lab.near, "link", "delete", "veth0")
        for i, (namespace, v4, v6, peers) in enumerate(((lab.near, NEAR, NEAR6, (FAR, FAR6)),
                                                        (lab.far, FAR, FAR6, (NEAR, NEAR6)))):
            ip(router, "link", "add", f"leg{i}", "type", "veth", "peer", "name", "veth0", "netns", namespace)
            hops = f"10.79.{i}.1", f"fd79:{i}::1"
            for own, hop, peer, length in ((v4, hops[0], peers[0], "/32"), (v6, hops[1], peers[1], "/128")):
                for where, device, address, route in ((namespace, "veth0", own, hop), (router, f"leg{i}", hop, own)):
                    ip(where, "address", "add", address + length, "dev", device, *["nodad"] * (":" in own))
                    ip(where, "link", "set", device, "up")
                    ip(where, "route", "add", route + length, "dev", device)
                ip(namespace, "route", "add", peer + length, "via", hop, "dev", "veth0", "src", own)
            if i == 1:
                for where, device in ((namespace, "veth0"), (router, f"leg{i}")):
                    ip(where, "link", "set", device, "mtu", "1400")
        exchange(lab, "veth0")


def vlan(lab):
    for namespace, v4, v6 in ((lab.near, NEAR, NEAR6), (lab.far, FAR, FAR6)):
        ip(namespace, "address", "flush", "dev", "veth0")
        ip(namespace, "link", "add", "link", "veth0", "name", "vlan5", "type", "vlan", "id", "5")
        addresses(namespace, "vlan5", v4, v6)
    exchange(lab, "vlan5")


def bond(lab):
    ip(lab.near, "link", "add", "bond0", "type", "bond", "mode", "active-backup")
    ip(lab.near, "link", "set", "veth0", "down")
    ip(lab.near, "address", "flush", "dev", "veth0")
    ip(lab.near, "link", "set", "veth0", "master", "bond0")
    addresses(lab.near, "bond0", NEAR, NEAR6)
    exchange(lab, "bond0")


def supported(kind):
    """Some kernels are built without a kind of device; then there is nothing to see."""
    base = "ip link add base type veth"
    probe = {"vlan": "ip link add link base name probe type vlan id 5",
             "vxlan": "ip link add probe type vxlan id 5 dstport 4789"}.get(kind, f"ip link add probe type {kind}")
    namespace = ["unshare", "--net", "sh", "-c", f"{base} && {probe}"]
    return subprocess.run(namespace, capture_output=True, check=False).returncode == 0


def where_supported(*tests):
    for test in tests:
        if supported(test.__name__):
            yield test
        else:
            print(f"      {test.__name__}: not in this kernel", flush=True)


main(bridge, macvlan, macvlan_on_bridge, veth_through_bridge, forwarded, *where_supported(vxlan, vlan, bond))
