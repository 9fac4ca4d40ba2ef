// Blocks that are formed where their packets lie read as those that are copied, and have nothing else in them.
#include "writer/pcapng_encoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "dump.h"
#include "ring_block.h"
#include "writer/byte_sink.h"

namespace tracedump {
namespace {

using test::Bytes;
using test::RingBlock;

const PcapngEncoder kEncoder(kMaxSnaplen, {"test", "none"});

/// A file that has the block only, as it lies in memory.
Bytes file_of(const FormedBlock& formed, const PcapngEncoder& encoder = kEncoder) {
    Bytes file = test::encode(encoder, {});
    file.insert(file.end(), formed.bytes.begin(), formed.bytes.end());
    return file;
}

void expect_same(const test::Dump& formed, const test::Dump& copied) {
    EXPECT_TRUE(formed.whole);
    ASSERT_EQ(formed.records.size(), copied.records.size());
    for (std::size_t i = 0; i < formed.records.size(); ++i) {
        const test::Record &one = formed.records[i], &other = copied.records[i];
        ASSERT_EQ(one.bytes, other.bytes) << i;
        ASSERT_EQ(one.header.len, other.header.len) << i;
        ASSERT_EQ(one.header.ts.tv_sec, other.header.ts.tv_sec) << i;
        ASSERT_EQ(one.header.ts.tv_usec, other.header.ts.tv_usec) << i;
    }
}

TEST(PcapngEncoder, ABlockFormedInPlaceReadsAsItsPacketsDo) {
    std::mt19937 random(1);
    std::uniform_int_distribution<std::size_t> sizes(400, 3000);
    for (int round = 0; round < 50; ++round) {
        RingBlock block;
        for (std::size_t size = sizes(random); block.has_room(size); size = sizes(random))
            block.add(size, static_cast<std::uint8_t>(size));
        const auto copied = test::read_back(test::encode(kEncoder, block.packets));
        PacketBatch batch = block.batch();
        const auto formed = kEncoder.form_in_place(batch);
        ASSERT_TRUE(formed);
        EXPECT_EQ(formed->bytes.data(), block.begin());
        EXPECT_EQ(formed->bytes.size() % ByteSink::kUnit, 0U);
        expect_same(test::read_back(file_of(*formed)), copied);
    }
}

TEST(PcapngEncoder, NothingThatLayBetweenThePacketsIsInTheFile) {
    for (const std::size_t size : {1000U, 1001U, 1002U, 1003U}) {
        RingBlock block;
        block.fill(size, 0x42);
        for (PacketRef& packet : block.packets) packet.time = 0;  // or there may be such a byte in it
        PacketBatch batch = block.batch();
        const auto formed = kEncoder.form_in_place(batch);
        ASSERT_TRUE(formed);
        EXPECT_EQ(std::count(formed->bytes.begin(), formed->bytes.end(), RingBlock::kStale), 0);
        EXPECT_EQ(block.status(), RingBlock::kOut);
    }
}

TEST(PcapngEncoder, APacketThatIsLeftOutLeavesNothing) {
    RingBlock block;
    for (int i = 0; block.has_room(1400); ++i) block.add(1400, i % 8 == 3 ? 0x66 : 0x42);
    std::erase_if(block.packets, [](const PacketRef& packet) { return *packet.data == 0x66; });
    const auto copied = test::read_back(test::encode(kEncoder, block.packets));
    PacketBatch batch = block.batch();
    const auto formed = kEncoder.form_in_place(batch);
    ASSERT_TRUE(formed);
    expect_same(test::read_back(file_of(*formed)), copied);
    EXPECT_EQ(std::search_n(formed->bytes.begin(), formed->bytes.end(), 8, 0x66), formed->bytes.end());
}

TEST(PcapngEncoder, EachRecordEndsWhereItSays) {
    RingBlock block;
    block.fill(1400, 0x42);
    PacketBatch batch = block.batch();
    const auto formed = kEncoder.form_in_place(batch);
    ASSERT_TRUE(formed);
    ASSERT_EQ(formed->record_ends.size(), block.packets.size());
    EXPECT_EQ(formed->record_ends.back(), formed->bytes.size());
    for (std::size_t i = 0; i < formed->record_ends.size(); i += 10) {
        FormedBlock cut = *formed;
        cut.bytes = cut.bytes.first(cut.record_ends[i]);
        const auto dump = test::read_back(file_of(cut));
        EXPECT_TRUE(dump.whole);
        EXPECT_EQ(dump.records.size(), i + 1);
    }
}

TEST(PcapngEncoder, WhatIsNotWorthItIsLeftAlone) {
    const auto is_left = [](const RingBlock& block, PacketBatch batch, const PcapngEncoder& encoder = kEncoder) {
        const Bytes before = block.bytes();
        return !encoder.form_in_place(batch) && block.bytes() == before;
    };
    RingBlock small_packets, few_packets, large_packets, none;
    small_packets.fill(64, 0x42);
    EXPECT_TRUE(is_left(small_packets, small_packets.batch()));
    for (int i = 0; i < 30; ++i) few_packets.add(1400, 0x42);
    EXPECT_TRUE(is_left(few_packets, few_packets.batch()));
    EXPECT_TRUE(is_left(none, none.batch()));
    large_packets.fill(1400, 0x42);
    EXPECT_TRUE(is_left(large_packets, large_packets.batch(), PcapngEncoder(96, {"test", "none"})));
    EXPECT_TRUE(is_left(large_packets, large_packets.batch(), PcapngEncoder(8, {"test", "none"})));
    PacketBatch sparse = large_packets.batch();
    std::size_t i = 0;
    std::erase_if(sparse.packets, [&i](const PacketRef&) { return i++ % 2 != 0; });
    EXPECT_TRUE(is_left(large_packets, std::move(sparse)));
}

TEST(PcapngEncoder, APacketThatLiesElsewhereIsCopied) {
    RingBlock block;
    block.fill(1400, 0x42);
    const Bytes held(1400, 0x43);
    for (const std::size_t place : {std::size_t{0}, std::size_t{5}, block.packets.size()}) {
        PacketBatch batch = block.batch();
        batch.packets.insert(batch.packets.begin() + static_cast<std::ptrdiff_t>(place), test::packet_of(held));
        EXPECT_FALSE(kEncoder.form_in_place(batch));
    }
}

TEST(PcapngEncoder, APacketBehindWhichNothingFitsIsCopied) {
    // To the block's last byte, and up to where its length can stand.
    for (const std::size_t room : {0U, 1U, 3U, 4U, 5U, 8U, 16U}) {
        RingBlock block;
        while (block.has_room(3000 + 1500 + 200)) block.add(1400, 0x42);
        std::size_t last = 1400;
        while (block.has_room(last + 1 + room)) ++last;
        block.add(last, 0x43);
        const auto copied = test::read_back(test::encode(kEncoder, block.packets));
        PacketBatch batch = block.batch();
        const auto formed = kEncoder.form_in_place(batch);
        EXPECT_EQ(formed.has_value(), room >= 4) << room;
        if (formed) expect_same(test::read_back(file_of(*formed)), copied);
    }
}

TEST(PcapngEncoder, OptionsHaveAnEnd) {
    RingBlock block;
    for (std::size_t size = 1000; block.has_room(size); ++size) block.add(size, 0x42);
    PacketBatch batch = block.batch();
    const auto formed = kEncoder.form_in_place(batch);
    ASSERT_TRUE(formed);
    std::uint32_t begin = 0;
    std::memcpy(&begin, formed->bytes.data() + 4, sizeof begin);  // behind the first filler
    for (std::size_t i = 0; i < block.packets.size(); ++i) {
        const std::uint32_t end = formed->record_ends[i];
        std::size_t at = begin + 28 + (block.packets[i].captured_length + 16 + 3) / 4 * 4;
        std::uint16_t option[2] = {1, 0};  // code, length
        while (at + 4 <= end - 4 && option[0] != 0) {
            std::memcpy(option, formed->bytes.data() + at, sizeof option);
            at += 4 + (option[1] + 3U) / 4 * 4;
        }
        ASSERT_EQ(option[0], 0) << i;
        ASSERT_EQ(at, end - 4) << i;
        begin = end;
    }
}

TEST(PcapngEncoder, AFillerEndsWithTheUnit) {
    for (std::size_t place = 0; place < ByteSink::kUnit; place += 4) {
        Bytes file = test::encode(kEncoder, {});
        const std::size_t header = file.size();
        file.resize(header + 3 * ByteSink::kUnit);
        const auto* end = kEncoder.put_filler(file.data() + header, place);
        file.resize(static_cast<std::size_t>(end - file.data()));
        ASSERT_EQ((place + file.size() - header) % ByteSink::kUnit, 0U) << place;
        const auto dump = test::read_back(file);
        ASSERT_TRUE(dump.whole) << place;
        ASSERT_TRUE(dump.records.empty());
    }
}

TEST(PcapngEncoder, StatisticsAreABlockThatReadersKnow) {
    Bytes file = test::encode(kEncoder, {});
    const std::size_t header = file.size();
    file.resize(header + Encoder::kLargestRecord);
    const auto* end = kEncoder.put_statistics(file.data() + header, {test::kTime, test::kTime + 1, 30, 20, 10});
    file.resize(static_cast<std::size_t>(end - file.data()));
    EXPECT_TRUE(test::read_back(file).whole);
    const auto number_at = [&](std::size_t at) {
        std::uint64_t number = 0;
        std::memcpy(&number, file.data() + header + at, sizeof number);
        return number;
    };
    // Type and length, interface and time, two options of a time, then three of a number.
    EXPECT_EQ(number_at(20 + 12 + 12 + 4), 30U);
    EXPECT_EQ(number_at(20 + 12 + 12 + 12 + 4), 20U);
    EXPECT_EQ(number_at(20 + 12 + 12 + 24 + 4), 10U);
}

}  // namespace
}  // namespace tracedump
