// Compiled filters, run in user space against packets and compared with the sets that they were compiled from.
#include "capture/filter_compiler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bitset>
#include <numeric>
#include <random>
#include <set>

#include "capture/packet.h"
#include "classic_run.h"
#include "helpers.h"

namespace tracedump {
namespace {

using test::Bytes;
using test::ClassicRun;
using test::endpoint;
using test::Link;

constexpr std::uint32_t kSnaplen = 1500;

constexpr Link kIncoming{ETH_P_IP, PACKET_HOST, ARPHRD_ETHER};
constexpr Link kOutgoing{ETH_P_IP, PACKET_OUTGOING, ARPHRD_ETHER};
constexpr Link kLoopbackIn{ETH_P_IP, PACKET_HOST, ARPHRD_LOOPBACK};
constexpr Link kLoopbackOut{ETH_P_IP, PACKET_OUTGOING, ARPHRD_LOOPBACK};

Link over_ipv6(Link link) {
    link.ethertype = ETH_P_IPV6;
    return link;
}

std::uint32_t run(const FilterProgram& program, const Link& link, const Bytes& packet) {
    return ClassicRun(program, link)(packet);
}

FilterProgram compile_ports(const Ranges& ranges, std::size_t max_instructions = BPF_MAXINSNS) {
    FilterSpec spec;
    spec.ports = ranges;
    return compile_filter(spec, kSnaplen, max_instructions);
}

using Members = std::bitset<65536>;

Members members_of(const Ranges& ranges) {
    Members members;
    for (const Range& range : ranges)
        for (std::uint32_t port = range.first; port <= range.last; ++port) members.set(port);
    return members;
}

Ranges ranges_of(const Members& members) {
    Ranges ranges;
    for (std::uint32_t port = 0; port < 65536; ++port) {
        if (!members[port]) continue;
        if (!ranges.empty() && ranges.back().last + 1 == port)
            ranges.back().last = port;
        else
            ranges.push_back({port, port});
    }
    return ranges;
}

Members random_members(std::size_t count, unsigned seed) {
    std::vector<std::uint32_t> ports(65536);
    std::iota(ports.begin(), ports.end(), 0);
    std::shuffle(ports.begin(), ports.end(), std::mt19937(seed));
    Members members;
    for (std::size_t i = 0; i < count; ++i) members.set(ports[i]);
    return members;
}

bool jumps_stay_inside(const FilterProgram& program) {
    const auto& code = program.instructions;
    for (std::size_t i = 0; i < code.size(); ++i) {
        if (BPF_CLASS(code[i].code) != BPF_JMP) continue;
        const bool always = BPF_OP(code[i].code) == BPF_JA;
        if (i + 1 + (always ? code[i].k : std::max(code[i].jt, code[i].jf)) >= code.size()) return false;
    }
    return !code.empty() && BPF_CLASS(code.back().code) == BPF_RET;
}

/// The program accepts exactly the ports of its spec, all 65536 looked at, whatever the direction; `stranger` is a
/// port outside of the set for the other end, if there is one.
void expect_exactly(const FilterProgram& program) {
    const Members members = members_of(program.spec.ports);
    std::uint16_t stranger = 0;
    while (members[stranger] && stranger != 65535) ++stranger;
    const bool all = members.all();
    ASSERT_TRUE(jumps_stay_inside(program));
    const ClassicRun outgoing(program, kOutgoing), incoming(program, kIncoming), loopback(program, kLoopbackIn);
    const ClassicRun loopback_copy(program, kLoopbackOut);
    Bytes as_source = test::ipv4_packet(endpoint("192.0.2.1:0"), endpoint("192.0.2.2:0"));
    Bytes as_destination = as_source;
    const auto put = [](Bytes& bytes, std::size_t at, std::uint32_t port) {
        bytes[at] = static_cast<std::uint8_t>(port >> 8);
        bytes[at + 1] = static_cast<std::uint8_t>(port);
    };
    put(as_source, 22, stranger);
    put(as_destination, 20, stranger);
    for (std::uint32_t port = 0; port < 65536; ++port) {
        put(as_source, 20, port);
        put(as_destination, 22, port);
        const std::uint32_t expected = members[port] ? kSnaplen : 0;
        ASSERT_EQ(outgoing(as_source), expected) << port;
        ASSERT_EQ(incoming(as_destination), expected) << port;
        ASSERT_EQ(loopback(as_source), expected) << port;
        ASSERT_EQ(loopback(as_destination), expected) << port;
        ASSERT_EQ(loopback_copy(as_source), 0U) << port;
        if (!all) {
            ASSERT_EQ(incoming(as_source), 0U) << port;
            ASSERT_EQ(outgoing(as_destination), 0U) << port;
        }
    }
}

const Bytes kTcp4 = test::ipv4_packet(endpoint("192.0.2.1:1000"), endpoint("192.0.2.2:80"));
const Bytes kTcp6 = test::ipv6_packet(endpoint("[2001:db8::1]:1000"), endpoint("[2001:db8::2]:80"));

TEST(FilterCompiler, AnEmptySetRejectsAll) {
    const auto program = compile_filter({}, kSnaplen);
    for (const Link& link : {kIncoming, kOutgoing, kLoopbackIn, kLoopbackOut}) {
        EXPECT_EQ(run(program, link, kTcp4), 0U);
        EXPECT_EQ(run(program, over_ipv6(link), kTcp6), 0U);
        EXPECT_EQ(run(program, link, test::ipv4_packet({}, {}, {.fragment_offset = 1})), 0U);
    }
}

TEST(FilterCompiler, SinglePortsAreAcceptedExactly) {
    for (const std::uint32_t port : {0U, 1U, 80U, 255U, 256U, 32767U, 32768U, 65534U, 65535U})
        expect_exactly(compile_ports({{port, port}}));
}

TEST(FilterCompiler, RangesAreAcceptedExactly) {
    expect_exactly(compile_ports({{0, 10}, {12, 12}, {1000, 1999}, {65000, 65535}}));
    expect_exactly(compile_ports({{0, 32767}}));
    expect_exactly(compile_ports({{32768, 65535}}));
    expect_exactly(compile_ports({{0, 65535}}));
}

class RandomSets : public ::testing::TestWithParam<std::size_t> {};

TEST_P(RandomSets, AreAcceptedExactlyOrAsWidened) {
    const Members members = random_members(GetParam(), static_cast<unsigned>(GetParam()));
    for (const std::size_t limit : {std::size_t{256}, std::size_t{512}, std::size_t{BPF_MAXINSNS}}) {
        SCOPED_TRACE(limit);
        FilterSpec wanted;
        wanted.ports = ranges_of(members);
        const auto program = compile_filter(wanted, kSnaplen, limit);
        EXPECT_LE(program.instructions.size(), limit);
        EXPECT_TRUE(program.spec.covers(wanted));
        if (wanted.ports.size() * 5 + 100 <= limit) {
            EXPECT_EQ(program.spec.ports, wanted.ports) << "widened without need";
        }
        expect_exactly(program);
    }
}

INSTANTIATE_TEST_SUITE_P(FilterCompiler, RandomSets,
                         ::testing::Values<std::size_t>(1, 10, 100, 1000, 10'000, 30'000, 65'536));

TEST(FilterCompiler, JumpsNearTheirReachAreRight) {
    for (std::size_t count = 40; count <= 200; count += count < 100 ? 7 : 3) {
        SCOPED_TRACE(count);
        const auto program = compile_ports(ranges_of(random_members(count, static_cast<unsigned>(count))));
        const Members members = members_of(program.spec.ports);
        ASSERT_EQ(members.count(), count);
        ASSERT_TRUE(jumps_stay_inside(program));
        const ClassicRun outgoing(program, kOutgoing), incoming(program, kIncoming);
        for (std::uint32_t port = 0; port < 65536; ++port) {
            // Only borders can go wrong.
            if (port != 0 && port != 65535 && members[port - 1] == members[port] && members[port + 1] == members[port])
                continue;
            const Endpoint ours{test::address("192.0.2.1"), static_cast<std::uint16_t>(port)};
            const std::uint32_t expected = members[port] ? kSnaplen : 0;
            ASSERT_EQ(outgoing(test::ipv4_packet(ours, endpoint("192.0.2.2:80"))), expected) << port;
            ASSERT_EQ(incoming(test::ipv4_packet(endpoint("192.0.2.2:80"), ours)), expected) << port;
        }
    }
}

TEST(FilterCompiler, ManyRemotesFitAndAreAccepted) {
    std::mt19937 random(7);
    for (const std::size_t count : {1U, 10U, 100U, 1000U}) {
        PortSet set;
        std::vector<Endpoint> remotes;
        for (std::size_t i = 0; i < count; ++i) {
            const auto bits = static_cast<std::uint32_t>(random());
            const std::uint8_t bytes[4] = {static_cast<std::uint8_t>(bits >> 24), static_cast<std::uint8_t>(bits >> 16),
                                           static_cast<std::uint8_t>(bits >> 8), static_cast<std::uint8_t>(bits)};
            remotes.push_back({Address::v4(bytes), static_cast<std::uint16_t>(random())});
            set.add_pending({i, i, Transport::tcp, remotes.back(), 0});
        }
        const auto wanted = FilterSpec::of(set);
        const auto program = compile_filter(wanted, kSnaplen, 512);
        EXPECT_LE(program.instructions.size(), 512U);
        EXPECT_TRUE(program.spec.covers(wanted));
        const ClassicRun outgoing(program, kOutgoing), incoming(program, kIncoming), loopback(program, kLoopbackIn);
        for (const Endpoint& remote : remotes) {
            const Endpoint local = endpoint("192.0.2.1:1");
            ASSERT_EQ(outgoing(test::ipv4_packet(local, remote)), kSnaplen);
            ASSERT_EQ(incoming(test::ipv4_packet(remote, local)), kSnaplen);
            ASSERT_EQ(loopback(test::ipv4_packet(remote, local)), kSnaplen);
            ASSERT_EQ(loopback(test::ipv4_packet(local, remote)), kSnaplen);
        }
    }
}

TEST(FilterCompiler, APendingRemoteIsAcceptedInBothDirections) {
    PortSet set;
    set.add_pending({1, 1, Transport::tcp, endpoint("192.0.2.2:80"), 0});
    set.add_pending({2, 2, Transport::tcp, endpoint("[2001:db8::2]:80"), 0});
    const auto program = compile_filter(FilterSpec::of(set), kSnaplen);
    const Bytes back4 = test::ipv4_packet(endpoint("192.0.2.2:80"), endpoint("192.0.2.1:1000"));
    const Bytes back6 = test::ipv6_packet(endpoint("[2001:db8::2]:80"), endpoint("[2001:db8::1]:1000"));
    EXPECT_EQ(run(program, kOutgoing, kTcp4), kSnaplen);
    EXPECT_EQ(run(program, kIncoming, back4), kSnaplen);
    EXPECT_EQ(run(program, kOutgoing, back4), 0U);
    EXPECT_EQ(run(program, kIncoming, kTcp4), 0U);
    EXPECT_EQ(run(program, kLoopbackIn, kTcp4), kSnaplen);
    EXPECT_EQ(run(program, kLoopbackIn, back4), kSnaplen);
    EXPECT_EQ(run(program, kLoopbackOut, kTcp4), 0U);
    EXPECT_EQ(run(program, over_ipv6(kOutgoing), kTcp6), kSnaplen);
    EXPECT_EQ(run(program, over_ipv6(kIncoming), back6), kSnaplen);
    EXPECT_EQ(run(program, over_ipv6(kOutgoing), back6), 0U);
    // Another port, another address.
    EXPECT_EQ(run(program, kOutgoing, test::ipv4_packet(endpoint("192.0.2.1:1000"), endpoint("192.0.2.2:81"))), 0U);
    EXPECT_EQ(run(program, kOutgoing, test::ipv4_packet(endpoint("192.0.2.1:1000"), endpoint("192.0.2.3:80"))), 0U);
}

TEST(FilterCompiler, PortsAndRemotesWorkTogether) {
    PortSet set = test::set_of_ports(std::vector<int>{1000});
    set.add_pending({1, 1, Transport::tcp, endpoint("198.51.100.1:443"), 0});
    const auto program = compile_filter(FilterSpec::of(set), kSnaplen);
    EXPECT_EQ(run(program, kOutgoing, kTcp4), kSnaplen);
    EXPECT_EQ(run(program, kOutgoing, test::ipv4_packet(endpoint("192.0.2.1:5"), endpoint("198.51.100.1:443"))),
              kSnaplen);
    EXPECT_EQ(run(program, kOutgoing, test::ipv4_packet(endpoint("192.0.2.1:5"), endpoint("198.51.100.1:444"))), 0U);
}

TEST(FilterCompiler, EachTransportIsAcceptedAndNoOther) {
    const auto program = compile_ports({{1000, 1000}});
    for (int protocol = 0; protocol < 256; ++protocol) {
        const bool has_ports = transport_of(protocol).has_value();
        EXPECT_EQ(run(program, kOutgoing,
                      test::ipv4_packet(endpoint("192.0.2.1:1000"), endpoint("192.0.2.2:80"), {.protocol = protocol})),
                  has_ports ? kSnaplen : 0)
            << protocol;
        const std::set<int> extensions{IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT,
                                       IPPROTO_AH,      IPPROTO_DSTOPTS, IPPROTO_MH};
        const auto from = endpoint("[2001:db8::1]:1000"), to = endpoint("[2001:db8::2]:80");
        if (!extensions.contains(protocol)) {
            EXPECT_EQ(run(program, over_ipv6(kOutgoing), test::ipv6_packet(from, to, protocol)),
                      has_ports ? kSnaplen : 0)
                << protocol;
        }
        for (const int extension : {IPPROTO_HOPOPTS, IPPROTO_DSTOPTS}) {
            const auto packet = test::ipv6_packet(from, to, protocol, {test::option_header(extension)});
            EXPECT_EQ(run(program, over_ipv6(kOutgoing), packet),
                      has_ports || extensions.contains(protocol) ? kSnaplen : 0)
                << extension << " then " << protocol;
        }
    }
}

TEST(FilterCompiler, OtherEthertypesAreRejected) {
    const auto program = compile_ports({{0, 65535}});
    for (const std::uint16_t ethertype :
         std::initializer_list<std::uint16_t>{0x0000, 0x0001, 0x0806, 0x8100, 0x8864, 0xffff})
        EXPECT_EQ(run(program, {ethertype, PACKET_HOST, ARPHRD_ETHER}, kTcp4), 0U) << ethertype;
}

TEST(FilterCompiler, Ipv6PortsAreFound) {
    const auto program = compile_ports({{1000, 1000}});
    EXPECT_EQ(run(program, over_ipv6(kOutgoing), kTcp6), kSnaplen);
    EXPECT_EQ(run(program, over_ipv6(kIncoming), kTcp6), 0U);
    EXPECT_EQ(run(program, over_ipv6(kLoopbackIn), kTcp6), kSnaplen);
    EXPECT_EQ(run(program, over_ipv6(kLoopbackOut), kTcp6), 0U);
    const Bytes back = test::ipv6_packet(endpoint("[2001:db8::2]:80"), endpoint("[2001:db8::1]:1000"));
    EXPECT_EQ(run(program, over_ipv6(kIncoming), back), kSnaplen);
    EXPECT_EQ(run(program, over_ipv6(kOutgoing), back), 0U);
}

TEST(FilterCompiler, Ipv6ExtensionHeadersAreLeftToTheClassifier) {
    const auto program = compile_ports({{1, 1}});
    for (const int number :
         std::initializer_list<int>{IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS, IPPROTO_MH, IPPROTO_AH})
        EXPECT_EQ(run(program, over_ipv6(kIncoming),
                      test::ipv6_packet(endpoint("[2001:db8::1]:1000"), endpoint("[2001:db8::2]:80"), IPPROTO_TCP,
                                        {test::option_header(number)})),
                  kSnaplen);
    const Bytes fragment = test::ipv6_packet(endpoint("[2001:db8::1]:1000"), endpoint("[2001:db8::2]:80"), IPPROTO_UDP,
                                             {test::fragment_header(100, false)});
    EXPECT_EQ(run(program, over_ipv6(kIncoming), fragment), kSnaplen);
    EXPECT_EQ(run(program, over_ipv6(kLoopbackIn), fragment), kSnaplen);
    EXPECT_EQ(run(program, over_ipv6(kLoopbackOut), fragment), 0U);
}

TEST(FilterCompiler, AllIpv4FragmentsAreAccepted) {
    const auto program = compile_ports({{1, 1}});
    const auto fragment = [](int protocol, unsigned offset) {
        return test::ipv4_packet(endpoint("192.0.2.1:1000"), endpoint("192.0.2.2:80"),
                                 {.protocol = protocol, .fragment_offset = offset, .more_fragments = true});
    };
    for (const Link& link : {kIncoming, kOutgoing, kLoopbackIn}) {
        EXPECT_EQ(run(program, link, fragment(IPPROTO_UDP, 1)), kSnaplen);
        EXPECT_EQ(run(program, link, fragment(IPPROTO_UDP, 0x1fff)), kSnaplen);
        EXPECT_EQ(run(program, link, fragment(IPPROTO_ICMP, 1)), 0U);
        EXPECT_EQ(run(program, link, fragment(IPPROTO_UDP, 0)), kSnaplen);  // so that its ports are known
    }
    EXPECT_EQ(run(program, kLoopbackOut, fragment(IPPROTO_UDP, 1)), 0U);
}

TEST(FilterCompiler, Ipv4OptionsMoveThePorts) {
    const auto program = compile_ports({{1000, 1000}});
    for (unsigned words = 0; words <= 10; ++words) {
        const auto packet = [&](const char* from, const char* to) {
            return test::ipv4_packet(endpoint(from), endpoint(to), {.option_words = words});
        };
        EXPECT_EQ(run(program, kOutgoing, packet("192.0.2.1:1000", "192.0.2.2:80")), kSnaplen) << words;
        EXPECT_EQ(run(program, kIncoming, packet("192.0.2.1:80", "192.0.2.2:1000")), kSnaplen) << words;
        EXPECT_EQ(run(program, kOutgoing, packet("192.0.2.1:80", "192.0.2.2:1000")), 0U) << words;
    }
}

TEST(FilterCompiler, APacketCutOffBeforeItsPortsIsRejected) {
    const auto program = compile_ports({{0, 65535}});
    const auto shortened = [](Bytes bytes, std::size_t length) {
        bytes.resize(length);
        return bytes;
    };
    for (const Link& link : {kIncoming, kOutgoing, kLoopbackIn}) {
        for (std::size_t length = 0; length <= kTcp4.size(); ++length)
            EXPECT_EQ(run(program, link, shortened(kTcp4, length)), length < 24 ? 0 : kSnaplen) << length;
        for (std::size_t length = 0; length <= kTcp6.size(); ++length)
            EXPECT_EQ(run(program, over_ipv6(link), shortened(kTcp6, length)), length < 44 ? 0 : kSnaplen) << length;
    }
}

TEST(FilterCompiler, TheSnaplenIsReturned) {
    for (const std::uint32_t snaplen : {1U, 68U, 262144U, 0xffffffffU}) {
        FilterSpec spec;
        spec.ports = {{1000, 1000}};
        EXPECT_EQ(run(compile_filter(spec, snaplen), kOutgoing, kTcp4), snaplen);
    }
}

TEST(FilterCompiler, WidenClosesTheSmallestGaps) {
    Ranges ranges{{10, 10}, {12, 12}, {20, 29}, {31, 40}, {1000, 1000}, {1003, 1003}};
    widen(ranges, 6);
    EXPECT_EQ(ranges.size(), 6U);
    widen(ranges, 4);
    EXPECT_EQ(ranges, (Ranges{{10, 12}, {20, 40}, {1000, 1000}, {1003, 1003}}));
    widen(ranges, 3);
    EXPECT_EQ(ranges, (Ranges{{10, 12}, {20, 40}, {1000, 1003}}));
    widen(ranges, 1);
    EXPECT_EQ(ranges, (Ranges{{10, 1003}}));
}

TEST(FilterCompiler, WidenLeavesAnEmptySetEmpty) {
    Ranges ranges;
    widen(ranges, 1);
    EXPECT_TRUE(ranges.empty());
}

TEST(FilterCompiler, CoversLooksAtPortsAndRemotes) {
    const FilterSpec outer{{{10, 20}, {30, 40}}, {{5, 5}}};
    EXPECT_TRUE(outer.covers(FilterSpec{}));
    EXPECT_TRUE(outer.covers(outer));
    EXPECT_TRUE(outer.covers(FilterSpec{{{10, 10}, {12, 13}, {20, 20}, {40, 40}}, {}}));
    EXPECT_TRUE(outer.covers(FilterSpec{{{15, 15}}, {{5, 5}}}));
    EXPECT_FALSE(outer.covers(FilterSpec{{{9, 10}}, {}}));
    EXPECT_FALSE(outer.covers(FilterSpec{{{20, 21}}, {}}));
    EXPECT_FALSE(outer.covers(FilterSpec{{{20, 30}}, {}}));
    EXPECT_FALSE(outer.covers(FilterSpec{{{41, 41}}, {}}));
    EXPECT_FALSE(outer.covers(FilterSpec{{{15, 15}}, {{6, 6}}}));
    EXPECT_FALSE(FilterSpec{}.covers(outer));
}

TEST(FilterCompiler, SpecOfASetHasItsPortsAndRemotes) {
    PortSet set = test::set_of_ports(std::vector<int>{0, 5, 6, 7, 65535});
    for (const char* remote : {"0.0.0.9:0", "0.0.0.7:0", "0.0.0.8:0", "0.0.0.8:0", "255.255.255.255:0"})
        set.add_pending({1, 1, Transport::tcp, endpoint(remote), 0});
    const auto spec = FilterSpec::of(set);
    EXPECT_EQ(spec.ports, (Ranges{{0, 0}, {5, 7}, {65535, 65535}}));
    EXPECT_EQ(spec.remotes, (Ranges{{7, 9}, {0xffffffff, 0xffffffff}}));
    EXPECT_EQ(spec.port_count(), 5U);
    EXPECT_FALSE(spec.empty());
    EXPECT_TRUE(FilterSpec::of(PortSet()).empty());
}

TEST(FilterCompiler, TheHighestRemoteKeyIsAccepted) {
    PortSet set;
    set.add_pending({1, 1, Transport::tcp, endpoint("255.255.255.255:0"), 0});
    const auto program = compile_filter(FilterSpec::of(set), kSnaplen);
    EXPECT_EQ(run(program, kOutgoing, test::ipv4_packet(endpoint("192.0.2.1:5"), endpoint("255.255.255.255:0"))),
              kSnaplen);
    EXPECT_EQ(run(program, kOutgoing, test::ipv4_packet(endpoint("192.0.2.1:5"), endpoint("255.255.255.254:0"))), 0U);
}

TEST(FilterSpec, ConnectedSocketsAreToldByTheirRemoteWhileThereAreFewOfThem) {
    PortSet set;
    const auto connect = [&](int i, const std::string& remote) {
        SocketInfo socket = test::udp(static_cast<SocketCookie>(i), "192.0.2.1:" + std::to_string(30000 + 2 * i));
        socket.transport = Transport::tcp;
        socket.remote = test::endpoint(remote);
        set.insert({socket, 0, kNever});
    };
    for (int i = 0; i < 500; ++i) connect(i, "192.0.2.2:443");
    const FilterSpec few = FilterSpec::of(set);
    EXPECT_TRUE(few.ports.empty());
    EXPECT_EQ(few.remotes.size(), 1U);
    EXPECT_TRUE(few.covers(30000, set.claims(30000)));
    EXPECT_TRUE(few.covers(test::endpoint("192.0.2.2:443")));
    EXPECT_FALSE(few.covers(test::endpoint("192.0.2.2:444")));

    for (int i = 500; i < 600; ++i) connect(i, "192.0.2.2:" + std::to_string(2 * i));
    const FilterSpec many = FilterSpec::of(set);
    EXPECT_EQ(many.ports.size(), 600U);
    EXPECT_TRUE(many.remotes.empty());
    EXPECT_TRUE(many.covers(30000, set.claims(30000)));
}

TEST(FilterSpec, AClaimWithoutARemoteNeedsItsPort) {
    PortSet set;
    set.insert({test::udp(1, "*:53"), 0, kNever});
    FilterSpec spec = FilterSpec::of(set);
    EXPECT_EQ(spec.ports, (Ranges{{53, 53}}));
    EXPECT_TRUE(spec.covers(53, set.claims(53)));
    spec.ports = {{50, 52}, {54, 60}};
    EXPECT_FALSE(spec.covers(53, set.claims(53)));
}

TEST(FilterCompiler, IcmpErrorsPassWhenAskedFor) {
    const auto v4 = endpoint("192.0.2.1:0"), v6 = endpoint("[2001:db8::1]:0");
    FilterSpec spec;
    spec.ports = {{1000, 1000}};
    const auto with = compile_filter(spec, kSnaplen, BPF_MAXINSNS, true);
    const auto without = compile_filter(spec, kSnaplen, BPF_MAXINSNS, false);
    EXPECT_TRUE(jumps_stay_inside(with));
    for (int type = 0; type < 256; ++type) {
        const auto t = static_cast<std::uint8_t>(type);
        const auto message4 = test::icmp_message(v4, v4, t, kTcp4), message6 = test::icmp_message(v6, v6, t, kTcp6);
        EXPECT_EQ(run(with, kIncoming, message4), is_icmp_error(IPPROTO_ICMP, t) ? kSnaplen : 0) << type;
        EXPECT_EQ(run(with, over_ipv6(kIncoming), message6), is_icmp_error(IPPROTO_ICMPV6, t) ? kSnaplen : 0) << type;
        EXPECT_EQ(run(with, kLoopbackOut, message4), 0U) << type;
        EXPECT_EQ(run(without, kIncoming, message4), 0U) << type;
        EXPECT_EQ(run(without, over_ipv6(kIncoming), message6), 0U) << type;
    }
    EXPECT_EQ(run(with, kIncoming, kTcp4), run(without, kIncoming, kTcp4));
    EXPECT_EQ(run(with, over_ipv6(kIncoming), kTcp6), run(without, over_ipv6(kIncoming), kTcp6));
    auto in_fragments = test::icmp_message(v4, v4, 3, kTcp4);
    in_fragments[6] = 0x20;
    EXPECT_EQ(run(with, kIncoming, in_fragments), 0U);
    EXPECT_EQ(run(compile_filter({}, kSnaplen, BPF_MAXINSNS, true), kIncoming, test::icmp_message(v4, v4, 3, kTcp4)),
              0U);
}

}  // namespace
}  // namespace tracedump
