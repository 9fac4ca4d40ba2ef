// Which sockets are gone, shown by a table in memory at explicit times.
#include "gc/collector.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "helpers.h"

namespace tracedump {
namespace {

using test::endpoint;

class FakeTable : public SocketTable {
public:
    std::vector<SocketRow> rows;
    bool readable = true;

    std::optional<std::vector<SocketRow>> list(Transport transport, std::span<const std::uint16_t> ports) override {
        if (!readable) return std::nullopt;
        std::vector<SocketRow> on_ports;
        for (const SocketRow& row : rows)
            if (row.transport == transport && std::binary_search(ports.begin(), ports.end(), row.local.port))
                on_ports.push_back(row);
        return on_ports;
    }
    std::optional<std::vector<SocketRow>> list_all() override { return rows; }
    std::vector<SocketRow> list_closing() override {
        std::vector<SocketRow> closing;
        for (const SocketRow& row : readable ? rows : std::vector<SocketRow>())
            if (row.state == SocketState::fin_wait1 || row.state == SocketState::fin_wait2 ||
                row.state == SocketState::closing || row.state == SocketState::last_ack)
                closing.push_back(row);
        return closing;
    }
    std::vector<SocketRow> list_flows(std::span<const std::uint16_t> ports) override {
        std::vector<SocketRow> on_ports = flows();
        std::erase_if(on_ports, [&](const SocketRow& row) {
            return !std::binary_search(ports.begin(), ports.end(), row.local.port);
        });
        return on_ports;
    }
    std::vector<SocketRow> list_all_flows() override {
        ++walks;
        return flows();
    }
    int walks = 0;  // through all flows

private:
    std::vector<SocketRow> flows() const {
        std::vector<SocketRow> flows;
        for (const SocketRow& row : rows)
            if (row.token != 0) flows.push_back(row);
        return flows;
    }
};

/// A flow of a Multipath TCP connection.
SocketRow flow_of(SocketCookie cookie, std::uint32_t token, const std::string& local, const std::string& remote) {
    return {cookie, Transport::tcp, SocketState::established, endpoint(local), endpoint(remote), token};
}

SocketRow row_of(const SocketInfo& socket, SocketState state) {
    return {socket.cookie, socket.transport, state, socket.local, socket.remote.value_or(Endpoint())};
}

constexpr Timestamp kSecond = kNanosPerSecond;

class CollectorTest : public ::testing::Test {
protected:
    void sweep(Timestamp now) {
        collector_.sweep([now] { return now; });
    }
    bool alive(SocketCookie cookie) const { return registry_.find(cookie).has_value(); }
    std::optional<Timestamp> death_of(SocketCookie cookie, std::uint16_t port) const {
        for (const Claim& claim : registry_.snapshot().load()->claims(port))
            if (claim.socket.cookie == cookie) return claim.death;
        return std::nullopt;
    }
    void dies(const SocketInfo& socket, Timestamp now) {
        const SocketRow row = row_of(socket, SocketState::closed);
        collector_.sockets_died(std::span(&row, 1), now);
    }
    void list(const SocketInfo& socket, SocketState state) { table_.rows.push_back(row_of(socket, state)); }

    PortRegistry registry_{nullptr};
    FakeTable table_;
    Collector collector_{registry_, table_};
};

TEST_F(CollectorTest, AdoptsByInodeWhatIsInUse) {
    const auto row = [](SocketInfo socket, SocketState state, std::uint64_t inode, bool only_v6 = false) {
        SocketRow made = row_of(socket, state);
        made.inode = inode;
        made.only_v6 = only_v6;
        return made;
    };
    table_.rows = {row(test::tcp(1, "192.0.2.1:4000", "192.0.2.2:80"), SocketState::established, 11),
                   row(test::tcp(2, "[::]:80"), SocketState::listening, 12),
                   row(test::tcp(3, "*:81"), SocketState::closed, 13),
                   row(test::udp(4, "[::]:53"), SocketState::closed, 14, true),
                   row(test::udp(5, "*:54"), SocketState::closed, 15)};
    EXPECT_EQ(collector_.adopt({11, 12, 13, 14, 99}, 100), (std::vector<std::uint64_t>{11, 12, 14}));
    EXPECT_EQ(registry_.find(1)->socket.remote, endpoint("192.0.2.2:80"));
    EXPECT_EQ(registry_.find(2)->socket.families, Families::both);
    EXPECT_FALSE(registry_.find(3));
    EXPECT_EQ(registry_.find(4)->socket.families, Families::v6);
    EXPECT_FALSE(registry_.find(5));
}

const SocketInfo kUdp = test::udp(1, "*:53");
const SocketInfo kConnection = test::tcp(2, "192.0.2.1:4000", "192.0.2.2:80");
const SocketInfo kListener = test::tcp(3, "*:80");

TEST_F(CollectorTest, AUdpSocketsClaimDiesWithIt) {
    registry_.claim(kUdp, 10);
    dies(kUdp, 50);
    EXPECT_FALSE(alive(1));
    EXPECT_EQ(death_of(1, 53), 50);
}

TEST_F(CollectorTest, TheDeathOfStrangersMeansNothing) {
    registry_.claim(kUdp, 10);
    const auto generation = registry_.snapshot().generation();
    dies(test::udp(99, "*:53"), 50);
    EXPECT_TRUE(alive(1));
    EXPECT_EQ(registry_.snapshot().generation(), generation);
}

TEST_F(CollectorTest, ATcpConnectionThatIsGoneDies) {
    registry_.claim(kConnection, 10);
    dies(kConnection, 50);
    EXPECT_EQ(death_of(2, 4000), 50);
}

TEST_F(CollectorTest, WhatASweepFindsInTimeWaitIsDead) {
    registry_.claim(kConnection, 10);
    list(kConnection, SocketState::established);
    sweep(5 * kSecond);
    EXPECT_TRUE(alive(2));
    table_.rows.clear();
    list(kConnection, SocketState::time_wait);
    sweep(6 * kSecond);
    EXPECT_EQ(death_of(2, 4000), 6 * kSecond);
}

TEST_F(CollectorTest, AcceptedConnectionsAreAdoptedBeforeTheirListenerDies) {
    registry_.claim(kListener, 10);
    list(test::tcp(20, "192.0.2.1:80", "192.0.2.7:5000"), SocketState::established);
    list(test::tcp(21, "[2001:db8::1]:80", "[2001:db8::7]:5000"), SocketState::time_wait);
    list(test::tcp(22, "192.0.2.1:81", "192.0.2.7:5000"), SocketState::established);
    list(test::udp(23, "192.0.2.1:80"), SocketState::closed);
    list(test::tcp(24, "*:80"), SocketState::listening);
    dies(kListener, 50);
    EXPECT_FALSE(alive(3));
    ASSERT_TRUE(alive(20));
    EXPECT_EQ(registry_.find(20)->birth, 10);
    EXPECT_EQ(registry_.find(20)->socket.remote, endpoint("192.0.2.7:5000"));
    // 21 is in TIME_WAIT: its last packets are in the listener's afterlife.
    for (const SocketCookie other : {21U, 22U, 23U, 24U}) EXPECT_FALSE(alive(other)) << other;
}

TEST_F(CollectorTest, AdoptedConnectionsAreThereInTheSnapshotThatLacksTheListener) {
    bool hole = false;
    PortRegistry registry(test::filter_that([&](const PortSet& set) {
        const auto claims = set.claims(80);
        hole |= std::none_of(claims.begin(), claims.end(), [](const Claim& claim) { return claim.alive(); });
    }));
    Collector collector(registry, table_);
    registry.claim(kListener, 10);
    list(test::tcp(20, "192.0.2.1:80", "192.0.2.7:5000"), SocketState::established);
    const SocketRow dead = row_of(kListener, SocketState::closed);
    collector.sockets_died(std::span(&dead, 1), 50);
    EXPECT_FALSE(hole);
}

TEST_F(CollectorTest, ABoundAndUnusedUdpPortStaysForMinutes) {
    registry_.claim(kUdp, 10);
    list(kUdp, SocketState::closed);
    for (Timestamp now = kSecond; now < 600 * kSecond; now += kSecond) {
        sweep(now);
        ASSERT_TRUE(alive(1)) << now / kSecond;
    }
}

TEST_F(CollectorTest, APortWhoseSocketVanishedGoesAtTheNextSweep) {
    registry_.claim(kUdp, 10);
    registry_.claim(kConnection, 10);
    list(kUdp, SocketState::closed);
    list(kConnection, SocketState::established);
    sweep(5 * kSecond);
    table_.rows.erase(table_.rows.begin());
    sweep(6 * kSecond);
    EXPECT_EQ(death_of(1, 53), 6 * kSecond);
    EXPECT_TRUE(alive(2));
}

TEST_F(CollectorTest, ASocketThatWasNeverListedGoesToo) {
    registry_.claim(kUdp, 10);
    registry_.claim(kConnection, 10);
    sweep(5 * kSecond);
    EXPECT_FALSE(alive(1));
    EXPECT_FALSE(alive(2));
}

TEST_F(CollectorTest, WhatASweepDoesNotFindMayHaveLivedUntilItsEnd) {
    registry_.claim(kUdp, 10);
    Timestamp now = 60 * kSecond;
    collector_.sweep([&] { return now += 48 * kNanosPerMilli; });
    EXPECT_EQ(death_of(kUdp.cookie, kUdp.local.port), now);
}

TEST_F(CollectorTest, AClaimYoungerThanTwoSecondsStays) {
    registry_.claim(kUdp, 10 * kSecond);
    sweep(11 * kSecond);
    EXPECT_TRUE(alive(1));
    sweep(12 * kSecond);
    EXPECT_TRUE(alive(1));
    sweep(12 * kSecond + 1);
    EXPECT_FALSE(alive(1));
}

TEST_F(CollectorTest, AYoungClaimThatWasListedGoesWhenItVanishes) {
    registry_.claim(kUdp, 10 * kSecond);
    list(kUdp, SocketState::closed);
    sweep(10 * kSecond + 1);
    table_.rows.clear();
    sweep(10 * kSecond + 2);
    EXPECT_FALSE(alive(1));
}

TEST_F(CollectorTest, ABoundTcpSocketThatIsNotListedStays) {
    registry_.claim(kListener, 10);  // bound, not listening yet
    sweep(100 * kSecond);
    sweep(200 * kSecond);
    EXPECT_TRUE(alive(3));
}

TEST_F(CollectorTest, AListenerThatVanishedGoesAndItsConnectionsAreAdopted) {
    registry_.claim(kListener, 10);
    list(kListener, SocketState::listening);
    sweep(100 * kSecond);
    EXPECT_TRUE(alive(3));
    table_.rows.clear();
    list(test::tcp(20, "192.0.2.1:80", "192.0.2.7:5000"), SocketState::established);
    sweep(101 * kSecond);
    EXPECT_FALSE(alive(3));
    EXPECT_TRUE(alive(20));
}

TEST_F(CollectorTest, AMultipathSocketLivesAsLongAsItsFirstFlow) {
    auto socket = test::tcp(2, "192.0.2.1:4000", "192.0.2.2:80");
    socket.multipath = true;
    registry_.claim(socket, 10);
    table_.rows = {flow_of(77, 5, "192.0.2.1:4000", "192.0.2.2:80")};
    sweep(60 * kSecond);
    EXPECT_TRUE(alive(2));
    EXPECT_FALSE(alive(77));
    // A stranger between the same ends.
    table_.rows = {flow_of(78, 6, "192.0.2.1:4000", "192.0.2.2:80")};
    sweep(61 * kSecond);
    EXPECT_EQ(death_of(2, 4000), 61 * kSecond);
    EXPECT_FALSE(collector_.multipath());
}

TEST_F(CollectorTest, AMultipathListenerIsFoundAndItsEndToo) {
    auto socket = kListener;
    socket.multipath = true;
    registry_.claim(socket, 10);
    table_.rows = {{77, Transport::tcp, SocketState::listening, endpoint("*:80"), {}}};
    sweep(60 * kSecond);
    EXPECT_TRUE(alive(3));
    table_.rows.clear();
    sweep(61 * kSecond);
    EXPECT_FALSE(alive(3));
}

TEST_F(CollectorTest, FlowsOfAConnectionOfOursAreAdopted) {
    auto socket = test::tcp(2, "192.0.2.1:4000", "192.0.2.2:80");
    socket.multipath = true;
    registry_.claim(socket, 10);
    table_.rows = {flow_of(78, 5, "192.0.2.5:4001", "192.0.2.2:80"), flow_of(77, 5, "192.0.2.1:4000", "192.0.2.2:80"),
                   flow_of(79, 6, "192.0.2.5:4002", "192.0.2.2:80")};
    sweep(60 * kSecond);
    EXPECT_TRUE(alive(78));
    EXPECT_FALSE(alive(79));
    // The first flow ends; what others the kernel makes are still told by those that are left.
    table_.rows = {flow_of(78, 5, "192.0.2.5:4001", "192.0.2.2:80")};
    sweep(61 * kSecond);
    EXPECT_FALSE(alive(2));
    EXPECT_TRUE(alive(78));
}

TEST_F(CollectorTest, AllFlowsAreLookedAtOnlyWhileThereAreConnectionsOfOurs) {
    const auto strangers = flow_of(79, 6, "192.0.2.5:4002", "192.0.2.2:80");
    table_.rows = {strangers};
    collector_.expect_flows();
    sweep(60 * kSecond);
    EXPECT_FALSE(collector_.multipath());
    // As hooks report a first flow.
    const auto first = test::tcp(77, "192.0.2.1:4000", "192.0.2.2:80");
    registry_.claim(first, 61 * kSecond);
    table_.rows = {strangers, flow_of(77, 5, "192.0.2.1:4000", "192.0.2.2:80"),
                   flow_of(78, 5, "192.0.2.5:4001", "192.0.2.2:80")};
    sweep(64 * kSecond);
    EXPECT_TRUE(collector_.multipath());
    EXPECT_TRUE(alive(78));
    EXPECT_FALSE(alive(79));
    EXPECT_EQ(table_.walks, 1);
    // Plain TCP alone.
    table_.rows = {strangers, row_of(first, SocketState::established)};
    sweep(70 * kSecond);
    EXPECT_FALSE(collector_.multipath());
    EXPECT_EQ(table_.walks, 1);
}

TEST_F(CollectorTest, AStrangersConnectionBetweenTheEndsOfOneOfOursThatEndedGetsNoClaims) {
    auto socket = test::tcp(2, "192.0.2.1:4000", "192.0.2.2:80");
    socket.multipath = true;
    registry_.claim(socket, 10);
    table_.rows = {flow_of(77, 5, "192.0.2.1:4000", "192.0.2.2:80")};
    sweep(60 * kSecond);
    table_.rows = {flow_of(78, 6, "192.0.2.1:4000", "192.0.2.2:80"), flow_of(79, 6, "192.0.2.5:4001", "192.0.2.2:80")};
    sweep(61 * kSecond);
    EXPECT_FALSE(alive(2));
    EXPECT_FALSE(alive(79));
}

TEST_F(CollectorTest, ATableWithoutCookiesIsComparedByEndpoints) {
    registry_.claim(kUdp, 10);
    registry_.claim(kConnection, 10);
    auto udp = kUdp, connection = kConnection, other = kConnection;
    udp.cookie = connection.cookie = other.cookie = 0;
    other.remote = endpoint("192.0.2.3:80");
    list(udp, SocketState::closed);
    list(connection, SocketState::established);
    sweep(100 * kSecond);
    EXPECT_TRUE(alive(1));
    EXPECT_TRUE(alive(2));
    table_.rows.clear();
    list(other, SocketState::established);  // the same port, another peer
    sweep(101 * kSecond);
    EXPECT_FALSE(alive(1));
    EXPECT_FALSE(alive(2));
}

TEST_F(CollectorTest, ATableThatCannotBeReadRetiresNothing) {
    registry_.claim(kUdp, 10);
    registry_.claim(kConnection, 10);
    list(kUdp, SocketState::closed);
    sweep(3 * kSecond / 2);
    table_.readable = false;
    sweep(100 * kSecond);
    EXPECT_TRUE(alive(1));
    EXPECT_TRUE(alive(2));
    table_.readable = true;
    sweep(101 * kSecond);
    EXPECT_TRUE(alive(1));
    EXPECT_FALSE(alive(2));
}

TEST_F(CollectorTest, TheTailIsSettledWhenNoConnectionOfOursIsClosing) {
    registry_.claim(kConnection, 10);
    EXPECT_TRUE(collector_.tail_settled());
    list(kConnection, SocketState::established);
    EXPECT_TRUE(collector_.tail_settled());
    for (const SocketState state :
         {SocketState::fin_wait1, SocketState::fin_wait2, SocketState::closing, SocketState::last_ack}) {
        table_.rows.clear();
        list(kConnection, state);
        EXPECT_FALSE(collector_.tail_settled()) << static_cast<int>(state);
    }
    table_.rows.clear();
    list(kConnection, SocketState::time_wait);
    EXPECT_TRUE(collector_.tail_settled());
    list(test::tcp(50, "192.0.2.1:4001", "192.0.2.2:80"), SocketState::fin_wait1);  // a stranger's
    EXPECT_TRUE(collector_.tail_settled());
}

TEST_F(CollectorTest, AnAcceptedConnectionThatIsClosingBelongsToTheTail) {
    registry_.claim(kListener, 10);
    list(test::tcp(20, "192.0.2.1:80", "192.0.2.7:5000"), SocketState::last_ack);
    EXPECT_FALSE(collector_.tail_settled());
}

}  // namespace
}  // namespace tracedump
