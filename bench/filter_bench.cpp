// How long a port set takes to become a kernel filter: compiling alone, and attached to a packet socket (which needs
// CAP_NET_RAW). Ports are random, as ephemeral ports are: hardly any two touch.
#include <benchmark/benchmark.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <random>

#include "capture/filter_compiler.h"
#include "capture/kernel_filter.h"
#include "util/fd.h"

namespace {

using namespace tracedump;

PortSet random_ports(std::int64_t count) {
    PortSet set;
    std::mt19937 random(42);
    std::uniform_int_distribution<int> port(1, 65535);
    for (std::int64_t i = 0; i < count; ++i) {
        Claim claim;
        claim.socket.cookie = static_cast<SocketCookie>(i) + 1;
        claim.socket.local.port = static_cast<std::uint16_t>(port(random));
        set.insert(claim);
    }
    return set;
}

void compile(benchmark::State& state) {
    const PortSet set = random_ports(state.range(0));
    std::size_t instructions = 0;
    for (auto _ : state) instructions = compile_filter(FilterSpec::of(set), 262144).instructions.size();
    state.counters["instructions"] = static_cast<double>(instructions);
}
BENCHMARK(compile)->Arg(1)->Arg(8)->Arg(64)->Arg(1000)->Arg(30000);

void compile_and_attach(benchmark::State& state) {
    const UniqueFd socket(::socket(AF_PACKET, SOCK_DGRAM, 0));
    if (!socket) {
        state.SkipWithError("no packet socket: this needs CAP_NET_RAW");
        return;
    }
    const PortSet set = random_ports(state.range(0));
    for (auto _ : state) KernelFilter(socket.get(), 262144).update(set);
}
BENCHMARK(compile_and_attach)->Arg(1)->Arg(8)->Arg(64)->Arg(1000)->Arg(30000);

}  // namespace
