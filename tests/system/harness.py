"""What the system tests stand on: two network namespaces, programs in them, tracedump at work, and the ground truth.

A test file is a list of functions that take a Lab, given to main(). Each gets a fresh folder and fresh namespaces:

    near   10.77.0.1, fd77::1, and the loopback: where the application under test lives, and tracedump
    far    10.77.0.2, fd77::2: its peers

The ground truth is a tcpdump on all interfaces of `near`: there, the application is the only one to talk, but for the
strangers that a test starts itself, with source ports from STRANGER_PORTS.

Nothing waits for a fixed time: wait_for() waits for what is meant to happen, with a deadline. A failed test keeps its
folder. Environment: TRACEDUMP_BIN, TRACEDUMP_PROGRAMS (the compiled programs/*.c), and TRACEDUMP_OPTIONS, which every
tracedump gets first: the same tests run with each sensor and each filter engine.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

import pcap

HERE = pathlib.Path(__file__).resolve().parent
BINARY = os.environ.get("TRACEDUMP_BIN", str(HERE.parents[1] / "build/release/tracedump"))
TRACEDUMP = [BINARY, *os.environ.get("TRACEDUMP_OPTIONS", "--sensor=bpf").split()]
HOOKED = "--sensor=bpf" in TRACEDUMP  # sockets are learned from hooks, without system-call stops
PROGRAMS = pathlib.Path(os.environ.get("TRACEDUMP_PROGRAMS", HERE.parents[1] / "build/release/tests/system/programs"))

NEAR, FAR = "10.77.0.1", "10.77.0.2"
NEAR6, FAR6 = "fd77::1", "fd77::2"
STRANGER_PORTS = range(20000, 30000)  # below the ephemeral ports
SENTINEL_PORT = 9
SENTINEL = "end-of-the-truth"
DEADLINE = float(os.environ.get("TRACEDUMP_DEADLINE", "40"))  # seconds; generous, for sanitizers on a busy machine
SKIPPED = 77


def wait_for(what, condition, deadline=DEADLINE):
    """Waits until condition() is true, and returns what it returned."""
    end = time.monotonic() + deadline
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline:.0f} s for {what}")
        time.sleep(0.01)


def program(name):
    return str(PROGRAMS / name)


class Process:
    """A program in a namespace. Its output goes to files in the lab's folder."""

    def __init__(self, lab, namespace, command, stdin=None, name=None, stdout=None, prefix=(), **options):
        self.name = name or pathlib.Path(command[0]).name
        stem = f"{len(lab.processes):02}-{self.name}"
        self.stdout_path = lab.folder / f"{stem}.out"
        self.stderr_path = lab.folder / f"{stem}.err"
        enter = ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else []
        with open(self.stdout_path, "wb") as out, open(self.stderr_path, "wb") as err:
            self.popen = subprocess.Popen([*enter, *prefix, *map(str, command)], stdin=stdin or subprocess.DEVNULL,
                                          stdout=stdout or out, stderr=err, cwd=lab.folder, **options)
        self.pid = self.popen.pid  # nsenter execs, so this is the program itself
        lab.processes.append(self)

    def wait(self, deadline=DEADLINE):
        try:
            return self.popen.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {deadline:.0f} s\n{self.stderr()}") from None

    def running(self):
        return self.popen.poll() is None

    def signal(self, number):
        self.popen.send_signal(number)

    def stop(self):
        if self.running():
            self.popen.terminate()
            try:
                self.popen.wait(5)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait(5)

    def stdout(self):
        return self.stdout_path.read_text(errors="replace")

    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    def status(self, field):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return line.split(":", 1)[1].strip()
        return None


def packets_so_far(path):
    """While a file is being written: nothing if it is in the middle of a record."""
    try:
        return pcap.transport(pcap.read(path))
    except ValueError:
        return []


class Truth:
    """A tcpdump on one interface of a namespace, or on all."""

    def __init__(self, lab, namespace, device, largest):
        self.lab, self.namespace = lab, namespace
        self.path = lab.folder / ("truth.pcap" if namespace == lab.near else f"truth-{namespace}.pcap")
        self.sentinel = "127.0.0.1" if device == "any" else FAR
        # Immediate mode divides its buffer into slots for the largest packet: 4,000 for GSO packets of 64 KiB.
        self.tcpdump = lab.start(["tcpdump", "-i", device, "-B", "262144", "-U", "--immediate-mode", "-s", str(largest),
                                  *(["-y", "LINUX_SLL"] if device == "any" else []), "-w", self.path],
                                 namespace=namespace, prefix=["nice", "-n", "-10"])
        wait_for("tcpdump to listen", lambda: "listening on" in self.tcpdump.stderr())

    def packets(self, icmp=False):
        """Ends the tcpdump and returns the application's packets: TCP and UDP, with `icmp` errors about those, but for
        strangers and the sentinel."""
        self.lab.run(["bash", "-c", f"echo {SENTINEL} > /dev/udp/{self.sentinel}/{SENTINEL_PORT}"], namespace=self.namespace)
        wait_for("the sentinel", self._sentinel_seen)
        self.tcpdump.signal(signal.SIGINT)
        self.tcpdump.wait()
        assert "\n0 packets dropped by kernel" in self.tcpdump.stderr(), "tcpdump lost packets"
        strangers = set(STRANGER_PORTS)
        return [p for p in pcap.transport(pcap.read(self.path), icmp)
                if SENTINEL_PORT not in p.ports() and not strangers.intersection(p.ports())]

    def _sentinel_seen(self):
        with open(self.path, "rb") as file:
            file.seek(max(0, self.path.stat().st_size - 4096))
            return SENTINEL.encode() in file.read()


class Tracedump(Process):
    """tracedump in the near namespace, launched with a command or attached."""

    def __init__(self, lab, arguments, options=(), file="capture.pcap", **more):
        self.file = lab.folder / file
        super().__init__(lab, lab.near, [*TRACEDUMP, *options, "-w", self.file, *arguments], name="tracedump", **more)

    def await_begin(self):
        wait_for("tracedump to listen", lambda: "listening on any" in self.stderr() or not self.running())
        assert "listening on any" in self.stderr(), f"tracedump ended: {self.stderr()}"

    def end(self, number=signal.SIGINT):
        """Ends an attached capture."""
        self.signal(number)
        status = self.wait()
        assert status == 0, f"status {status}\n{self.stderr()}"

    def packets(self):
        return pcap.transport(pcap.read(self.file))

    def packets_so_far(self):
        return packets_so_far(self.file)


class Lab:
    """Two namespaces, a folder, and everything that was started; all gone at the end."""

    serial = 0

    def __init__(self, name):
        Lab.serial += 1
        stem = f"td{os.getpid()}x{Lab.serial}"
        self.near, self.far = stem + "n", stem + "f"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"tracedump-{name}-"))
        self.folder.chmod(0o755)
        self.processes = []

    def __enter__(self):
        for namespace in (self.near, self.far):
            self._ip("netns", "add", namespace)
            # Addresses are usable at once: no duplicate address detection, and no router to look for.
            self._in(namespace, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0",
                     "net.ipv6.conf.default.router_solicitations=0")
            self._ip("-n", namespace, "link", "set", "lo", "up")
        self._ip("-n", self.near, "link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", self.far)
        for namespace, v4, v6 in ((self.near, NEAR, NEAR6), (self.far, FAR, FAR6)):
            self._ip("-n", namespace, "address", "add", v4 + "/24", "dev", "veth0")
            self._ip("-n", namespace, "address", "add", v6 + "/64", "dev", "veth0", "nodad")
            self._ip("-n", namespace, "link", "set", "veth0", "up")
        # Until the kernel has seen the carrier, which it does in the background, packets are dropped.
        for namespace in (self.near, self.far):
            show = ["ip", "-n", namespace, "-o", "link", "show", "veth0"]
            wait_for("the link", lambda: b"state UP" in subprocess.run(show, capture_output=True, check=True).stdout)
        return self

    def __exit__(self, kind, _value, _trace):
        for process in reversed(self.processes):
            process.stop()
        for namespace in (self.near, self.far):
            subprocess.run(["ip", "netns", "delete", namespace], check=False)
        if kind is None:
            shutil.rmtree(self.folder)

    @staticmethod
    def _ip(*arguments):
        subprocess.run(["ip", *arguments], check=True)

    @staticmethod
    def _in(namespace, *command):
        subprocess.run(["ip", "netns", "exec", namespace, *command], check=True)

    # Starting things.

    def start(self, command, namespace=None, **options):
        return Process(self, namespace or self.near, command, **options)

    def run(self, command, namespace=None, **options):
        process = self.start(command, namespace, **options)
        status = process.wait()
        assert status == 0, f"{command} ended with {status}: {process.stderr()}"
        return process.stdout()

    def tracedump(self, arguments, **options):
        return Tracedump(self, arguments, **options)

    def truth(self, device="any", largest=66000, namespace=None):
        return Truth(self, namespace or self.near, device, largest)

    def launch(self, command, options=(), status=0, deadline=DEADLINE):
        """Runs a command under tracedump to its end."""
        traced = self.tracedump(["--", *command], options=options)
        got = traced.wait(deadline)
        assert got == status, f"status {got} instead of {status}\n{traced.stderr()}"
        return traced

    def attach(self, *processes, options=(), **more):
        """tracedump attached to running processes, when it has begun."""
        traced = self.tracedump([str(p if isinstance(p, int) else p.pid) for p in processes], options=options,
                                **more)
        traced.await_begin()
        return traced

    # Waiting for servers.

    def await_port(self, port, kind="tcp", namespace=None):
        flags = "-Htln" if kind == "tcp" else "-Huan"
        listening = ["ip", "netns", "exec", namespace or self.near, "ss", flags, f"sport = :{port}"]
        wait_for(f"{kind} port {port}", lambda: subprocess.run(listening, capture_output=True, check=True).stdout)

    def web_server(self, namespace, port=8080, files=None):
        """A small web server, of Python's own library."""
        folder = self.folder / f"www{port}"
        folder.mkdir()
        for name, content in (files or {"hello": b"hello\n"}).items():
            (folder / name).write_bytes(content)
        server = self.start([sys.executable, "-m", "http.server", "--bind", "::", "--directory", folder, str(port)],
                            namespace=namespace, name="http.server")
        self.await_port(port, namespace=namespace)
        return server


def ip(namespace, *words):
    subprocess.run(["ip", "-n", namespace, *words], check=True, capture_output=True)


def expect_same(truth, capture):
    """The captured packets are exactly the true ones."""
    missing, extra = pcap.difference(truth, capture)
    assert not missing and not extra, (f"{len(missing)} of {len(truth)} packets missing, {len(extra)} extra\n"
                                       + pcap.describe(missing[:20], extra[:20]))
    assert truth, "no packets at all: the test shows nothing"


def expect_equal(got, wanted, what):
    assert got == wanted, f"{what}: {got!r} instead of {wanted!r}"


@contextlib.contextmanager
def network_namespace(name):
    """This thread's sockets, opened inside, belong to that namespace."""
    with open("/proc/thread-self/ns/net") as ours, open(f"/run/netns/{name}") as theirs:
        _setns(theirs.fileno())
        try:
            yield
        finally:
            _setns(ours.fileno())


def _setns(fd):
    import ctypes
    if ctypes.CDLL(None, use_errno=True).setns(fd, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def socket_in(namespace, *arguments):
    with network_namespace(namespace):
        return socket.socket(*arguments)


def main(*tests):
    """Runs the tests of a file, or those named on its command line; the exit status is ctest's."""
    if os.geteuid() != 0:
        print("skipped: network namespaces need root")
        sys.exit(1 if os.environ.get("CI") == "true" else SKIPPED)
    chosen = [t for t in tests if not sys.argv[1:] or t.__name__ in sys.argv[1:]]
    failures = 0
    for test in chosen:
        began = time.monotonic()
        lab = Lab(test.__name__)
        try:
            with lab:
                test(lab)
            print(f"ok    {test.__name__} ({time.monotonic() - began:.2f} s)", flush=True)
        except Exception:  # pylint: disable=broad-except
            failures += 1
            print(f"FAIL  {test.__name__}\n{traceback.format_exc()}", flush=True)
            for process in lab.processes:
                if process.name == "tracedump":
                    print(f"tracedump said:\n{process.stderr()}", flush=True)
            print(f"its files: {lab.folder}\nagain: {sys.executable} {sys.argv[0]} {test.__name__}", flush=True)
    print(f"{len(chosen) - failures} passed, {failures} failed", flush=True)
    sys.exit(1 if failures else 0)
