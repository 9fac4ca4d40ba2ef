// What each format encodes is read back by libpcap.
#include "writer/encoder.h"

#include <gtest/gtest.h>

#include "dump.h"
#include "writer/pcap_encoder.h"
#include "writer/pcapng_encoder.h"

namespace tracedump {
namespace {

using test::Bytes;
using test::Dump;
using test::packet_of;
using test::Record;

enum class Format { pcap, pcapng };

class EncoderTest : public ::testing::TestWithParam<Format> {
protected:
    static Dump encode(std::uint32_t snaplen, const std::vector<PacketRef>& packets) {
        if (GetParam() == Format::pcap) return test::read_back(test::encode(PcapEncoder(snaplen), packets));
        return test::read_back(test::encode(PcapngEncoder(snaplen, {"test", "none"}), packets));
    }
    static long precision() { return GetParam() == Format::pcap ? 1000 : 1; }  // ns
};

INSTANTIATE_TEST_SUITE_P(Formats, EncoderTest, ::testing::Values(Format::pcap, Format::pcapng),
                         [](const auto& tested) { return tested.param == Format::pcap ? "pcap" : "pcapng"; });

TEST_P(EncoderTest, AnEmptyCaptureIsAValidFile) {
    const auto dump = encode(kMaxSnaplen, {});
    EXPECT_EQ(dump.datalink, DLT_LINUX_SLL);
    EXPECT_EQ(dump.snapshot, static_cast<int>(kMaxSnaplen));
    EXPECT_FALSE(dump.swapped);
    EXPECT_TRUE(dump.whole);
    EXPECT_TRUE(dump.records.empty());
}

TEST_P(EncoderTest, APacketIsReadBackAsItWas) {
    const Bytes data = test::ipv4_packet(test::endpoint("192.0.2.1:1"), test::endpoint("192.0.2.2:2"));
    const auto dump = encode(kMaxSnaplen, {packet_of(data)});
    ASSERT_EQ(dump.records.size(), 1U);
    const Record& record = dump.records[0];
    EXPECT_EQ(record.header.ts.tv_sec, 1'700'000'001);
    EXPECT_EQ(record.header.ts.tv_usec, 234'567'899 / precision() * precision());
    EXPECT_EQ(record.header.caplen, data.size() + 16);
    EXPECT_EQ(record.header.len, data.size() + 16);
    Bytes expected{0, PACKET_OUTGOING, 0, ARPHRD_ETHER, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x08, 0x00};
    expected.insert(expected.end(), data.begin(), data.end());
    EXPECT_EQ(record.bytes, expected);
}

TEST_P(EncoderTest, PacketsFollowOneAnother) {
    const Bytes small(1, 0xaa), large(65535, 0xbb), none;
    const auto dump = encode(kMaxSnaplen, {packet_of(small), packet_of(large), packet_of(none), packet_of(small)});
    ASSERT_EQ(dump.records.size(), 4U);
    EXPECT_TRUE(dump.whole);
    EXPECT_EQ(dump.records[0].bytes.size(), 17U);
    EXPECT_EQ(dump.records[1].bytes.size(), 65551U);
    EXPECT_EQ(dump.records[2].bytes.size(), 16U);
    EXPECT_EQ(dump.records[3].bytes.back(), 0xaa);
}

TEST_P(EncoderTest, TheSnaplenCountsTheLinkHeader) {
    const Bytes data(100, 0xcc);
    for (const std::uint32_t snaplen : {1U, 4U, 15U, 16U, 17U, 60U, 115U, 116U, 117U, 1000U}) {
        const auto dump = encode(snaplen, {packet_of(data), packet_of(data)});
        ASSERT_EQ(dump.records.size(), 2U) << snaplen;
        for (const Record& record : dump.records) {
            EXPECT_EQ(record.header.caplen, std::min(snaplen, 116U)) << snaplen;
            EXPECT_EQ(record.header.len, 116U) << snaplen;
        }
        EXPECT_TRUE(dump.whole);
    }
}

TEST_P(EncoderTest, TheLargestPacketFitsWhereOneMayBegin) {
    const Bytes data(kMaxSnaplen, 0xcc);
    const auto dump = encode(kMaxSnaplen, {packet_of(data)});
    ASSERT_EQ(dump.records.size(), 1U);
    EXPECT_EQ(dump.records[0].header.caplen, kMaxSnaplen);
}

TEST_P(EncoderTest, APacketThatTheRingCutOffKeepsItsLength) {
    const Bytes data(50, 0xdd);
    PacketRef packet = packet_of(data);
    packet.original_length = 9000;
    const auto dump = encode(kMaxSnaplen, {packet});
    ASSERT_EQ(dump.records.size(), 1U);
    EXPECT_EQ(dump.records[0].header.caplen, 66U);
    EXPECT_EQ(dump.records[0].header.len, 9016U);
}

TEST_P(EncoderTest, AddressesOfEveryLengthFitEightBytes) {
    const Bytes data(4, 0);
    const std::uint8_t address[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (const std::uint8_t length :
         std::initializer_list<std::uint8_t>{0, 1, 6, 8, 20}) {  // 20: InfiniBand's, of which the kernel gives 8
        PacketRef packet = packet_of(data);
        packet.address = address;
        packet.address_length = length;
        const auto dump = encode(kMaxSnaplen, {packet});
        ASSERT_EQ(dump.records.size(), 1U);
        const Bytes& bytes = dump.records[0].bytes;
        EXPECT_EQ(bytes[5], length);
        for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(bytes[6 + i], i < length ? i + 1 : 0) << int{length};
    }
}

}  // namespace
}  // namespace tracedump
