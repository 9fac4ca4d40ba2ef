// Handing batches from one thread to another: the bounded oneTBB queue between capture and writer, with batches of
// 350 packets, about what a block of full-sized packets holds.
#include <benchmark/benchmark.h>

#include <thread>

#include "messages/packet_batch.h"

namespace {

using namespace tracedump;

constexpr std::size_t kPackets = 350;

void hand_over(benchmark::State& state) {
    WriterQueue queue;
    queue.set_capacity(64);
    std::size_t received = 0;
    std::thread writer([&] {
        for (;;) {
            WriterMessage message;
            queue.pop(message);
            if (std::holds_alternative<StopWriting>(message)) return;
            received += std::get<PacketBatch>(message).packets.size();
        }
    });
    for (auto _ : state) {
        PacketBatch batch;
        batch.packets.resize(kPackets);
        queue.push(WriterMessage(std::move(batch)));
    }
    queue.push(StopWriting{});
    writer.join();
    if (received != static_cast<std::size_t>(state.iterations()) * kPackets) state.SkipWithError("packets were lost");
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kPackets));
}
BENCHMARK(hand_over)->UseRealTime();

}  // namespace
