// What each packet costs: its headers parsed, then judged against sets of different sizes. Half of the packets belong
// to the application. The figure must not grow with the number of ports.
#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <linux/if_ether.h>

#include <array>
#include <cstring>
#include <vector>

#include "capture/classifier.h"
#include "capture/duplicate_filter.h"
#include "capture/packet.h"

namespace {

using namespace tracedump;

/// An IPv4 TCP header from 192.0.2.1:`port` to 192.0.2.2:443, without payload.
std::array<std::uint8_t, 40> tcp_packet(std::uint16_t port) {
    std::array<std::uint8_t, 40> bytes{0x45, 0, 0, 40, 0, 0, 0, 0, 64, IPPROTO_TCP, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2};
    bytes[20] = static_cast<std::uint8_t>(port >> 8);
    bytes[21] = static_cast<std::uint8_t>(port & 0xff);
    bytes[22] = 443 >> 8;
    bytes[23] = 443 & 0xff;
    return bytes;
}

void parse(benchmark::State& state) {
    const auto bytes = tcp_packet(40000);
    for (auto _ : state) benchmark::DoNotOptimize(parse_packet(bytes, ETH_P_IP));
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(parse);

void parse_and_classify(benchmark::State& state) {
    PortSet set;
    std::vector<std::array<std::uint8_t, 40>> packets;
    for (std::int64_t i = 0; i < state.range(0); ++i) {
        const auto port = static_cast<std::uint16_t>(1024 + 2 * i);
        Claim claim;
        claim.socket.cookie = static_cast<SocketCookie>(i) + 1;
        claim.socket.local = {Address::v4(std::array<std::uint8_t, 4>{192, 0, 2, 1}), port};
        claim.socket.remote = Endpoint{Address::v4(std::array<std::uint8_t, 4>{192, 0, 2, 2}), 443};
        set.insert(claim);
        packets.push_back(tcp_packet(port));
        packets.push_back(tcp_packet(static_cast<std::uint16_t>(port + 1)));  // a stranger's
    }
    HostAddresses any_address;
    Translations no_nat;
    Classifier classifier(any_address, no_nat);
    std::size_t next = 0;
    std::size_t ours = 0;
    for (auto _ : state) {
        const auto packet = parse_packet(packets[next], ETH_P_IP);
        ours += classifier.classify(packet, Direction::outgoing, 1, set) == Verdict::ours;
        if (++next == packets.size()) next = 0;
    }
    if (ours == 0) state.SkipWithError("nothing was accepted: the figure would mean nothing");
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(parse_and_classify)->Arg(1)->Arg(64)->Arg(1000)->Arg(30000);

/// Packets that have not been seen yet, from one device, or from two in turns.
void look_for_duplicates(benchmark::State& state) {
    auto bytes = tcp_packet(40000);
    DuplicateFilter filter;
    std::uint64_t number = 0;
    for (auto _ : state) {
        ++number;
        std::memcpy(&bytes[24], &number, sizeof number);  // the TCP header's numbers
        const auto device = 1 + number % static_cast<std::uint64_t>(state.range(0));
        if (filter.is_duplicate(bytes, 40, device, static_cast<Timestamp>(number)))
            return state.SkipWithError("a new packet was taken for a duplicate");
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(look_for_duplicates)->Arg(1)->Arg(2);

}  // namespace
