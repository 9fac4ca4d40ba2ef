// What a sweep costs on a host with 50,000 sockets of strangers, most of them TCP, by how many sockets the application
// has; and what it costs to hear of a stranger's death. In a network namespace of its own, which takes root. The time
// is this thread's CPU time, the kernel's part included.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "gc/collector.h"
#include "gc/sock_diag.h"
#include "sockets.h"

namespace {

using namespace tracedump;

// Held by processes of their own, none of which needs more descriptors than it may have.
constexpr int kHolders = 4;
constexpr int kConnections = 3'750;  // of a holder; three sockets each: both ends and a listener
constexpr int kDatagramSockets = 1'250;

UniqueFd bound_udp() {
    UniqueFd socket = test::open_socket(AF_INET, SOCK_DGRAM);
    test::bind_to_loopback(socket, AF_INET);
    return socket;
}

UniqueFd listening_tcp() {
    UniqueFd socket = test::open_socket(AF_INET, SOCK_STREAM);
    test::bind_to_loopback(socket, AF_INET);
    test::check(listen(socket.get(), 1) == 0, "listen");
    return socket;
}

/// Opens the sockets of one holder, says so, and keeps them until its parent ends.
[[noreturn]] void hold(int ready) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::vector<std::unique_ptr<test::Connection>> connections;
    std::vector<UniqueFd> datagrams;
    try {
        for (int i = 0; i < kConnections; ++i) connections.push_back(std::make_unique<test::Connection>(AF_INET));
        for (int i = 0; i < kDatagramSockets; ++i) datagrams.push_back(bound_udp());
        if (write(ready, "", 1) == 1) pause();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "sweep_bench: %s\n", error.what());
    }
    _exit(1);
}

/// A network namespace with the strangers in it.
void make_host() {
    test::check(unshare(CLONE_NEWNET) == 0, "unshare");
    ifreq loopback{};
    std::strcpy(loopback.ifr_name, "lo");
    loopback.ifr_flags = IFF_UP;
    test::check(ioctl(test::open_socket(AF_INET, SOCK_DGRAM).get(), SIOCSIFFLAGS, &loopback) == 0, "lo up");
    int ready[2];
    test::check(pipe2(ready, O_CLOEXEC) == 0, "pipe");
    for (int i = 0; i < kHolders; ++i) {
        const pid_t holder = fork();
        test::check(holder >= 0, "fork");
        if (holder == 0) hold(ready[1]);
    }
    close(ready[1]);
    char done[kHolders];
    for (ssize_t have = 0; have < kHolders;) {
        const ssize_t n = read(ready[0], done, sizeof done);
        if (n <= 0) throw std::runtime_error("the sockets of strangers could not be opened");
        have += n;
    }
    close(ready[0]);
}

/// Makes the host when a benchmark first wants it. Returns why that failed.
const std::string& host_error() {
    static const std::string error = [] {
        try {
            make_host();
            return std::string();
        } catch (const std::exception& failure) {
            return std::string(failure.what());
        }
    }();
    return error;
}

void sweep(benchmark::State& state) {
    if (!host_error().empty()) return state.SkipWithError(host_error().c_str());
    std::vector<UniqueFd> ours;
    PortRegistry registry(nullptr);
    for (std::int64_t i = 0; i < state.range(0); ++i) {
        const bool udp = i % 2 == 1;
        ours.push_back(udp ? bound_udp() : listening_tcp());
        SocketInfo socket;
        socket.cookie = test::cookie_of(ours.back());
        socket.transport = udp ? Transport::udp : Transport::tcp;
        socket.local = test::local_end(ours.back());
        registry.claim(socket, 0);
    }
    SockDiagTable table;
    Collector collector(registry, table);
    for (auto _ : state) collector.sweep(realtime_now);
    if (registry.living().size() != ours.size()) state.SkipWithError("a living socket was taken for dead");
}
BENCHMARK(sweep)->Arg(1)->Arg(64)->Arg(1000)->Arg(5000)->Unit(benchmark::kMillisecond);

void hear_a_death(benchmark::State& state) {
    if (!host_error().empty()) return state.SkipWithError(host_error().c_str());
    constexpr int kDeaths = 1000;
    PortRegistry registry(nullptr);
    SockDiagTable table;
    Collector collector(registry, table);
    SocketDeaths deaths;
    std::size_t heard = 0;
    for (auto _ : state) {
        state.PauseTiming();
        for (int i = 0; i < kDeaths; ++i) bound_udp();
        state.ResumeTiming();
        // Some come a little after the close.
        pollfd ready{deaths.fd(), POLLIN, 0};
        for (int left = kDeaths; left > 0 && poll(&ready, 1, 1000) == 1;) {
            const auto some = deaths.take();
            collector.sockets_died(some.dead, realtime_now());
            left -= static_cast<int>(some.dead.size());
            heard += some.dead.size();
        }
    }
    if (heard != static_cast<std::size_t>(state.iterations() * kDeaths)) state.SkipWithError("deaths were lost");
    state.SetItemsProcessed(static_cast<std::int64_t>(heard));
}
BENCHMARK(hear_a_death);

}  // namespace
