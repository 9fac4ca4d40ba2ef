// Whose packet is it? One claim or window at a time, each of its conditions broken in turn.
#include "capture/classifier.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>

#include "helpers.h"

namespace tracedump {
namespace {

using test::endpoint;

ParsedPacket packet(Transport transport, const std::string& from, const std::string& to) {
    return {ParsedPacket::Kind::ports, transport, endpoint(from), endpoint(to), false, std::nullopt};
}
ParsedPacket tcp_packet(const std::string& from, const std::string& to) { return packet(Transport::tcp, from, to); }

PortSet set_with(const SocketInfo& socket, Timestamp birth = kAlways, Timestamp death = kNever) {
    PortSet set;
    set.insert({socket, birth, death});
    return set;
}

PortSet set_pending(const std::string& remote, Timestamp opened = kAlways) {
    PortSet set;
    set.add_pending({1, 1, Transport::tcp, endpoint(remote), opened});
    return set;
}

HostAddresses any_address;
Translations no_nat;

/// By a classifier that has seen nothing before.
Verdict classify(const ParsedPacket& packet, Direction direction, Timestamp time, const PortSet& ports) {
    return Classifier(any_address, no_nat).classify(packet, direction, time, ports);
}

constexpr auto kIn = Direction::incoming;
constexpr auto kOut = Direction::outgoing;
constexpr auto kLoop = Direction::loopback;

TEST(Classifier, DirectionIsTheInterfacesAndThePackets) {
    EXPECT_EQ(direction_of(PACKET_HOST, ARPHRD_ETHER), kIn);
    EXPECT_EQ(direction_of(PACKET_BROADCAST, ARPHRD_ETHER), kIn);
    EXPECT_EQ(direction_of(PACKET_MULTICAST, ARPHRD_ETHER), kIn);
    EXPECT_EQ(direction_of(PACKET_OTHERHOST, ARPHRD_ETHER), kIn);
    EXPECT_EQ(direction_of(PACKET_OUTGOING, ARPHRD_ETHER), kOut);
    EXPECT_EQ(direction_of(PACKET_OUTGOING, ARPHRD_NONE), kOut);
    EXPECT_EQ(direction_of(PACKET_HOST, ARPHRD_LOOPBACK), kLoop);
}

TEST(Classifier, WhatWaitedForItsNeighbourGoesOutAfterTheClose) {
    PortSet set = set_with(test::udp(1, "*:53"), 100);
    set.release(53, 1, 200);
    const auto sent = packet(Transport::udp, "192.0.2.1:53", "192.0.2.9:5000");
    const auto received = packet(Transport::udp, "192.0.2.9:5000", "192.0.2.1:53");
    EXPECT_EQ(classify(sent, kOut, 300, set), Verdict::ours);
    EXPECT_EQ(classify(received, kIn, 200, set), Verdict::ours);
    EXPECT_EQ(classify(received, kIn, 201, set), Verdict::foreign);
    set.silence(53, 1, 250);
    EXPECT_EQ(classify(sent, kOut, 250, set), Verdict::ours);
    EXPECT_EQ(classify(sent, kOut, 251, set), Verdict::foreign);
}

TEST(Classifier, ASocketBoundToAGroupReceivesOnItAndSendsFromAnyAddress) {
    const auto udp_packet = [](const std::string& from, const std::string& to) {
        return packet(Transport::udp, from, to);
    };
    const auto set = set_with(test::udp(1, "239.1.2.3:80"));
    EXPECT_EQ(classify(udp_packet("192.0.2.9:5000", "239.1.2.3:80"), kIn, 0, set), Verdict::ours);
    EXPECT_EQ(classify(udp_packet("192.0.2.9:5000", "239.1.2.4:80"), kIn, 0, set), Verdict::foreign);
    EXPECT_EQ(classify(udp_packet("192.0.2.9:5000", "192.0.2.1:80"), kIn, 0, set), Verdict::foreign);
    EXPECT_EQ(classify(udp_packet("192.0.2.1:80", "192.0.2.9:5000"), kOut, 0, set), Verdict::ours);
    EXPECT_EQ(classify(udp_packet("192.0.2.1:80", "239.1.2.3:80"), kLoop, 0, set), Verdict::ours);
    EXPECT_EQ(classify(udp_packet("192.0.2.1:81", "192.0.2.9:5000"), kOut, 0, set), Verdict::foreign);
    EXPECT_EQ(classify(udp_packet("[2001:db8::1]:80", "[2001:db8::9]:5000"), kOut, 0, set), Verdict::foreign);
    EXPECT_EQ(classify(tcp_packet("192.0.2.1:80", "192.0.2.9:5000"), kOut, 0, set), Verdict::foreign);
}

TEST(Classifier, TheLocalEndIsTheSenderOfOutgoingAndTheReceiverOfIncoming) {
    const auto set = set_with(test::tcp(1, "192.0.2.1:80"));
    const auto from_us = tcp_packet("192.0.2.1:80", "192.0.2.9:5000");
    const auto to_us = tcp_packet("192.0.2.9:5000", "192.0.2.1:80");
    EXPECT_EQ(classify(from_us, kOut, 0, set), Verdict::ours);
    EXPECT_EQ(classify(to_us, kIn, 0, set), Verdict::ours);
    EXPECT_EQ(classify(from_us, kIn, 0, set), Verdict::foreign);
    EXPECT_EQ(classify(to_us, kOut, 0, set), Verdict::foreign);
}

TEST(Classifier, OnTheLoopbackEitherEndCounts) {
    const auto set = set_with(test::tcp(1, "127.0.0.1:80"));
    EXPECT_EQ(classify(tcp_packet("127.0.0.1:80", "127.0.0.1:5000"), kLoop, 0, set), Verdict::ours);
    EXPECT_EQ(classify(tcp_packet("127.0.0.1:5000", "127.0.0.1:80"), kLoop, 0, set), Verdict::ours);
    EXPECT_EQ(classify(tcp_packet("127.0.0.1:5000", "127.0.0.1:81"), kLoop, 0, set), Verdict::foreign);
}

TEST(Classifier, ATimeBeforeBirthOrAfterDeathIsForeign) {
    const auto set = set_with(test::udp(1, "192.0.2.1:80"), 100, 200);
    const auto p = packet(Transport::udp, "192.0.2.1:80", "192.0.2.9:5000");
    EXPECT_EQ(classify(p, kOut, 99, set), Verdict::foreign);
    EXPECT_EQ(classify(p, kOut, 100, set), Verdict::ours);
    EXPECT_EQ(classify(p, kOut, 200, set), Verdict::ours);
    EXPECT_EQ(classify(p, kOut, 201, set), Verdict::foreign);
}

TEST(Classifier, APortPassesFromOneSocketToTheNext) {
    auto set = set_with(test::tcp(1, "192.0.2.1:80", "192.0.2.9:1"), 100, 200);
    set.insert({test::tcp(2, "192.0.2.1:80", "192.0.2.9:2"), 300, kNever});
    EXPECT_EQ(classify(tcp_packet("192.0.2.1:80", "192.0.2.9:1"), kOut, 150, set), Verdict::ours);
    EXPECT_EQ(classify(tcp_packet("192.0.2.1:80", "192.0.2.9:2"), kOut, 150, set), Verdict::foreign);
    EXPECT_EQ(classify(tcp_packet("192.0.2.1:80", "192.0.2.9:2"), kOut, 300, set), Verdict::ours);
}

TEST(Classifier, TheTransportMustAgree) {
    const auto set = set_with(test::udp(1, "192.0.2.1:53"));
    EXPECT_EQ(classify(packet(Transport::udp, "192.0.2.1:53", "192.0.2.9:1"), kOut, 0, set), Verdict::ours);
    EXPECT_EQ(classify(packet(Transport::tcp, "192.0.2.1:53", "192.0.2.9:1"), kOut, 0, set), Verdict::foreign);
    EXPECT_EQ(classify(packet(Transport::udplite, "192.0.2.1:53", "192.0.2.9:1"), kOut, 0, set), Verdict::foreign);
}

TEST(Classifier, ABoundAddressMustAgree) {
    const auto set = set_with(test::tcp(1, "192.0.2.1:80"));
    EXPECT_EQ(classify(tcp_packet("192.0.2.2:80", "192.0.2.9:1"), kOut, 0, set), Verdict::foreign);
}

TEST(Classifier, TheWildcardAddressTakesItsFamilies) {
    const auto v4 = tcp_packet("192.0.2.1:80", "192.0.2.9:1");
    const auto v6 = tcp_packet("[2001:db8::1]:80", "[2001:db8::9]:1");
    auto socket = test::tcp(1, "*:80");
    socket.families = Families::both;
    EXPECT_EQ(classify(v4, kOut, 0, set_with(socket)), Verdict::ours);
    EXPECT_EQ(classify(v6, kOut, 0, set_with(socket)), Verdict::ours);
    socket.families = Families::v6;
    EXPECT_EQ(classify(v4, kOut, 0, set_with(socket)), Verdict::foreign);
    EXPECT_EQ(classify(v6, kOut, 0, set_with(socket)), Verdict::ours);
    socket.families = Families::v4;
    EXPECT_EQ(classify(v4, kOut, 0, set_with(socket)), Verdict::ours);
    EXPECT_EQ(classify(v6, kOut, 0, set_with(socket)), Verdict::foreign);
}

TEST(Classifier, AConnectionTakesItsRemoteOnly) {
    const auto set = set_with(test::tcp(1, "192.0.2.1:4000", "192.0.2.9:80"));
    EXPECT_EQ(classify(tcp_packet("192.0.2.9:80", "192.0.2.1:4000"), kIn, 0, set), Verdict::ours);
    EXPECT_EQ(classify(tcp_packet("192.0.2.9:81", "192.0.2.1:4000"), kIn, 0, set), Verdict::foreign);
    EXPECT_EQ(classify(tcp_packet("192.0.2.8:80", "192.0.2.1:4000"), kIn, 0, set), Verdict::foreign);
}

TEST(Classifier, AListenerTakesAnyRemote) {
    const auto set = set_with(test::tcp(1, "192.0.2.1:80"));
    for (const char* remote : {"192.0.2.9:1", "10.0.0.1:65535", "192.0.2.1:80"})
        EXPECT_EQ(classify(tcp_packet(remote, "192.0.2.1:80"), kIn, 0, set), Verdict::ours) << remote;
}

TEST(Classifier, ABindUnderWayLeavesItsPortUndecided) {
    PortSet set;
    set.insert({test::tcp(1, "*:80"), 100, kNever, true});
    EXPECT_EQ(classify(tcp_packet("192.0.2.9:5000", "192.0.2.1:80"), kIn, 100, set), Verdict::undecided);
    EXPECT_EQ(classify(tcp_packet("192.0.2.1:80", "192.0.2.9:5000"), kOut, 100, set), Verdict::undecided);
    EXPECT_EQ(classify(tcp_packet("192.0.2.9:5000", "192.0.2.1:80"), kIn, 99, set), Verdict::foreign);
    EXPECT_EQ(classify(tcp_packet("192.0.2.9:5000", "192.0.2.1:81"), kIn, 100, set), Verdict::foreign);
    set.insert({test::tcp(2, "*:80"), 50, kNever});
    EXPECT_EQ(classify(tcp_packet("192.0.2.9:5000", "192.0.2.1:80"), kIn, 100, set), Verdict::ours);
}

TEST(Classifier, APendingConnectLeavesItsRemoteUndecidedInBothDirections) {
    const auto set = set_pending("192.0.2.9:80", 100);
    const auto out = tcp_packet("192.0.2.1:4000", "192.0.2.9:80");
    const auto back = tcp_packet("192.0.2.9:80", "192.0.2.1:4000");
    EXPECT_EQ(classify(out, kOut, 100, set), Verdict::undecided);
    EXPECT_EQ(classify(back, kIn, 101, set), Verdict::undecided);
    EXPECT_EQ(classify(out, kOut, 99, set), Verdict::foreign);
    EXPECT_EQ(classify(out, kIn, 100, set), Verdict::foreign);
    EXPECT_EQ(classify(tcp_packet("192.0.2.1:4000", "192.0.2.9:81"), kOut, 100, set), Verdict::foreign);
    EXPECT_EQ(classify(packet(Transport::udp, "192.0.2.1:4000", "192.0.2.9:80"), kOut, 100, set), Verdict::foreign);
}

TEST(Classifier, APendingConnectOnTheLoopbackIsUndecidedFromEitherEnd) {
    const auto set = set_pending("127.0.0.1:80");
    EXPECT_EQ(classify(tcp_packet("127.0.0.1:4000", "127.0.0.1:80"), kLoop, 0, set), Verdict::undecided);
    EXPECT_EQ(classify(tcp_packet("127.0.0.1:80", "127.0.0.1:4000"), kLoop, 0, set), Verdict::undecided);
}

TEST(Classifier, OursWinsOverUndecided) {
    auto set = set_with(test::tcp(1, "127.0.0.1:80"));
    set.add_pending({1, 2, Transport::tcp, endpoint("127.0.0.1:80"), kAlways});
    // The sender's end is undecided, the receiver's is ours.
    EXPECT_EQ(classify(tcp_packet("127.0.0.1:4000", "127.0.0.1:80"), kLoop, 0, set), Verdict::ours);
    EXPECT_EQ(classify(tcp_packet("127.0.0.1:80", "127.0.0.1:4000"), kLoop, 0, set), Verdict::ours);
}

TEST(Classifier, WithoutPortsAPacketIsForeign) {
    auto set = set_with(test::tcp(1, "*:0"));
    set.add_pending({1, 2, Transport::tcp, endpoint("192.0.2.9:0"), kAlways});
    for (const auto kind : {ParsedPacket::Kind::later_fragment, ParsedPacket::Kind::other}) {
        auto p = tcp_packet("192.0.2.1:0", "192.0.2.9:0");
        p.kind = kind;
        for (const Direction direction : {kIn, kOut, kLoop})
            EXPECT_EQ(classify(p, direction, 0, set), Verdict::foreign);
    }
}

constexpr Timestamp kDeath = 1000;
constexpr Timestamp kLate = kDeath + kTcpAfterlife;

ParsedPacket syn(const std::string& from, const std::string& to) {
    auto packet = tcp_packet(from, to);
    packet.opens_connection = true;
    return packet;
}

TEST(Classifier, ADeadConnectionsLatePacketsAreOursForAWhile) {
    const auto set = set_with(test::tcp(1, "192.0.2.1:4000", "192.0.2.9:80"), 0, kDeath);
    for (const Timestamp time : {kDeath + 1, kLate}) {
        EXPECT_EQ(classify(tcp_packet("192.0.2.9:80", "192.0.2.1:4000"), kIn, time, set), Verdict::ours);
        EXPECT_EQ(classify(tcp_packet("192.0.2.1:4000", "192.0.2.9:80"), kOut, time, set), Verdict::ours);
    }
    EXPECT_EQ(classify(tcp_packet("192.0.2.9:80", "192.0.2.1:4000"), kIn, kLate + 1, set), Verdict::foreign);
    EXPECT_EQ(classify(tcp_packet("192.0.2.9:81", "192.0.2.1:4000"), kIn, kDeath + 1, set), Verdict::foreign);
}

TEST(Classifier, ADeadUdpSocketHasNoLatePackets) {
    const auto set = set_with(test::udp(1, "192.0.2.1:4000"), 0, kDeath);
    EXPECT_EQ(classify(packet(Transport::udp, "192.0.2.9:80", "192.0.2.1:4000"), kIn, kDeath + 1, set),
              Verdict::foreign);
}

TEST(Classifier, ASynEndsTheAfterlifeBetweenItsEndsAlone) {
    const auto set = set_with(test::tcp(1, "192.0.2.1:80"), 0, kDeath);
    Classifier classifier(any_address, no_nat);
    const auto late = tcp_packet("192.0.2.9:5000", "192.0.2.1:80");
    EXPECT_EQ(classifier.classify(late, kIn, kDeath + 10, set), Verdict::ours);
    EXPECT_EQ(classifier.classify(syn("192.0.2.9:5000", "192.0.2.1:80"), kIn, kDeath + 20, set), Verdict::foreign);
    EXPECT_EQ(classifier.classify(late, kIn, kDeath + 21, set), Verdict::foreign);
    EXPECT_EQ(classifier.classify(tcp_packet("192.0.2.1:80", "192.0.2.9:5000"), kOut, kDeath + 21, set),
              Verdict::foreign);
    EXPECT_EQ(classifier.classify(late, kIn, kDeath + 19, set), Verdict::ours) << "sent before the SYN";
    EXPECT_EQ(classifier.classify(tcp_packet("192.0.2.9:5001", "192.0.2.1:80"), kIn, kDeath + 21, set), Verdict::ours);
}

TEST(Classifier, OurOwnNextConnectionBetweenTheSameEndsIsOurs) {
    auto set = set_with(test::tcp(1, "192.0.2.1:4000", "192.0.2.9:80"), 0, kDeath);
    set.add_pending({1, 2, Transport::tcp, endpoint("192.0.2.9:80"), kDeath + 10});
    Classifier classifier(any_address, no_nat);
    const auto opening = syn("192.0.2.1:4000", "192.0.2.9:80");
    EXPECT_EQ(classifier.classify(opening, kOut, kDeath + 11, set), Verdict::undecided);
    set.remove_pending(1);
    set.insert({test::tcp(2, "192.0.2.1:4000", "192.0.2.9:80"), kDeath + 10, kNever});
    EXPECT_EQ(classifier.classify(opening, kOut, kDeath + 11, set), Verdict::ours);
    EXPECT_EQ(classifier.classify(tcp_packet("192.0.2.9:80", "192.0.2.1:4000"), kIn, kDeath + 12, set), Verdict::ours);
}

TEST(Classifier, TooManyStrangersEndEveryAfterlife) {
    const auto set = set_with(test::tcp(1, "192.0.2.1:80"), 0, kDeath);
    Classifier classifier(any_address, no_nat);
    for (std::size_t i = 0; i <= Classifier::kMaxSuccessors; ++i) {
        const auto from = fmt::format("192.0.2.9:{}", i + 1);
        ASSERT_EQ(classifier.classify(syn(from, "192.0.2.1:80"), kIn, kDeath + 10, set), Verdict::foreign);
        ASSERT_EQ(classifier.classify(tcp_packet(from, "192.0.2.1:80"), kIn, kDeath + 11, set), Verdict::foreign);
    }
    EXPECT_EQ(classifier.classify(tcp_packet("192.0.2.9:60000", "192.0.2.1:80"), kIn, kDeath + 20, set),
              Verdict::foreign);
}

ParsedPacket error_about(ParsedPacket quoted) {
    quoted.kind = ParsedPacket::Kind::icmp_error;
    return quoted;
}
ParsedPacket udp_packet(const std::string& from, const std::string& to) { return packet(Transport::udp, from, to); }

TEST(Classifier, AnErrorThatComesHereIsTheSendersForAWhileAfterItsDeath) {
    const auto set = set_with(test::udp(1, "192.0.2.1:4000"), 0, kDeath);
    const auto error = error_about(udp_packet("192.0.2.1:4000", "192.0.2.9:80"));
    Classifier classifier(any_address, no_nat, true);
    for (const Timestamp time : {Timestamp{0}, kDeath, kDeath + kErrorPatience}) {
        EXPECT_EQ(classifier.classify(error, kIn, time, set), Verdict::ours);
        EXPECT_EQ(classifier.classify(error, kLoop, time, set), Verdict::ours);
    }
    EXPECT_EQ(classifier.classify(error, kIn, kDeath + kErrorPatience + 1, set), Verdict::foreign);
    EXPECT_EQ(classifier.classify(error, kOut, kDeath, set), Verdict::foreign) << "we quote what comes, not what goes";
    const auto stranger = error_about(udp_packet("192.0.2.1:4001", "192.0.2.9:80"));
    EXPECT_EQ(classifier.classify(stranger, kIn, kDeath, set), Verdict::foreign);
}

TEST(Classifier, AnErrorThatWeSendIsTheReceiversInItsLife) {
    const auto set = set_with(test::udp(1, "192.0.2.1:4000"), 0, kDeath);
    const auto error = error_about(udp_packet("192.0.2.9:80", "192.0.2.1:4000"));
    Classifier classifier(any_address, no_nat, true);
    EXPECT_EQ(classifier.classify(error, kOut, kDeath, set), Verdict::ours);
    EXPECT_EQ(classifier.classify(error, kOut, kDeath + 1, set), Verdict::foreign);
    EXPECT_EQ(classifier.classify(error, kIn, kDeath, set), Verdict::foreign);
}

TEST(Classifier, AnErrorAboutAConnectUnderWayIsUndecided) {
    const auto set = set_pending("192.0.2.9:80", 100);
    const auto error = error_about(tcp_packet("192.0.2.1:4000", "192.0.2.9:80"));
    EXPECT_EQ(Classifier(any_address, no_nat, true).classify(error, kIn, 100, set), Verdict::undecided);
    EXPECT_EQ(Classifier(any_address, no_nat, false).classify(error, kIn, 100, set), Verdict::foreign);
}

TEST(Classifier, ErrorsAreForeignUnlessAskedFor) {
    const auto set = set_with(test::udp(1, "192.0.2.1:4000"));
    EXPECT_EQ(classify(error_about(udp_packet("192.0.2.1:4000", "192.0.2.9:80")), kIn, 0, set), Verdict::foreign);
}

class OneAddress : public HostAddresses {
public:
    explicit OneAddress(const std::string& address) : address_(test::address(address)) {}
    bool contains(const Address& address, Timestamp time) override {
        last_time = time;
        return address == address_;
    }

    Timestamp last_time = 0;

private:
    const Address address_;
};

TEST(Classifier, OnTheWildcardASocketHasPacketsByTheHostsAddressesAlone) {
    OneAddress own("192.0.2.1");
    Classifier classifier(own, no_nat);
    const PortSet set = set_with(test::tcp(1, "*:80"));
    const auto judge = [&](const std::string& from, const std::string& to, Direction direction) {
        return classifier.classify(tcp_packet(from, to), direction, 100, set);
    };
    EXPECT_EQ(judge("192.0.2.9:5000", "192.0.2.1:80", kIn), Verdict::ours);
    EXPECT_EQ(judge("192.0.2.1:80", "192.0.2.9:5000", kOut), Verdict::ours);
    EXPECT_EQ(own.last_time, 100);
    // What passes through, in and out again.
    EXPECT_EQ(judge("192.0.2.9:5000", "192.0.2.2:80", kIn), Verdict::foreign);
    EXPECT_EQ(judge("192.0.2.9:5000", "192.0.2.2:80", kOut), Verdict::foreign);
    EXPECT_EQ(judge("192.0.2.2:80", "192.0.2.9:5000", kIn), Verdict::foreign);
    EXPECT_EQ(judge("192.0.2.2:80", "192.0.2.9:5000", kOut), Verdict::foreign);
}

TEST(Classifier, ASocketsOwnAddressIsNotAskedFor) {
    OneAddress none("::1");  // as with IP_TRANSPARENT
    const PortSet set = set_with(test::tcp(1, "192.0.2.1:80"));
    EXPECT_EQ(Classifier(none, no_nat).classify(tcp_packet("192.0.2.9:5000", "192.0.2.1:80"), kIn, 100, set),
              Verdict::ours);
}

TEST(Classifier, TheHostsAddressesGoForDeadSocketsAndBindsUnderWayToo) {
    OneAddress own("192.0.2.1");
    const auto here = tcp_packet("192.0.2.9:5000", "192.0.2.1:80");
    const auto through = tcp_packet("192.0.2.9:5000", "192.0.2.2:80");
    const PortSet dead = set_with(test::tcp(1, "*:80"), 10, 20);
    EXPECT_EQ(Classifier(own, no_nat).classify(here, kIn, 100, dead), Verdict::ours);
    EXPECT_EQ(Classifier(own, no_nat).classify(through, kIn, 100, dead), Verdict::foreign);
    PortSet binding;
    binding.insert({test::tcp(1, "*:80"), 10, kNever, true});
    EXPECT_EQ(Classifier(own, no_nat).classify(here, kIn, 100, binding), Verdict::undecided);
    EXPECT_EQ(Classifier(own, no_nat).classify(through, kIn, 100, binding), Verdict::foreign);
}

TEST(Classifier, AnErrorAboutWhatPassedThroughIsNotTheApplications) {
    OneAddress own("192.0.2.1");
    const PortSet set = set_with(test::udp(1, "*:53"));
    auto error = packet(Transport::udp, "192.0.2.1:53", "192.0.2.9:5000");
    error.kind = ParsedPacket::Kind::icmp_error;
    EXPECT_EQ(Classifier(own, no_nat, true).classify(error, kIn, 100, set), Verdict::ours);
    error.source = endpoint("192.0.2.2:53");
    EXPECT_EQ(Classifier(own, no_nat, true).classify(error, kIn, 100, set), Verdict::foreign);
}

/// 203.0.113.1:80 is translated to 192.0.2.9:8080 on the way.
class OneTranslation : public Translations {
public:
    std::optional<Connection> untranslated(Transport, const Connection& on_the_wire) override {
        ++asked;
        if (!is_there || on_the_wire.remote != endpoint("192.0.2.9:8080")) return std::nullopt;
        return Connection{on_the_wire.local, endpoint("203.0.113.1:80")};
    }

    bool is_there = true;
    int asked = 0;
};

TEST(Classifier, ATranslatedConnectionIsItsSockets) {
    OneTranslation nat;
    Classifier classifier(any_address, nat);
    const PortSet set = set_with(test::tcp(1, "192.0.2.1:5000", "203.0.113.1:80"), 100, 200);
    const auto sent = tcp_packet("192.0.2.1:5000", "192.0.2.9:8080");
    const auto received = tcp_packet("192.0.2.9:8080", "192.0.2.1:5000");
    EXPECT_EQ(classifier.classify(sent, kOut, 150, set), Verdict::ours);
    EXPECT_EQ(classifier.classify(received, kIn, 150, set), Verdict::ours);
    EXPECT_EQ(classifier.classify(sent, kOut, 99, set), Verdict::foreign);
    EXPECT_EQ(classifier.classify(tcp_packet("192.0.2.1:5000", "192.0.2.8:8080"), kOut, 150, set), Verdict::foreign);
}

TEST(Classifier, TranslationsAreAskedForOnceASecondAndForEachConnection) {
    OneTranslation nat;
    Classifier classifier(any_address, nat);
    const PortSet set = set_with(test::tcp(1, "192.0.2.1:5000", "203.0.113.1:80"));
    auto sent = tcp_packet("192.0.2.1:5000", "192.0.2.9:8080");
    nat.is_there = false;
    for (int i = 0; i < 3; ++i) EXPECT_EQ(classifier.classify(sent, kOut, 100, set), Verdict::foreign);
    EXPECT_EQ(nat.asked, 1);
    nat.is_there = true;
    sent.opens_connection = true;
    EXPECT_EQ(classifier.classify(sent, kOut, 200, set), Verdict::ours);
    sent.opens_connection = false;
    for (int i = 0; i < 3; ++i) EXPECT_EQ(classifier.classify(sent, kOut, 300, set), Verdict::ours);
    EXPECT_EQ(nat.asked, 2);
    nat.is_there = false;
    EXPECT_EQ(classifier.classify(sent, kOut, 200 + Classifier::kKnownFor + 1, set), Verdict::foreign);
    EXPECT_EQ(nat.asked, 3);
}

TEST(Classifier, NobodyIsAskedAboutWhatPassesOrIsPlain) {
    OneTranslation nat;
    OneAddress own("192.0.2.1");
    Classifier classifier(own, nat);
    const PortSet set = set_with(test::tcp(1, "*:80"));
    EXPECT_EQ(classifier.classify(tcp_packet("192.0.2.9:5000", "192.0.2.1:80"), kIn, 100, set), Verdict::ours);
    EXPECT_EQ(classifier.classify(tcp_packet("192.0.2.9:5000", "192.0.2.2:80"), kIn, 100, set), Verdict::foreign);
    EXPECT_EQ(classifier.classify(tcp_packet("192.0.2.9:5000", "192.0.2.1:81"), kIn, 100, set), Verdict::foreign);
    EXPECT_EQ(nat.asked, 0);
}

TEST(Classifier, WhatIsRememberedOfTranslationsIsBounded) {
    OneTranslation nat;
    Classifier classifier(any_address, nat);
    const PortSet set = set_with(test::tcp(1, "192.0.2.1:5000", "203.0.113.1:80"));
    for (std::size_t i = 0; i < 3 * Classifier::kMaxKnown; ++i) {
        auto stranger = tcp_packet("192.0.2.1:5000", "192.0.2.8:1");
        stranger.destination.port = static_cast<std::uint16_t>(i);
        EXPECT_EQ(classifier.classify(stranger, kOut, 100, set), Verdict::foreign);
    }
    EXPECT_EQ(nat.asked, static_cast<int>(Classifier::kMaxKnown));
    const auto sent = tcp_packet("192.0.2.1:5000", "192.0.2.9:8080");
    EXPECT_EQ(classifier.classify(sent, kOut, 100 + 2 * Classifier::kKnownFor, set), Verdict::ours);
}

}  // namespace
}  // namespace tracedump
