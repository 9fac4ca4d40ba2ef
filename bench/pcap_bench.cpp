// Encoding packets as pcap records into a buffer of a mebibyte, which is emptied when it is full, as the writer does.
#include <benchmark/benchmark.h>

#include <array>

#include "writer/pcap_encoder.h"

namespace {

using namespace tracedump;

void encode(benchmark::State& state) {
    const std::vector<std::uint8_t> data(static_cast<std::size_t>(state.range(0)), 0x5a);
    const std::array<std::uint8_t, 8> address{};
    PacketRef packet;
    packet.data = data.data();
    packet.captured_length = packet.original_length = static_cast<std::uint32_t>(data.size());
    packet.time = 1'700'000'000'123'456'789;
    packet.ethertype = 0x0800;
    packet.address = address.data();
    packet.address_length = 6;
    const PcapEncoder encoder(kMaxSnaplen);
    std::vector<std::uint8_t> piece((1 << 20) + Encoder::kLargestRecord);
    std::uint8_t* end = piece.data();
    for (auto _ : state) {
        end = encoder.put_record(end, packet);
        if (end - piece.data() > 1 << 20) end = piece.data();
        benchmark::DoNotOptimize(piece.data());
    }
    state.SetItemsProcessed(state.iterations());
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(encode)->Arg(64)->Arg(1400)->Arg(65000);

}  // namespace
