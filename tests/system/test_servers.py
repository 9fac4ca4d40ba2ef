"""Real servers and their clients: nginx, redis, dnsmasq, asyncio. Each client launched, each server launched, and each
server attached while it runs: the file equals what tcpdump saw."""

import signal
import sys

from harness import FAR, FAR6, HERE, NEAR, NEAR6, TRACEDUMP, expect_same, main, wait_for

ASYNCIO = HERE / "asyncio_echo.py"


# The servers: a command, to run as is or under tracedump, and the port to wait for.

def nginx(lab):
    (lab.folder / "www").mkdir()
    (lab.folder / "www/index.html").write_text("welcome\n" * 2000)
    (lab.folder / "www").chmod(0o755)
    (lab.folder / "nginx.conf").write_text(f"""
        daemon off; master_process on; worker_processes 2; pid {lab.folder}/nginx.pid; error_log {lab.folder}/error.log;
        events {{ worker_connections 64; }}
        http {{ access_log off; server {{ listen 8080; listen [::]:8080; root {lab.folder}/www; }} }}""")
    return ["nginx", "-p", lab.folder, "-c", lab.folder / "nginx.conf"], 8080, "tcp"


def redis(lab):
    return ["redis-server", "--port", "6379", "--bind", "0.0.0.0", "::", "--protected-mode", "no", "--save", "",
            "--dir", lab.folder], 6379, "tcp"


def dnsmasq(_lab):
    return ["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--port=5353", "--user=root",
            "--conf-file=/dev/null", "--pid-file=", "--address=/example.test/192.0.2.7"], 5353, "udp"


def asyncio_server(_lab):
    return [sys.executable, "-B", ASYNCIO, "serve", "7000"], 7000, "tcp"


# Their clients, as commands against an IPv4 and an IPv6 address.

def curls(v4, v6):
    return ["sh", "-c", f"curl -sS -o /dev/null http://{v4}:8080/ http://{v4}:8080/index.html && "
                        f"curl -sS -o /dev/null 'http://[{v6}]:8080/'"]


def redis_cli(v4, v6):
    return ["sh", "-c", f"redis-cli -h {v4} set key value && redis-cli -h {v6} get key && "
                        f"redis-benchmark -h {v4} -q -n 300 -c 5 -t set,get"]


def dig(v4, v6):
    ask = "dig +tries=1 +short -p 5353 example.test"
    return ["sh", "-c", f"{ask} @{v4} && {ask} @{v6} && {ask} +tcp @{v4}"]


def asyncio_client(v4, v6):
    return [sys.executable, "-B", ASYNCIO, "talk", v4, v6, "7000"]


def launched_client(server, client):
    def test(lab):
        command, port, kind = server(lab)
        lab.start(command, namespace=lab.far)
        lab.await_port(port, kind, lab.far)
        truth = lab.truth()
        traced = lab.launch(client(FAR, FAR6))
        expect_same(truth.packets(), traced.packets())
    return test


def stop_gracefully(lab, traced):
    """A signal to tracedump alone is passed on; what the server does then decides the status."""
    traced.signal(signal.SIGTERM)
    traced.wait()
    assert "packets captured" in traced.stderr(), traced.stderr()


def launched_server(server, client):
    def test(lab):
        command, port, kind = server(lab)
        truth = lab.truth()
        traced = lab.tracedump(["--", *command])
        lab.await_port(port, kind)
        lab.run(client(NEAR, NEAR6), namespace=lab.far)
        stop_gracefully(lab, traced)
        expect_same(truth.packets(), traced.packets())
    return test


def attached_server(server, client):
    def test(lab):
        command, port, kind = server(lab)
        process = lab.start(command)
        lab.await_port(port, kind)
        # Something that went on before the attach; it has ended when the truth begins.
        lab.run(client(NEAR, NEAR6), namespace=lab.far)
        pids = [process.pid] + children(process.pid)
        settle(lab)
        truth = lab.truth()
        traced = lab.attach(*pids)
        lab.run(client(NEAR, NEAR6), namespace=lab.far)
        settle(lab)
        packets = truth.packets()
        traced.end()
        assert process.running() and process.status("TracerPid") == "0", "the server did not survive"
        expect_same(packets, traced.packets())
        lab.run(client(NEAR, NEAR6), namespace=lab.far)
    return test


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def settle(lab):
    """No connection of the namespace has anything left to say."""
    busy = ["ss", "-Htn", "state", "connected", "exclude", "established", "exclude", "time-wait"]
    wait_for("the connections to close", lambda: not lab.run(busy).strip())


def case(name, make, server, client):
    test = make(server, client)
    test.__name__ = name
    return test


main(*[case(f"{name}_{how.__name__}", how, server, client)
       for name, server, client in (("nginx", nginx, curls), ("redis", redis, redis_cli), ("dns", dnsmasq, dig),
                                    ("asyncio", asyncio_server, asyncio_client))
       for how in (launched_client, launched_server, attached_server)])
