// What is encoded is read back by libpcap.
#include "writer/pcap_encoder.h"

#include <gtest/gtest.h>
#include <linux/if_arp.h>
#include <linux/if_packet.h>
#include <pcap/pcap.h>

#include <cstdio>
#include <memory>

#include "helpers.h"

namespace tracedump {
namespace {

using test::Bytes;

constexpr Timestamp kTime = 1'700'000'001'234'567'899;
constexpr std::uint8_t kMac[8] = {1, 2, 3, 4, 5, 6, 0, 0};

PacketRef packet_of(const Bytes& data) {
    PacketRef packet;
    packet.data = data.data();
    packet.captured_length = packet.original_length = static_cast<std::uint32_t>(data.size());
    packet.time = kTime;
    packet.ethertype = ETH_P_IP;
    packet.arphrd = ARPHRD_ETHER;
    packet.direction = PACKET_OUTGOING;
    packet.address_length = 6;
    packet.address = kMac;
    return packet;
}

struct Record {
    pcap_pkthdr header;
    Bytes bytes;
};

struct Dump {
    int datalink = -1;
    int snapshot = 0;
    bool swapped = true;
    std::vector<Record> records;
    bool whole = false;  // the end came after a whole record
};

Dump read_back(const Bytes& file) {
    Dump dump;
    char error[PCAP_ERRBUF_SIZE] = {};
    FILE* stream = fmemopen(const_cast<std::uint8_t*>(file.data()), file.size(), "rb");
    const std::unique_ptr<pcap_t, void (*)(pcap_t*)> pcap(pcap_fopen_offline(stream, error), pcap_close);
    if (!pcap) {
        ADD_FAILURE() << error;
        fclose(stream);
        return dump;
    }
    dump.datalink = pcap_datalink(pcap.get());
    dump.snapshot = pcap_snapshot(pcap.get());
    dump.swapped = pcap_is_swapped(pcap.get()) != 0;
    pcap_pkthdr* header = nullptr;
    const u_char* data = nullptr;
    int result = 0;
    while ((result = pcap_next_ex(pcap.get(), &header, &data)) == 1)
        dump.records.push_back({*header, Bytes(data, data + header->caplen)});
    dump.whole = result == PCAP_ERROR_BREAK;
    return dump;
}

Dump encode(std::uint32_t snaplen, const std::vector<PacketRef>& packets) {
    const PcapEncoder encoder(snaplen);
    Bytes out((packets.size() + 1) * PcapEncoder::kLargestRecord);
    std::uint8_t* end = encoder.put_file_header(out.data());
    EXPECT_EQ(end - out.data(), static_cast<std::ptrdiff_t>(PcapEncoder::kFileHeaderSize));
    for (const PacketRef& packet : packets) end = encoder.put_record(end, packet);
    out.resize(static_cast<std::size_t>(end - out.data()));
    return read_back(out);
}

TEST(PcapEncoder, AnEmptyCaptureIsAValidFile) {
    const auto dump = encode(kMaxSnaplen, {});
    EXPECT_EQ(dump.datalink, DLT_LINUX_SLL);
    EXPECT_EQ(dump.snapshot, static_cast<int>(kMaxSnaplen));
    EXPECT_FALSE(dump.swapped);
    EXPECT_TRUE(dump.whole);
    EXPECT_TRUE(dump.records.empty());
}

TEST(PcapEncoder, APacketIsReadBackAsItWas) {
    const Bytes data = test::ipv4_packet(test::endpoint("192.0.2.1:1"), test::endpoint("192.0.2.2:2"));
    const auto dump = encode(kMaxSnaplen, {packet_of(data)});
    ASSERT_EQ(dump.records.size(), 1U);
    const Record& record = dump.records[0];
    EXPECT_EQ(record.header.ts.tv_sec, 1'700'000'001);
    EXPECT_EQ(record.header.ts.tv_usec, 234'567);
    EXPECT_EQ(record.header.caplen, data.size() + 16);
    EXPECT_EQ(record.header.len, data.size() + 16);
    Bytes expected{0, PACKET_OUTGOING, 0, ARPHRD_ETHER, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x08, 0x00};
    expected.insert(expected.end(), data.begin(), data.end());
    EXPECT_EQ(record.bytes, expected);
}

TEST(PcapEncoder, PacketsFollowOneAnother) {
    const Bytes small(1, 0xaa), large(65535, 0xbb), none;
    const auto dump = encode(kMaxSnaplen, {packet_of(small), packet_of(large), packet_of(none), packet_of(small)});
    ASSERT_EQ(dump.records.size(), 4U);
    EXPECT_TRUE(dump.whole);
    EXPECT_EQ(dump.records[0].bytes.size(), 17U);
    EXPECT_EQ(dump.records[1].bytes.size(), 65551U);
    EXPECT_EQ(dump.records[2].bytes.size(), 16U);
    EXPECT_EQ(dump.records[3].bytes.back(), 0xaa);
}

TEST(PcapEncoder, TheSnaplenCountsTheLinkHeader) {
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

TEST(PcapEncoder, APacketThatTheRingCutOffKeepsItsLength) {
    const Bytes data(50, 0xdd);
    PacketRef packet = packet_of(data);
    packet.original_length = 9000;
    const auto dump = encode(kMaxSnaplen, {packet});
    ASSERT_EQ(dump.records.size(), 1U);
    EXPECT_EQ(dump.records[0].header.caplen, 66U);
    EXPECT_EQ(dump.records[0].header.len, 9016U);
}

TEST(PcapEncoder, AddressesOfEveryLengthFitEightBytes) {
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
