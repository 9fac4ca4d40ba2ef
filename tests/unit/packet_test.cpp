// Headers of every kind, whole, malformed and cut off. Packets lie in heap buffers of their exact size, so that
// AddressSanitizer sees a read past the end.
#include "capture/packet.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "helpers.h"

namespace tracedump {
namespace {

using test::Bytes;
using test::endpoint;
using Kind = ParsedPacket::Kind;

const Endpoint kFrom4 = endpoint("192.0.2.1:1234");
const Endpoint kTo4 = endpoint("198.51.100.7:80");
const Endpoint kFrom6 = endpoint("[2001:db8::1]:1234");
const Endpoint kTo6 = endpoint("[2001:db8::2]:80");

ParsedPacket parse(const Bytes& bytes, std::uint16_t ethertype) {
    const auto exact = std::make_unique<std::uint8_t[]>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), exact.get());
    return parse_packet({exact.get(), bytes.size()}, ethertype);
}

void expect_ports(const ParsedPacket& packet, Transport transport, const Endpoint& source,
                  const Endpoint& destination) {
    EXPECT_EQ(packet.kind, Kind::ports);
    EXPECT_EQ(packet.transport, transport);
    EXPECT_EQ(packet.source, source);
    EXPECT_EQ(packet.destination, destination);
}

/// Cut off anywhere before `needed` bytes the packet is `other`, from there on it has its ports.
void expect_ports_from(std::size_t needed, const Bytes& whole, std::uint16_t ethertype) {
    for (std::size_t length = 0; length <= whole.size(); ++length) {
        const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
        EXPECT_EQ(parse(cut, ethertype).kind, length < needed ? Kind::other : Kind::ports) << length << " bytes";
    }
}

TEST(Packet, Ipv4HasPortsForEachTransport) {
    for (const Transport transport : {Transport::tcp, Transport::udp, Transport::udplite})
        expect_ports(parse(test::ipv4_packet(kFrom4, kTo4, {.protocol = static_cast<int>(transport)}), ETH_P_IP),
                     transport, kFrom4, kTo4);
}

TEST(Packet, Ipv4OptionsMoveThePorts) {
    for (unsigned words = 1; words <= 10; ++words)
        expect_ports(parse(test::ipv4_packet(kFrom4, kTo4, {.option_words = words}), ETH_P_IP), Transport::tcp, kFrom4,
                     kTo4);
}

TEST(Packet, Ipv4OtherProtocolsAreOther) {
    for (const int protocol :
         std::initializer_list<int>{IPPROTO_ICMP, IPPROTO_SCTP, IPPROTO_ESP, IPPROTO_GRE, IPPROTO_IPIP, 0, 255})
        EXPECT_EQ(parse(test::ipv4_packet(kFrom4, kTo4, {.protocol = protocol}), ETH_P_IP).kind, Kind::other);
}

TEST(Packet, Ipv4FirstFragmentHasPorts) {
    expect_ports(parse(test::ipv4_packet(kFrom4, kTo4, {.more_fragments = true}), ETH_P_IP), Transport::tcp, kFrom4,
                 kTo4);
}

TEST(Packet, Ipv4LaterFragmentIsKnownAsOne) {
    for (const bool more : {false, true}) {
        for (const unsigned offset : {1U, 0x100U, 0x1fffU}) {
            const auto packet =
                parse(test::ipv4_packet(kFrom4, kTo4,
                                        {.protocol = IPPROTO_UDP, .fragment_offset = offset, .more_fragments = more}),
                      ETH_P_IP);
            EXPECT_EQ(packet.kind, Kind::later_fragment);
            EXPECT_EQ(packet.transport, Transport::udp);
        }
    }
}

TEST(Packet, Ipv4LaterFragmentOfAnotherProtocolIsOther) {
    EXPECT_EQ(parse(test::ipv4_packet(kFrom4, kTo4, {.protocol = IPPROTO_ICMP, .fragment_offset = 8}), ETH_P_IP).kind,
              Kind::other);
}

TEST(Packet, Ipv4ReservedAndDontFragmentBitsAreNoOffset) {
    Bytes bytes = test::ipv4_packet(kFrom4, kTo4);
    bytes[6] = 0xc0;
    expect_ports(parse(bytes, ETH_P_IP), Transport::tcp, kFrom4, kTo4);
}

TEST(Packet, Ipv4WithAnotherVersionIsOther) {
    for (unsigned version = 0; version < 16; ++version) {
        Bytes bytes = test::ipv4_packet(kFrom4, kTo4);
        bytes[0] = static_cast<std::uint8_t>(version << 4 | 5);
        EXPECT_EQ(parse(bytes, ETH_P_IP).kind, version == 4 ? Kind::ports : Kind::other) << version;
    }
}

TEST(Packet, Ipv4HeaderShorterThanTwentyBytesIsOther) {
    for (unsigned words = 0; words < 5; ++words) {
        Bytes bytes = test::ipv4_packet(kFrom4, kTo4);
        bytes[0] = static_cast<std::uint8_t>(0x40 | words);
        EXPECT_EQ(parse(bytes, ETH_P_IP).kind, Kind::other) << words;
    }
}

TEST(Packet, Ipv4HeaderLongerThanThePacketIsOther) {
    Bytes bytes = test::ipv4_packet(kFrom4, kTo4);
    bytes[0] = 0x4f;
    EXPECT_EQ(parse(bytes, ETH_P_IP).kind, Kind::other);
}

TEST(Packet, Ipv4CutOffIsOtherUntilThePortsAreThere) {
    expect_ports_from(24, test::ipv4_packet(kFrom4, kTo4), ETH_P_IP);
    expect_ports_from(44, test::ipv4_packet(kFrom4, kTo4, {.option_words = 5}), ETH_P_IP);
}

TEST(Packet, Ipv6HasPortsForEachTransport) {
    for (const Transport transport : {Transport::tcp, Transport::udp, Transport::udplite})
        expect_ports(parse(test::ipv6_packet(kFrom6, kTo6, static_cast<int>(transport)), ETH_P_IPV6), transport, kFrom6,
                     kTo6);
}

TEST(Packet, Ipv6ExtensionHeadersAreWalked) {
    for (const int number : std::initializer_list<int>{IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS, IPPROTO_MH})
        for (const unsigned units : {0U, 1U, 5U, 255U})
            expect_ports(
                parse(test::ipv6_packet(kFrom6, kTo6, IPPROTO_UDP, {test::option_header(number, units)}), ETH_P_IPV6),
                Transport::udp, kFrom6, kTo6);
}

TEST(Packet, Ipv6AuthenticationHeaderIsCountedInWords) {
    for (const unsigned words : {3U, 6U, 9U})
        expect_ports(
            parse(test::ipv6_packet(kFrom6, kTo6, IPPROTO_TCP, {test::authentication_header(words)}), ETH_P_IPV6),
            Transport::tcp, kFrom6, kTo6);
}

TEST(Packet, Ipv6HeadersAreWalkedOneAfterAnother) {
    expect_ports(parse(test::ipv6_packet(kFrom6, kTo6, IPPROTO_UDPLITE,
                                         {test::option_header(IPPROTO_HOPOPTS), test::option_header(IPPROTO_DSTOPTS, 2),
                                          test::option_header(IPPROTO_ROUTING, 1), test::fragment_header(0, true),
                                          test::authentication_header(6), test::option_header(IPPROTO_DSTOPTS)}),
                       ETH_P_IPV6),
                 Transport::udplite, kFrom6, kTo6);
}

TEST(Packet, Ipv6FirstAndAtomicFragmentsHavePorts) {
    for (const bool more : {false, true})
        expect_ports(parse(test::ipv6_packet(kFrom6, kTo6, IPPROTO_UDP, {test::fragment_header(0, more)}), ETH_P_IPV6),
                     Transport::udp, kFrom6, kTo6);
}

TEST(Packet, Ipv6LaterFragmentIsKnownAsOne) {
    for (const unsigned offset : {1U, 0x1fffU})
        EXPECT_EQ(
            parse(test::ipv6_packet(kFrom6, kTo6, IPPROTO_UDP, {test::fragment_header(offset, false)}), ETH_P_IPV6)
                .kind,
            Kind::later_fragment);
}

TEST(Packet, Ipv6OtherProtocolsAreOther) {
    for (const int protocol :
         std::initializer_list<int>{IPPROTO_ICMPV6, IPPROTO_NONE, IPPROTO_ESP, IPPROTO_IPV6, IPPROTO_SCTP, 255})
        EXPECT_EQ(parse(test::ipv6_packet(kFrom6, kTo6, protocol), ETH_P_IPV6).kind, Kind::other);
}

TEST(Packet, Ipv6WithAnotherVersionIsOther) {
    Bytes bytes = test::ipv6_packet(kFrom6, kTo6);
    bytes[0] = 0x45;
    EXPECT_EQ(parse(bytes, ETH_P_IPV6).kind, Kind::other);
}

TEST(Packet, Ipv6ExtensionHeaderBeyondThePacketIsOther) {
    for (const int number :
         std::initializer_list<int>{IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS, IPPROTO_MH, IPPROTO_AH}) {
        Bytes bytes = test::ipv6_packet(kFrom6, kTo6, IPPROTO_TCP, {test::option_header(number)});
        bytes[41] = 255;
        EXPECT_EQ(parse(bytes, ETH_P_IPV6).kind, Kind::other) << number;
    }
}

TEST(Packet, Ipv6EndlessExtensionHeadersAreOther) {
    EXPECT_EQ(
        parse(test::ipv6_packet(kFrom6, kTo6, IPPROTO_TCP, std::vector(1000, test::option_header(IPPROTO_DSTOPTS))),
              ETH_P_IPV6)
            .kind,
        Kind::other);
}

TEST(Packet, Ipv6CutOffIsOtherUntilThePortsAreThere) {
    expect_ports_from(44, test::ipv6_packet(kFrom6, kTo6), ETH_P_IPV6);
    expect_ports_from(40 + 8 + 16 + 8 + 24 + 4,
                      test::ipv6_packet(kFrom6, kTo6, IPPROTO_TCP,
                                        {test::option_header(IPPROTO_HOPOPTS), test::option_header(IPPROTO_ROUTING, 1),
                                         test::fragment_header(0, true), test::authentication_header(6)}),
                      ETH_P_IPV6);
}

TEST(Packet, Ipv6LaterFragmentCutOffBeforeItsOffsetIsOther) {
    const Bytes whole = test::ipv6_packet(kFrom6, kTo6, IPPROTO_UDP, {test::fragment_header(9, false)});
    for (std::size_t length = 0; length < 48; ++length) {
        const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
        EXPECT_EQ(parse(cut, ETH_P_IPV6).kind, Kind::other) << length;
    }
}

TEST(Packet, OtherEthertypesAreOther) {
    for (const std::uint16_t ethertype : std::initializer_list<std::uint16_t>{ETH_P_ARP, ETH_P_8021Q, ETH_P_802_3, 0})
        EXPECT_EQ(parse(test::ipv4_packet(kFrom4, kTo4), ethertype).kind, Kind::other);
    // The ethertype and the version must agree.
    EXPECT_EQ(parse(test::ipv4_packet(kFrom4, kTo4), ETH_P_IPV6).kind, Kind::other);
    EXPECT_EQ(parse(test::ipv6_packet(kFrom6, kTo6), ETH_P_IP).kind, Kind::other);
}

TEST(Packet, RandomBytesAreReadWithinTheirBounds) {
    std::mt19937 random(20240501);
    const auto byte = [&] { return static_cast<std::uint8_t>(random()); };
    constexpr std::uint8_t kNext[] = {IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT,
                                      IPPROTO_AH,      IPPROTO_DSTOPTS, IPPROTO_MH,
                                      IPPROTO_TCP,     IPPROTO_UDP,     IPPROTO_UDPLITE};
    std::size_t with_ports = 0;
    for (int round = 0; round < 100'000; ++round) {
        Bytes bytes(random() % 120);
        for (auto& b : bytes) b = byte();
        const bool v6 = round % 2 == 0;
        // Mostly plausible beginnings, so that the walk gets far.
        if (bytes.size() > 9 && round % 8 != 0) {
            bytes[0] = static_cast<std::uint8_t>(v6 ? 0x60 : 0x40 | (bytes[0] & 0x0f));
            bytes[v6 ? 6 : 9] = kNext[random() % std::size(kNext)];
            for (std::size_t at = 40; v6 && at + 1 < bytes.size(); at += 8) {
                bytes[at] = kNext[random() % std::size(kNext)];
                bytes[at + 1] %= 3;
            }
        }
        const auto packet = parse(bytes, v6 ? ETH_P_IPV6 : ETH_P_IP);
        if (packet.kind == Kind::ports) {
            ++with_ports;
            ASSERT_GE(bytes.size(), v6 ? 44U : 24U);
        }
    }
    EXPECT_GT(with_ports, 1000U);  // or the loop tests nothing
}

const Endpoint kRouter4 = endpoint("203.0.113.1:0");
const Endpoint kRouter6 = endpoint("[2001:db8::ff]:0");

TEST(Packet, IcmpErrorsHaveTheEndsOfWhatTheyQuote) {
    for (int type = 0; type < 256; ++type) {
        const auto t = static_cast<std::uint8_t>(type);
        const auto v4 = parse(test::icmp_message(kRouter4, kFrom4, t, test::ipv4_packet(kFrom4, kTo4)), ETH_P_IP);
        const bool error4 = type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
        EXPECT_EQ(v4.kind, error4 ? Kind::icmp_error : Kind::other) << type;
        const auto v6 = parse(test::icmp_message(kRouter6, kFrom6, t, test::ipv6_packet(kFrom6, kTo6)), ETH_P_IPV6);
        EXPECT_EQ(v6.kind, type < 128 ? Kind::icmp_error : Kind::other) << type;
        for (const ParsedPacket& packet : {v4, v6}) {
            if (packet.kind != Kind::icmp_error) continue;
            EXPECT_EQ(packet.source.port, 1234);
            EXPECT_EQ(packet.destination.port, 80);
            EXPECT_EQ(packet.transport, Transport::tcp);
            EXPECT_FALSE(packet.opens_connection);
            EXPECT_FALSE(packet.fragment);
        }
    }
}

TEST(Packet, AnIcmpErrorNeedsThePortsInItsQuote) {
    const auto quoted6 = test::ipv6_packet(kFrom6, kTo6, IPPROTO_UDP, {test::option_header(IPPROTO_DSTOPTS, 1)});
    const auto whole4 = test::icmp_message(kRouter4, kFrom4, 3, test::ipv4_packet(kFrom4, kTo4, {.option_words = 2}));
    const auto whole6 = test::icmp_message(kRouter6, kFrom6, 1, quoted6);
    for (std::size_t length = 0; length <= whole4.size(); ++length)
        EXPECT_EQ(parse(Bytes(whole4.begin(), whole4.begin() + static_cast<std::ptrdiff_t>(length)), ETH_P_IP).kind,
                  length < 20 + 8 + 28 + 4 ? Kind::other : Kind::icmp_error)
            << length;
    for (std::size_t length = 0; length <= whole6.size(); ++length)
        EXPECT_EQ(parse(Bytes(whole6.begin(), whole6.begin() + static_cast<std::ptrdiff_t>(length)), ETH_P_IPV6).kind,
                  length < 40 + 8 + 40 + 16 + 4 ? Kind::other : Kind::icmp_error)
            << length;
}

TEST(Packet, WhatQuotesNoFirstFragmentOfATransportIsOther) {
    for (const auto& quoted :
         {test::ipv4_packet(kFrom4, kTo4, {.fragment_offset = 1}),
          test::ipv4_packet(kFrom4, kTo4, {.protocol = IPPROTO_ICMP}),
          test::icmp_message(kFrom4, kTo4, 3, test::ipv4_packet(kFrom4, kTo4)), test::ipv6_packet(kFrom6, kTo6)})
        EXPECT_EQ(parse(test::icmp_message(kRouter4, kFrom4, 3, quoted), ETH_P_IP).kind, Kind::other);
    auto in_fragments = test::icmp_message(kRouter4, kFrom4, 3, test::ipv4_packet(kFrom4, kTo4));
    in_fragments[6] = 0x20;
    EXPECT_EQ(parse(in_fragments, ETH_P_IP).kind, Kind::other);
}

}  // namespace
}  // namespace tracedump
