// How long it takes until the packets of a new socket pass the kernel's filter: from the claim to the registry, in
// which there are so many ports already, until its method returns. Needs CAP_NET_RAW, and bpf(2) for the eBPF engine.
// Ports are random, as ephemeral ports are: hardly any two touch. And what compiling alone costs the classic engine.
#include <benchmark/benchmark.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "capture/classic_filter.h"
#include "capture/ebpf_filter.h"
#include "ports/port_registry.h"
#include "util/error.h"
#include "util/fd.h"

namespace {

using namespace tracedump;

constexpr std::uint32_t kSnaplen = 262144;

/// All ports but 0, in random order.
std::vector<std::uint16_t> shuffled_ports() {
    std::vector<std::uint16_t> ports(65535);
    std::iota(ports.begin(), ports.end(), std::uint16_t{1});
    std::shuffle(ports.begin(), ports.end(), std::mt19937(42));
    return ports;
}

SocketInfo socket_on(std::uint16_t port, SocketCookie cookie) {
    SocketInfo socket;
    socket.cookie = cookie;
    socket.transport = Transport::udp;
    socket.local.port = port;
    return socket;
}

void compile(benchmark::State& state) {
    const auto ports = shuffled_ports();
    PortSet set;
    for (std::size_t i = 0; i < static_cast<std::size_t>(state.range(0)); ++i)
        set.insert({socket_on(ports[i], i + 1), kAlways, kNever});
    std::size_t instructions = 0;
    for (auto _ : state) instructions = compile_filter(FilterSpec::of(set), kSnaplen).instructions.size();
    state.counters["instructions"] = static_cast<double>(instructions);
}
BENCHMARK(compile)->Arg(1)->Arg(8)->Arg(64)->Arg(1000)->Arg(30000);

template <typename Engine>
void new_port(benchmark::State& state) {
    try {
        const UniqueFd packets(::socket(AF_PACKET, SOCK_DGRAM, 0));
        if (!packets) throw Error("no packet socket: this needs CAP_NET_RAW");
        Engine engine(kSnaplen, false);
        PortRegistry registry(engine.put_on(packets.get()));
        const auto ports = shuffled_ports();
        const auto count = static_cast<std::size_t>(state.range(0));
        std::vector<SocketInfo> there;
        for (std::size_t i = 0; i < count; ++i) there.push_back(socket_on(ports[i], i + 1));
        registry.claim(there, 1);
        SocketCookie cookie = count;
        for (auto _ : state) {
            ++cookie;
            const SocketInfo socket = socket_on(ports[count + cookie % 1000], cookie);
            registry.claim(std::span(&socket, 1), 1);
            state.PauseTiming();  // the set stays as large as it is
            registry.retire(std::span(&socket.cookie, 1), 2);
            registry.forget_dead(3);
            state.ResumeTiming();
        }
    } catch (const Error& error) {
        state.SkipWithError(error.what());
    }
}
BENCHMARK(new_port<EbpfFilter>)->Arg(64)->Arg(1000)->Arg(30000);
BENCHMARK(new_port<ClassicEngine>)->Arg(1)->Arg(8)->Arg(64)->Arg(1000)->Arg(30000);

}  // namespace
