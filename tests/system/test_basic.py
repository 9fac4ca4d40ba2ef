"""A launched curl, over loopback and over a wire; the capture file and what tracedump says of it."""

import subprocess

import pcap
from harness import FAR, FAR6, HOOKED, TRACEDUMP, expect_equal, expect_same, main


def fetch(lab, url, options=(), extra=()):
    """Fetches a page with curl under tracedump: returns tracedump, and the true packets of curl."""
    truth = lab.truth()
    traced = lab.launch(["curl", "-sS", "-o", lab.folder / "page", *extra, url], options)
    return traced, truth.packets()


def one_fetch(url):
    def test(lab):
        lab.web_server(lab.far)
        traced, truth = fetch(lab, url)
        expect_same(truth, traced.packets())
    return test


def wire_ipv4(lab):
    one_fetch(f"http://{FAR}:8080/hello")(lab)


def wire_ipv6(lab):
    one_fetch(f"http://[{FAR6}]:8080/hello")(lab)


def loopback_once(lab):
    """On the loopback both ends are in the namespace: the server's own packets are the client's too, once each."""
    for host in ("127.0.0.1", "[::1]"):
        lab.folder.joinpath("www8080").exists() or lab.web_server(lab.near)
        traced, truth = fetch(lab, f"http://{host}:8080/hello")
        expect_same(truth, traced.packets())


def strangers_left_out(lab):
    """Others fetch the same page at the same time, to and from the same server port."""
    lab.web_server(lab.far)
    url = f"http://{FAR}:8080/hello"
    loop = "for i in $(seq 20); do curl -sS -o /dev/null --local-port 20000-20099 %s; done" % url
    truth = lab.truth()
    stranger = lab.start(["bash", "-c", loop])
    traced = lab.launch(["bash", "-c", f"for i in 1 2 3 4 5; do curl -sS -o /dev/null {url}; done"])
    expect_equal(stranger.wait(), 0, "the stranger's status")
    expect_same(truth.packets(), traced.packets())


def large_packets_whole(lab):
    """10 MB in GSO packets of up to 64 KiB."""
    lab.web_server(lab.far, files={"large": bytes(range(256)) * 40000})
    traced, truth = fetch(lab, f"http://{FAR}:8080/large")
    expect_same(truth, traced.packets())
    assert max(len(p.ip) for p in truth) > 20000, "no GSO packets: the test shows nothing"


def snaplen_cuts(lab):
    lab.web_server(lab.far, files={"page": b"x" * 5000})
    traced, truth = fetch(lab, f"http://{FAR}:8080/page", options=["-s", "96"])
    captured = traced.packets()
    expect_equal(sorted(p.original_length for p in captured), sorted(len(p.ip) for p in truth), "original lengths")
    expect_equal(max(len(p.ip) for p in captured), 96 - 16, "bytes kept of the longest, without the link header")


def default_file(lab):
    process = lab.start([*TRACEDUMP, "true"])
    expect_equal(process.wait(), 0, "status")
    name = "dump.pcapng" if "--format=pcapng" in TRACEDUMP else "dump.pcap"
    expect_equal(pcap.read(lab.folder / name), [], "packets in an empty capture")


def standard_output(lab):
    """With -w - the capture has standard output to itself; what the command prints goes to standard error."""
    lab.web_server(lab.far)
    truth = lab.truth()
    with open(lab.folder / "capture.pcap", "wb") as out:
        process = lab.start([*TRACEDUMP, "-w", "-", "--", "curl", "-sS", f"http://{FAR}:8080/hello"], stdout=out)
    expect_equal(process.wait(), 0, "status")
    expect_same(truth.packets(), pcap.transport(pcap.read(lab.folder / "capture.pcap")))
    assert "hello\n" in process.stderr()


def summary_lines(lab):
    lab.web_server(lab.far)
    traced, truth = fetch(lab, f"http://{FAR}:8080/hello")
    expect_equal(traced.stderr().splitlines()[-4:],
                 [f"{len(truth)} packets captured", f"{len(truth)} packets received by filter",
                  "0 packets dropped by kernel", "1 process, 1 socket, 1 port traced"], "the last lines")


def readers_agree(lab):
    """tcpdump and tshark read the file, as cooked Linux packets."""
    lab.web_server(lab.far)
    traced, truth = fetch(lab, f"http://{FAR}:8080/hello")
    lines = subprocess.run(["tcpdump", "-nn", "-r", traced.file], capture_output=True, text=True, check=True)
    assert "link-type LINUX_SLL " in lines.stderr
    expect_equal(len(lines.stdout.splitlines()), len(truth), "tcpdump's lines")
    shown = subprocess.run(["tshark", "-r", traced.file, "-T", "fields", "-e", "frame.protocols"],
                           capture_output=True, text=True, check=True).stdout.splitlines()
    expect_equal(len(shown), len(truth), "tshark's lines")
    assert all(line.startswith("sll:ethertype:ip:tcp") for line in shown), shown


def quiet(lab):
    expect_equal(lab.launch(["true"], options=["--debug=0"]).stderr(), "", "standard error")


def verbose(lab):
    lab.web_server(lab.far)
    traced, _ = fetch(lab, f"http://{FAR}:8080/hello", options=["-V"])
    learned = "sensor: bpf" if HOOKED else "connect on descriptor"
    assert learned in traced.stderr() and f"> {FAR}:8080 opened" in traced.stderr(), traced.stderr()


main(wire_ipv4, wire_ipv6, loopback_once, strangers_left_out, large_packets_whole, snaplen_cuts, default_file,
     standard_output, summary_lines, readers_agree, quiet, verbose)
