// The writer before sinks that take all, that are full at some byte, and whose reader is gone.
#include "writer/writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "dump.h"
#include "helpers.h"
#include "ring_block.h"
#include "writer/pcap_encoder.h"
#include "writer/pcapng_encoder.h"

namespace tracedump {
namespace {

using test::Bytes;
using test::RingBlock;

/// Takes so many bytes and fails with `error` from then on; leaves the last `left_out` to be given again.
class FakeSink : public ByteSink {
public:
    explicit FakeSink(std::size_t room = SIZE_MAX, int error = ENOSPC, std::size_t left_out = 0)
        : room_(room), error_(error), left_out_(left_out) {}

    Outcome write(std::span<const std::uint8_t> data, Haste haste, Rest rest) override {
        ++writes;
        if (rest == Rest::may_wait) data = data.first(data.size() - left_out_);
        in_haste += haste == Haste::behind;
        const std::size_t n = std::min(data.size(), room_ - bytes.size());
        bytes.insert(bytes.end(), data.begin(), data.begin() + static_cast<std::ptrdiff_t>(n));
        return {n, n == data.size() ? 0 : error_};
    }
    bool has_units() const override { return units; }
    std::size_t place_in_unit() const override { return bytes.size() % kUnit; }
    void clear() override { bytes.clear(); }
    void take_back(std::size_t count) override {
        ASSERT_LE(count, bytes.size());
        bytes.resize(bytes.size() - count);
    }

    Bytes bytes;
    bool units = false;
    int writes = 0;
    int in_haste = 0;

private:
    std::size_t room_;
    int error_;
    std::size_t left_out_;  // of each piece whose rest may wait
};

constexpr std::size_t kPayload = 84;
constexpr std::size_t kRecord = 16 + 16 + kPayload;
constexpr std::size_t kHeader = PcapEncoder::kFileHeaderSize;
constexpr std::uint32_t kOut = 7, kGivenBack = 0;

class WriterTest : public ::testing::Test {
protected:
    /// A block's first bytes: its status, and what comes before that.
    struct Head {
        std::uint32_t unused[2] = {};
        std::uint32_t status = kOut;
        std::span<std::uint8_t> bytes() { return {reinterpret_cast<std::uint8_t*>(this), sizeof *this}; }
    };

    PacketBatch batch(std::size_t packets, Head& head) {
        PacketRef packet;
        packet.data = payload_.data();
        packet.captured_length = packet.original_length = kPayload;
        packet.address = address_;
        return {std::vector(packets, packet), {}, BlockLease(nullptr, head.bytes(), kGivenBack), false};
    }

    /// Writes batches of these sizes to the sink and stops.
    void write(ByteSink& sink, const std::vector<std::size_t>& batches, std::ptrdiff_t capacity = 1000) {
        WriterQueue queue;
        queue.set_capacity(capacity);
        Writer writer(links(sink, queue));
        writer.begin();
        std::vector<Head> heads(batches.size());
        for (std::size_t i = 0; i < batches.size(); ++i) queue.push(batch(batches[i], heads[i]));
        queue.push(StopWriting{});
        writer.run();
        for (const Head& head : heads) EXPECT_EQ(head.status, kGivenBack);
    }

    Writer::Links links(ByteSink& sink, WriterQueue& queue) {
        return {std::make_unique<PcapEncoder>(kMaxSnaplen), sink, queue, session_, counters_, "dump.pcap"};
    }

    template <typename Condition>
    static bool comes_true(Condition condition) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (!condition() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
        return condition();
    }

    std::vector<SessionEvent> events() {
        std::vector<SessionEvent> all;
        while (auto event = session_.take()) all.push_back(std::move(*event));
        return all;
    }

    const Bytes payload_ = Bytes(kPayload, 0x42);
    const std::uint8_t address_[8] = {};
    SessionMailbox session_;
    WriterCounters counters_;
};

TEST_F(WriterTest, BeginWritesTheHeaderAtOnce) {
    FakeSink sink;
    WriterQueue queue;
    Writer writer(links(sink, queue));
    writer.begin();
    EXPECT_EQ(sink.bytes.size(), kHeader);
    EXPECT_EQ(counters_.written, 0U);
}

TEST_F(WriterTest, StoppingWritesEverything) {
    FakeSink sink;
    write(sink, {1, 2, 3});
    EXPECT_EQ(sink.bytes.size(), kHeader + 6 * kRecord);
    EXPECT_EQ(counters_.written, 6U);
    EXPECT_EQ(counters_.lost, 0U);
    EXPECT_TRUE(events().empty());
}

TEST_F(WriterTest, ManyPacketsAreWrittenInFewPieces) {
    FakeSink sink;
    write(sink, std::vector<std::size_t>(50, 1000));
    EXPECT_EQ(sink.bytes.size(), kHeader + 50'000 * kRecord);
    EXPECT_EQ(counters_.written, 50'000U);
    EXPECT_LT(sink.writes, 20);
}

TEST_F(WriterTest, IsInHasteWhenTheQueueFills) {
    FakeSink with_time, behind;
    write(with_time, std::vector<std::size_t>(8, 10'000), 1000);
    EXPECT_EQ(with_time.in_haste, 0);
    write(behind, std::vector<std::size_t>(8, 10'000), 10);
    EXPECT_GE(behind.in_haste, 6);  // a piece a batch, as long as more than a fourth of the queue waits
    EXPECT_EQ(behind.bytes, with_time.bytes);
}

TEST_F(WriterTest, AnIdleWriterFlushesWhatItHas) {
    FakeSink sink;
    WriterQueue queue;
    Writer writer(links(sink, queue));
    writer.begin();
    Head head;
    queue.push(batch(3, head));
    std::jthread thread([&] { writer.run(); });
    EXPECT_TRUE(comes_true([&] { return counters_.written == 3; }));  // before it was told to stop
    queue.push(StopWriting{});
}

TEST_F(WriterTest, WhatIsToBeFollowedAtOnceWaitsForThatOrForALull) {
    FakeSink sink;
    WriterQueue queue;
    Writer writer(links(sink, queue));
    writer.begin();
    std::jthread thread([&] { writer.run(); });
    Head heads[3];
    for (Head& head : heads) {
        PacketBatch followed = batch(1, head);
        followed.more_follows = true;
        queue.push(std::move(followed));
        EXPECT_TRUE(comes_true([&] { return std::atomic_ref(head.status).load() == kGivenBack; }));  // it was copied
        EXPECT_EQ(counters_.written, 0U);
    }
    queue.push(Lull{});
    EXPECT_TRUE(comes_true([&] { return counters_.written == 3; }));
    queue.push(StopWriting{});
}

TEST_F(WriterTest, OnlyWholeRecordsStayWhereverTheSinkIsFull) {
    for (std::size_t room = 0; room <= kHeader + 4 * kRecord; ++room) {
        FakeSink sink(room);
        counters_.written = 0;
        counters_.lost = 0;
        write(sink, {1, 3});
        const std::size_t whole = room < kHeader ? 0 : (room - kHeader) / kRecord;
        ASSERT_EQ(sink.bytes.size(), room < kHeader ? 0 : kHeader + whole * kRecord) << room;
        ASSERT_EQ(counters_.written, whole) << room;
        ASSERT_EQ(counters_.lost, 4 - whole) << room;
        const auto all = events();
        if (whole == 4) {
            ASSERT_TRUE(all.empty());
        } else {
            ASSERT_EQ(all.size(), 1U) << room;
            ASSERT_TRUE(std::holds_alternative<ThreadFailed>(all[0]));
            EXPECT_EQ(std::get<ThreadFailed>(all[0]).error, "cannot write to dump.pcap: no space left on device");
        }
    }
}

TEST_F(WriterTest, AfterAFailureNothingMoreIsTriedAndEverythingIsCounted) {
    FakeSink sink(kHeader + 3'000'000);
    write(sink, std::vector<std::size_t>(60, 1000));
    EXPECT_EQ(counters_.written, 3'000'000 / kRecord);
    EXPECT_EQ(counters_.written + counters_.lost, 60'000U);
    EXPECT_EQ(sink.bytes.size(), kHeader + 3'000'000 / kRecord * kRecord);
    EXPECT_EQ(events().size(), 1U);
    EXPECT_LE(sink.writes, 4);
}

TEST_F(WriterTest, WhatTheSinkLeavesOutIsGivenAgain) {
    FakeSink all, in_units(SIZE_MAX, 0, 1001);
    write(all, std::vector<std::size_t>(50, 1000));
    write(in_units, std::vector<std::size_t>(50, 1000));
    EXPECT_EQ(in_units.bytes, all.bytes);
    EXPECT_EQ(counters_.written, 100'000U);
}

TEST_F(WriterTest, ARecordWhoseBeginningIsInTheSinkIsTakenBackToo) {
    // Full within the record that was left out.
    FakeSink sink(kHeader + 10'000 * kRecord - 1, ENOSPC, 1001);
    write(sink, std::vector<std::size_t>(50, 1000));
    EXPECT_EQ(sink.bytes.size(), kHeader + 9'999 * kRecord);
    EXPECT_EQ(counters_.written, 9'999U);
    EXPECT_EQ(counters_.lost, 50'000U - 9'999U);
}

TEST_F(WriterTest, AReaderThatIsGoneIsNoFailure) {
    FakeSink sink(kHeader + kRecord + 5, EPIPE);
    write(sink, {5});
    const auto all = events();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_TRUE(std::holds_alternative<OutputClosed>(all[0]));
    EXPECT_EQ(counters_.written, 1U);
    EXPECT_EQ(counters_.lost, 4U);
}

/// In pcapng, to a file that takes blocks as they lie in the ring.
class FormedWriterTest : public WriterTest {
protected:
    /// Writes the blocks, in this order, with some packets that are copied where it says so, and stops.
    void write_blocks(FakeSink& sink, const std::vector<RingBlock>& blocks, bool copied_between = false,
                      std::ptrdiff_t capacity = 1000, bool full = true) {
        WriterQueue queue;
        queue.set_capacity(capacity);
        Writer::Links all = links(sink, queue);
        all.encoder = std::make_unique<PcapngEncoder>(kMaxSnaplen, PcapngEncoder::Origin{"test", "none"});
        Writer writer(std::move(all));
        writer.begin();
        sink.writes = 0;
        std::vector<Head> heads(blocks.size());
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            if (copied_between) queue.push(batch(3, heads[i]));
            queue.push(blocks[i].batch(full));
        }
        queue.push(StopWriting{});
        writer.run();
        for (const RingBlock& block : blocks) EXPECT_EQ(block.status(), RingBlock::kGivenBack);
    }

    static std::vector<RingBlock> filled(std::size_t count, std::size_t size = 1400) {
        auto blocks = RingBlock::in_a_row(count);
        for (RingBlock& block : blocks) block.fill(size, 0x42);
        return blocks;
    }
};

TEST_F(FormedWriterTest, BlocksThatFollowEachOtherAreWrittenTogether) {
    FakeSink sink;
    sink.units = true;
    const auto blocks = filled(4);
    write_blocks(sink, blocks);
    const std::size_t packets = 4 * blocks[0].packets.size();
    const auto dump = test::read_back(sink.bytes);
    EXPECT_TRUE(dump.whole);
    EXPECT_EQ(dump.records.size(), packets);
    EXPECT_EQ(counters_.written, packets);
    EXPECT_EQ(sink.writes, 3);  // up to the first unit, the blocks, the statistics
}

TEST_F(FormedWriterTest, SoAreThoseWhosePacketsDoNotReachTheEnd) {
    for (const std::size_t size : {9000U, 33000U, 64000U, 65500U}) {  // one more would not have fitted
        FakeSink sink;
        sink.units = true;
        const auto blocks = filled(4, size);
        write_blocks(sink, blocks);
        const auto dump = test::read_back(sink.bytes);
        EXPECT_TRUE(dump.whole);
        EXPECT_EQ(dump.records.size(), 4 * blocks[0].packets.size()) << size;
        EXPECT_EQ(sink.writes, 3) << size;
        EXPECT_EQ(std::search_n(sink.bytes.begin(), sink.bytes.end(), 8, RingBlock::kStale), sink.bytes.end());
    }
}

TEST_F(FormedWriterTest, NothingIsWrittenBehindABlockWhoseTimeWasUp) {
    FakeSink sink;
    sink.units = true;
    auto blocks = RingBlock::in_a_row(2);
    for (RingBlock& block : blocks)
        for (int i = 0; i < 150; ++i) block.add(1400, 0x42);
    write_blocks(sink, blocks, false, 1000, false);
    EXPECT_EQ(test::read_back(sink.bytes).records.size(), 300U);
    EXPECT_LT(sink.bytes.size(), 300 * 1500 + 4 * ByteSink::kUnit);
}

TEST_F(FormedWriterTest, PacketsThatAreInNoBlockAreCopied) {
    FakeSink sink;
    sink.units = true;
    WriterQueue queue;
    Writer::Links all = links(sink, queue);
    all.encoder = std::make_unique<PcapngEncoder>(kMaxSnaplen, PcapngEncoder::Origin{"test", "none"});
    Writer writer(std::move(all));
    writer.begin();
    PacketBatch held;
    held.held.emplace_back(test::packet_of(payload_));
    held.packets.push_back(held.held.back().ref());
    queue.push(std::move(held));
    queue.push(StopWriting{});
    writer.run();
    EXPECT_EQ(test::read_back(sink.bytes).records.size(), 1U);
}

TEST_F(FormedWriterTest, BlocksThatDoNotFollowEachOtherAreWrittenOneByOne) {
    FakeSink sink;
    sink.units = true;
    auto blocks = filled(4);
    std::swap(blocks[1], blocks[3]);
    write_blocks(sink, blocks);
    EXPECT_TRUE(test::read_back(sink.bytes).whole);
    EXPECT_EQ(test::read_back(sink.bytes).records.size(), counters_.written);
    EXPECT_EQ(sink.writes, 6);
}

TEST_F(FormedWriterTest, NoMoreThanAnEighthOfTheRingIsHeld) {
    FakeSink sink;
    sink.units = true;
    write_blocks(sink, filled(6), false, 16);
    EXPECT_EQ(sink.writes, 5);
}

TEST_F(FormedWriterTest, CopiedAndFormedPacketsFollowEachOther) {
    FakeSink sink;
    sink.units = true;
    const auto blocks = filled(3);
    write_blocks(sink, blocks, true);
    const auto dump = test::read_back(sink.bytes);
    EXPECT_TRUE(dump.whole);
    EXPECT_EQ(dump.records.size(), 3 * (3 + blocks[0].packets.size()));
    EXPECT_EQ(dump.records.size(), counters_.written);
    EXPECT_EQ(dump.records[0].bytes.size(), 16 + kPayload);
    EXPECT_EQ(dump.records[3].bytes.size(), 16 + 1400U);
    EXPECT_EQ(dump.records[3 + blocks[0].packets.size()].bytes.size(), 16 + kPayload);
}

TEST_F(FormedWriterTest, APipeGetsNothingButPackets) {
    FakeSink sink;
    const auto blocks = filled(1);
    write_blocks(sink, blocks);
    const auto dump = test::read_back(sink.bytes);
    EXPECT_TRUE(dump.whole);
    EXPECT_EQ(dump.records.size(), blocks[0].packets.size());
    EXPECT_LT(sink.bytes.size(), dump.records.size() * (1400 + 16 + 32 + 4) + 1000);
}

TEST_F(FormedWriterTest, OnlyWholePacketsStayWhereverTheSinkIsFull) {
    const std::size_t packets = 2 * (3 + filled(1)[0].packets.size());
    for (std::size_t room = 200; room < 3 * RingBlock::kSize; room += 4093) {
        FakeSink sink(room);
        sink.units = true;
        counters_.written = 0;
        counters_.lost = 0;
        write_blocks(sink, filled(2), true);
        const auto dump = test::read_back(sink.bytes);
        ASSERT_TRUE(dump.whole) << room;
        ASSERT_EQ(dump.records.size(), counters_.written) << room;
        ASSERT_EQ(counters_.written + counters_.lost, packets) << room;
        ASSERT_LE(events().size(), 1U);
    }
}

TEST(BlockLease, GivesItsBlockBackOnce) {
    RingBlock block;
    {
        PacketBatch batch = block.batch();
        BlockLease second(std::move(batch.block));
        batch.block.give_back();  // NOLINT: moved from, has nothing to give
        EXPECT_EQ(block.status(), RingBlock::kOut);
        BlockLease third;
        third = std::move(second);
        EXPECT_EQ(block.status(), RingBlock::kOut);
    }
    EXPECT_EQ(block.status(), RingBlock::kGivenBack);
}

TEST(BlockLease, KeepsItsRingUntilTheBlockIsBack) {
    alignas(4) std::uint8_t memory[16] = {};
    auto ring = std::make_shared<int>();
    BlockLease lease(ring, memory, kGivenBack);
    EXPECT_EQ(ring.use_count(), 2);
    BlockLease other(std::move(lease));
    EXPECT_EQ(ring.use_count(), 2);
    other.give_back();
    EXPECT_EQ(ring.use_count(), 1);
}

TEST(BlockLease, AssigningGivesTheOldBlockBack) {
    RingBlock first, second;
    BlockLease lease = first.batch().block;
    lease = second.batch().block;
    EXPECT_EQ(first.status(), RingBlock::kGivenBack);
    EXPECT_EQ(second.status(), RingBlock::kOut);
    lease.give_back();
    EXPECT_EQ(second.status(), RingBlock::kGivenBack);
}

}  // namespace
}  // namespace tracedump
