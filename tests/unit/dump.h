// What libpcap reads in a capture file's bytes, and packets to be encoded.
#pragma once

#include <gtest/gtest.h>
#include <linux/if_arp.h>
#include <linux/if_packet.h>
#include <pcap/pcap.h>

#include <cstdio>
#include <memory>
#include <vector>

#include "helpers.h"
#include "writer/encoder.h"

namespace tracedump::test {

constexpr Timestamp kTime = 1'700'000'001'234'567'899;
constexpr std::uint8_t kMac[8] = {1, 2, 3, 4, 5, 6, 0, 0};

inline PacketRef packet_of(const Bytes& data) {
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
    pcap_pkthdr header;  // its time in seconds and nanoseconds
    Bytes bytes;
};

struct Dump {
    int datalink = -1;
    int snapshot = 0;
    bool swapped = true;
    std::vector<Record> records;
    bool whole = false;  // the end came after a whole record
};

inline Dump read_back(const Bytes& file) {
    Dump dump;
    char error[PCAP_ERRBUF_SIZE] = {};
    FILE* stream = fmemopen(const_cast<std::uint8_t*>(file.data()), file.size(), "rb");
    const std::unique_ptr<pcap_t, void (*)(pcap_t*)> pcap(
        pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO, error), pcap_close);
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

inline Bytes encode(const Encoder& encoder, const std::vector<PacketRef>& packets) {
    Bytes out((packets.size() + 1) * Encoder::kLargestRecord);
    std::uint8_t* end = encoder.put_file_header(out.data());
    for (const PacketRef& packet : packets) end = encoder.put_record(end, packet);
    out.resize(static_cast<std::size_t>(end - out.data()));
    return out;
}

}  // namespace tracedump::test
