// What the registry publishes after each change, and that it is in force before it is published.
#include "ports/port_registry.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "helpers.h"

namespace tracedump {
namespace {

using test::endpoint;

class PortRegistryTest : public ::testing::Test {
protected:
    std::vector<Claim> claims(std::uint16_t port) const {
        const auto set = registry_.snapshot().load();
        const auto span = set->claims(port);
        return {span.begin(), span.end()};
    }
    std::size_t pending() const { return registry_.snapshot().load()->pending().size(); }

    PortRegistry registry_{nullptr};
};

TEST_F(PortRegistryTest, BeginsEmpty) {
    EXPECT_TRUE(registry_.living().empty());
    EXPECT_FALSE(registry_.find(1));
    EXPECT_EQ(registry_.totals().sockets, 0U);
}

TEST_F(PortRegistryTest, AClaimIsPublishedAndFound) {
    registry_.claim(test::udp(1, "*:53"), 100);
    const Claim expected{test::udp(1, "*:53"), 100, kNever};
    EXPECT_EQ(claims(53), std::vector{expected});
    EXPECT_EQ(registry_.find(1), expected);
    EXPECT_EQ(registry_.living(), std::vector{expected});
}

TEST_F(PortRegistryTest, AnOldSnapshotStaysAsItWas) {
    registry_.claim(test::udp(1, "*:53"), 100);
    const auto old = registry_.snapshot().load();
    const SocketCookie cookie = 1;
    registry_.retire(std::span(&cookie, 1), 200);
    registry_.claim(test::udp(2, "*:53"), 300);
    registry_.claim(test::udp(3, "*:54"), 300);
    registry_.forget_dead(1000);
    ASSERT_EQ(old->claims(53).size(), 1U);
    EXPECT_TRUE(old->claims(53)[0].alive());
    EXPECT_FALSE(old->contains(54));
}

TEST_F(PortRegistryTest, TheSameClaimAgainPublishesNothing) {
    registry_.claim(test::udp(1, "*:53"), 100);
    const auto generation = registry_.snapshot().generation();
    registry_.claim(test::udp(1, "*:53"), 200);
    EXPECT_EQ(registry_.snapshot().generation(), generation);
    EXPECT_EQ(claims(53).at(0).birth, 100);
}

TEST_F(PortRegistryTest, BindThenConnectKeepsTheBirth) {
    registry_.claim(test::tcp(1, "*:4000"), 100);
    registry_.claim(test::tcp(1, "192.0.2.1:4000", "192.0.2.2:80"), 200);
    EXPECT_EQ(claims(4000), (std::vector{Claim{test::tcp(1, "192.0.2.1:4000", "192.0.2.2:80"), 100, kNever}}));
    EXPECT_EQ(registry_.totals().sockets, 1U);
}

TEST_F(PortRegistryTest, APortThatWasAskedForStaysSo) {
    auto bound = test::tcp(1, "*:4000");
    bound.bound = true;
    registry_.claim(bound, 100);
    registry_.claim(test::tcp(1, "192.0.2.1:4000", "192.0.2.2:80"), 200);
    EXPECT_TRUE(registry_.find(1)->socket.bound);
}

TEST_F(PortRegistryTest, ReconnectingToAnotherRemoteEndsTheOldClaim) {
    registry_.claim(test::tcp(1, "192.0.2.1:4000", "192.0.2.2:80"), 100);
    registry_.claim(test::tcp(1, "192.0.2.1:4000", "192.0.2.3:80"), 200);
    EXPECT_EQ(claims(4000), (std::vector{Claim{test::tcp(1, "192.0.2.1:4000", "192.0.2.2:80"), 100, 200},
                                         Claim{test::tcp(1, "192.0.2.1:4000", "192.0.2.3:80"), 200, kNever}}));
}

TEST_F(PortRegistryTest, AnotherPortEndsTheOldClaim) {
    registry_.claim(test::tcp(1, "192.0.2.1:4000", "192.0.2.2:80"), 100);
    registry_.claim(test::tcp(1, "192.0.2.1:4001", "192.0.2.2:80"), 200);
    EXPECT_EQ(claims(4000).at(0).death, 200);
    EXPECT_EQ(claims(4001).at(0).birth, 200);
    EXPECT_EQ(registry_.totals().sockets, 1U);
    EXPECT_EQ(registry_.totals().ports, 2U);
}

TEST_F(PortRegistryTest, PortZeroTakesTheClaimAway) {
    registry_.claim(test::tcp(1, "192.0.2.1:4000", "192.0.2.2:80"), 100);
    registry_.claim(test::tcp(1, "*:0"), 200);
    EXPECT_EQ(claims(4000).at(0).death, 200);
    EXPECT_FALSE(registry_.find(1));
    EXPECT_EQ(registry_.totals().living, 0U);
}

TEST_F(PortRegistryTest, AnUnknownSocketWithoutAPortIsNoClaim) {
    const auto generation = registry_.snapshot().generation();
    registry_.claim(test::tcp(1, "*:0"), 100);
    EXPECT_EQ(registry_.snapshot().generation(), generation);
    EXPECT_EQ(registry_.totals().sockets, 0U);
}

TEST_F(PortRegistryTest, RetiredClaimsStayUntilTheyAreForgotten) {
    registry_.claim(test::udp(1, "*:53"), 100);
    const SocketCookie cookies[] = {1, 99};
    registry_.retire(cookies, 200);
    EXPECT_EQ(claims(53), (std::vector{Claim{test::udp(1, "*:53"), 100, 200}}));
    EXPECT_FALSE(registry_.find(1));
    EXPECT_TRUE(registry_.living().empty());
    registry_.forget_dead(200);
    EXPECT_EQ(claims(53).size(), 1U);
    registry_.forget_dead(201);
    EXPECT_TRUE(claims(53).empty());
}

TEST_F(PortRegistryTest, ADeadTcpSocketIsRememberedForItsAfterlife) {
    registry_.claim(test::tcp(1, "192.0.2.1:4000", "192.0.2.2:80"), 100);
    registry_.claim(test::udp(2, "*:53"), 100);
    const SocketCookie cookies[] = {1, 2};
    registry_.retire(cookies, 200);
    registry_.forget_dead(200 + kTcpAfterlife);
    EXPECT_EQ(claims(4000).size(), 1U);
    EXPECT_TRUE(claims(53).empty());
    registry_.forget_dead(201 + kTcpAfterlife);
    EXPECT_TRUE(claims(4000).empty());
}

TEST(PortRegistry, RemembersTheDeadForAsLongAsItIsTold) {
    PortRegistry registry(nullptr, 50);
    registry.claim(test::udp(1, "*:53"), 100);
    const SocketCookie cookie = 1;
    registry.retire(std::span(&cookie, 1), 200);
    registry.forget_dead(250);
    EXPECT_TRUE(registry.snapshot().load()->contains(53));
    registry.forget_dead(251);
    EXPECT_FALSE(registry.snapshot().load()->contains(53));
}

TEST_F(PortRegistryTest, AfterlivesAreBounded) {
    std::vector<SocketInfo> sockets;
    std::vector<SocketCookie> cookies;
    for (SocketCookie cookie = 1; cookie <= PortRegistry::kMaxAfterlives + 10; ++cookie) {
        sockets.push_back(test::tcp(cookie, fmt::format("192.0.2.1:{}", 1000 + cookie % 1000), "192.0.2.2:80"));
        cookies.push_back(cookie);
    }
    registry_.claim(sockets, 100);
    registry_.retire(std::span(cookies).first(10), 200);
    registry_.retire(std::span(cookies).subspan(10), 300);
    registry_.forget_dead(301);
    std::size_t left = 0;
    registry_.snapshot().load()->for_each_port([&](std::uint16_t, std::span<const Claim> claims) {
        left += claims.size();
        for (const Claim& claim : claims) EXPECT_EQ(claim.death, 300);
    });
    EXPECT_EQ(left, PortRegistry::kMaxAfterlives);
}

TEST_F(PortRegistryTest, RetiringStrangersPublishesNothing) {
    const auto generation = registry_.snapshot().generation();
    const SocketCookie stranger = 5;
    registry_.retire(std::span(&stranger, 1), 1);
    registry_.forget_dead(1);
    EXPECT_EQ(registry_.snapshot().generation(), generation);
}

TEST_F(PortRegistryTest, ForgettingTheDeadOfAPortKeepsItsLiving) {
    registry_.claim(test::udp(1, "*:53"), 100);
    const SocketCookie cookie = 1;
    registry_.retire(std::span(&cookie, 1), 200);
    registry_.claim(test::udp(2, "*:53"), 300);
    registry_.forget_dead(1000);
    EXPECT_EQ(claims(53), (std::vector{Claim{test::udp(2, "*:53"), 300, kNever}}));
}

TEST_F(PortRegistryTest, AWindowIsPendingUntilItClosesWithItsSocket) {
    const auto window = registry_.open_window(1, Transport::tcp, endpoint("192.0.2.2:80"), 100);
    EXPECT_EQ(pending(), 1U);
    EXPECT_EQ(registry_.snapshot().load()->pending()[0].remote, endpoint("192.0.2.2:80"));
    registry_.close_window(window, test::tcp(1, "192.0.2.1:4000", "192.0.2.2:80"));
    EXPECT_EQ(pending(), 0U);
    EXPECT_EQ(claims(4000).at(0).birth, 100);  // from the opening on
}

TEST_F(PortRegistryTest, AWindowMayCloseWithoutASocketOrAPort) {
    const auto first = registry_.open_window(1, Transport::tcp, endpoint("192.0.2.2:80"), 100);
    const auto second = registry_.open_window(2, Transport::tcp, endpoint("192.0.2.2:80"), 100);
    EXPECT_NE(first, second);
    registry_.close_window(first, std::nullopt);
    EXPECT_EQ(pending(), 1U);
    registry_.close_window(second, test::tcp(2, "*:0"));
    EXPECT_EQ(pending(), 0U);
    EXPECT_EQ(registry_.totals().sockets, 0U);
}

TEST_F(PortRegistryTest, AWindowThatIsClosedIsIgnored) {
    const auto window = registry_.open_window(1, Transport::tcp, endpoint("192.0.2.2:80"), 100);
    registry_.close_window(window, std::nullopt);
    const auto generation = registry_.snapshot().generation();
    registry_.close_window(window, test::tcp(1, "192.0.2.1:4000", "192.0.2.2:80"));
    EXPECT_EQ(registry_.snapshot().generation(), generation);
    EXPECT_TRUE(claims(4000).empty());
}

TEST_F(PortRegistryTest, ABindIsProvisionalUntilItsWindowCloses) {
    const auto window = registry_.open_bind_window(test::udp(1, "*:53"), 100);
    EXPECT_EQ(claims(53), (std::vector{Claim{test::udp(1, "*:53"), 100, kNever, true}}));
    EXPECT_FALSE(registry_.find(1));
    EXPECT_FALSE(registry_.idle());
    registry_.close_window(window, test::udp(1, "*:53"));
    EXPECT_EQ(claims(53), (std::vector{Claim{test::udp(1, "*:53"), 100, kNever}}));
    EXPECT_EQ(registry_.totals().sockets, 1U);
}

TEST_F(PortRegistryTest, ABindThatFailsLeavesNothingBehind) {
    registry_.claim(test::tcp(2, "*:80"), 50);
    const auto refused = registry_.open_bind_window(test::tcp(1, "*:80"), 100);
    registry_.close_window(refused, test::tcp(1, "*:0"));
    const auto forgotten = registry_.open_bind_window(test::tcp(1, "*:80"), 200);
    registry_.close_window(forgotten, std::nullopt);
    EXPECT_EQ(claims(80), (std::vector{Claim{test::tcp(2, "*:80"), 50, kNever}}));
    EXPECT_EQ(registry_.totals().sockets, 1U);
}

TEST_F(PortRegistryTest, ABindMayEndOnAnotherPort) {
    const auto window = registry_.open_bind_window(test::udp(1, "*:53"), 100);
    registry_.close_window(window, test::udp(1, "*:54"));
    EXPECT_TRUE(claims(53).empty());
    EXPECT_EQ(claims(54), (std::vector{Claim{test::udp(1, "*:54"), 100, kNever}}));
    EXPECT_EQ(registry_.totals().ports, 1U);
}

TEST_F(PortRegistryTest, ASocketThatBecomesKnownMeanwhileIsNotProvisional) {
    const auto window = registry_.open_bind_window(test::udp(1, "*:53"), 100);
    registry_.claim(test::udp(1, "*:53"), 150);
    registry_.close_window(window, test::udp(1, "*:53"));
    EXPECT_EQ(claims(53), (std::vector{Claim{test::udp(1, "*:53"), 100, kNever}}));
}

TEST_F(PortRegistryTest, TotalsCountDistinctPortsByTransport) {
    registry_.claim(test::tcp(1, "*:53"), 1);
    registry_.claim(test::udp(2, "*:53"), 1);
    registry_.claim(test::udp(3, "127.0.0.1:53"), 1);
    registry_.claim(test::udp(4, "*:54"), 1);
    const SocketCookie cookie = 4;
    registry_.retire(std::span(&cookie, 1), 2);
    const auto totals = registry_.totals();
    EXPECT_EQ(totals.sockets, 4U);
    EXPECT_EQ(totals.ports, 3U);
    EXPECT_EQ(totals.living, 3U);
}

TEST_F(PortRegistryTest, SeveralClaimsArePublishedAtOnce) {
    const auto generation = registry_.snapshot().generation();
    const std::vector<SocketInfo> sockets{test::udp(1, "*:1"), test::udp(2, "*:2"), test::udp(3, "*:3")};
    registry_.claim(sockets, 5);
    EXPECT_EQ(registry_.snapshot().generation(), generation + 1);
    EXPECT_EQ(registry_.living().size(), 3U);
}

TEST(PortRegistry, ChangesAreMadeInTheirOrderAndPublishedOnce) {
    PortRegistry registry(nullptr);
    const auto generation = registry.snapshot().generation();
    const SocketChange changes[] = {{test::udp(1, "*:53"), 100},
                                    {test::udp(1, "*:53"), 200, SocketChange::Kind::released},
                                    {test::udp(2, "*:53"), 300},
                                    {test::udp(9, "*:54"), 310, SocketChange::Kind::released}};
    registry.update(changes);
    EXPECT_EQ(registry.snapshot().generation(), generation + 1);
    const auto claims = registry.snapshot().load()->claims(53);
    ASSERT_EQ(claims.size(), 2U);
    EXPECT_EQ(std::pair(claims[0].birth, claims[0].death), std::pair(Timestamp{100}, Timestamp{200}));
    EXPECT_EQ(std::pair(claims[1].birth, claims[1].death), std::pair(Timestamp{300}, kNever));
    registry.update({});
    EXPECT_EQ(registry.snapshot().generation(), generation + 1);
}

TEST(PortRegistry, TellsWhetherTcpSocketsWereFound) {
    PortRegistry registry(nullptr);
    registry.update(std::vector<SocketChange>{{test::tcp(1, "192.0.2.1:4000", "192.0.2.2:80"), 100}});
    registry.claim(test::udp(2, "*:53"), 100);
    EXPECT_FALSE(registry.has_found_tcp());
    registry.claim(test::tcp(3, "*:80"), 100);
    EXPECT_TRUE(registry.has_found_tcp());
    PortRegistry other(nullptr);
    other.update(std::vector<SocketChange>{{test::tcp(3, "*:80"), 100, SocketChange::Kind::found}});
    EXPECT_TRUE(other.has_found_tcp());
    EXPECT_TRUE(other.find(3));
}

TEST(PortRegistry, AReleasedUdpSocketSendsUntilItIsGone) {
    PortRegistry registry(nullptr);
    registry.claim(test::udp(1, "*:53"), 100);
    const SocketChange closed{test::udp(1, "*:53"), 200, SocketChange::Kind::released};
    registry.update(std::span(&closed, 1));
    const auto claim = [&] { return registry.snapshot().load()->claims(53)[0]; };
    EXPECT_EQ(std::pair(claim().death, claim().silence), std::pair(Timestamp{200}, kNever));
    EXPECT_FALSE(registry.find(1));
    EXPECT_TRUE(registry.idle());
    const SocketCookie cookie = 1;
    registry.retire(std::span(&cookie, 1), 250);
    EXPECT_EQ(std::pair(claim().death, claim().silence), std::pair(Timestamp{200}, Timestamp{250}));
    registry.forget_dead(240);
    EXPECT_TRUE(registry.snapshot().load()->contains(53));
    registry.forget_dead(260);
    EXPECT_FALSE(registry.snapshot().load()->contains(53));
}

TEST(PortRegistry, AReleasedUdpSocketSendsUntilSomebodyElseDoes) {
    PortRegistry registry(nullptr);
    const SocketInfo here = test::udp(1, "192.0.2.1:53"), everywhere = test::udp(2, "*:53");
    registry.claim(std::vector{here, everywhere}, 100);
    const auto change = [&](const SocketInfo& socket, Timestamp time, SocketChange::Kind kind) {
        registry.update(std::vector<SocketChange>{{socket, time, kind}});
    };
    change(here, 200, SocketChange::Kind::released);
    change(everywhere, 210, SocketChange::Kind::released);
    const auto silences = [&] {
        std::map<SocketCookie, Timestamp> found;
        for (const Claim& claim : registry.snapshot().load()->claims(53)) found[claim.socket.cookie] = claim.silence;
        return found;
    };
    using Silences = std::map<SocketCookie, Timestamp>;
    change(test::tcp(9, "192.0.2.1:53"), 220, SocketChange::Kind::succeeded);
    EXPECT_EQ(silences(), (Silences{{1, kNever}, {2, kNever}}));
    change(test::udp(9, "192.0.2.9:53"), 230, SocketChange::Kind::succeeded);  // another address
    EXPECT_EQ(silences(), (Silences{{1, kNever}, {2, 230}}));
    registry.claim(test::udp(3, "192.0.2.1:53"), 240);  // one of ours: what is sent is its
    EXPECT_EQ(silences(), (Silences{{1, 240}, {2, 230}, {3, kAlways}}));
    registry.forget_dead(300);
    EXPECT_EQ(silences(), (Silences{{3, kAlways}}));
}

TEST(PortRegistry, AConnectThatWasGivenUpSendsForAWhile) {
    PortRegistry registry(nullptr);
    const SocketInfo first = test::tcp(1, "192.0.2.1:4000", "192.0.2.2:80");
    const SocketInfo second = test::tcp(1, "192.0.2.1:4001", "192.0.2.2:80");
    registry.update(std::vector<SocketChange>{{first, 100}, {first, 200, SocketChange::Kind::released}});
    const auto claims = [&](std::uint16_t port) { return registry.snapshot().load()->claims(port); };
    EXPECT_EQ(claims(4000)[0].silence, kNever);
    registry.update(std::vector<SocketChange>{{second, 300}, {second, 400, SocketChange::Kind::finished}});
    EXPECT_EQ(claims(4000)[0].silence, 400);  // the latest it can have been
    EXPECT_EQ(claims(4001)[0].death, 400);
    registry.forget_dead(kTcpAfterlife);
    EXPECT_FALSE(claims(4000).empty());
    registry.forget_dead(kTcpAfterlife + 1000);
    EXPECT_TRUE(claims(4000).empty());
    EXPECT_TRUE(claims(4001).empty());
}

TEST(PortRegistry, AReleasedSocketWhoseEndIsNotHeardOfIsForgotten) {
    PortRegistry registry(nullptr);
    registry.claim(test::udp(1, "*:53"), 100);
    const SocketChange closed{test::udp(1, "*:53"), 200, SocketChange::Kind::released};
    registry.update(std::span(&closed, 1));
    registry.forget_dead(200 + kNeighbourPatience);
    EXPECT_TRUE(registry.snapshot().load()->contains(53));
    registry.forget_dead(201 + kNeighbourPatience);
    EXPECT_FALSE(registry.snapshot().load()->contains(53));
}

TEST(PortRegistry, ATwinHasTheSameEndsAndLives) {
    PortRegistry registry(nullptr);
    registry.claim(test::tcp(1, "192.0.2.1:4000", "192.0.2.2:80"), 100);
    EXPECT_TRUE(registry.has_twin(test::tcp(2, "192.0.2.1:4000", "192.0.2.2:80")));
    EXPECT_FALSE(registry.has_twin(test::tcp(2, "192.0.2.1:4000", "192.0.2.2:81")));
    EXPECT_FALSE(registry.has_twin(test::tcp(2, "192.0.2.1:4001", "192.0.2.2:80")));
    const SocketCookie cookie = 1;
    registry.retire(std::span(&cookie, 1), 200);
    EXPECT_FALSE(registry.has_twin(test::tcp(2, "192.0.2.1:4000", "192.0.2.2:80")));
}

TEST(PortRegistry, EachChangeIsInForceBeforeItIsPublished) {
    const PortRegistry* self = nullptr;
    std::vector<PortSet> enforced;
    std::vector<std::uint64_t> published_before;
    PortRegistry registry(test::filter_that([&](const PortSet& set) {
        published_before.push_back(self->snapshot().generation());
        enforced.push_back(set);
    }));
    self = &registry;
    const auto expect_enforced_first = [&](std::size_t times) {
        ASSERT_EQ(enforced.size(), times);
        EXPECT_EQ(published_before.back() + 1, registry.snapshot().generation());
        // The very set that was put in force.
        const auto published = registry.snapshot().load();
        EXPECT_EQ(published->pending(), enforced.back().pending());
        for (std::uint32_t port = 0; port < 65536; ++port) {
            const auto seen = published->claims(static_cast<std::uint16_t>(port));
            const auto put = enforced.back().claims(static_cast<std::uint16_t>(port));
            ASSERT_TRUE(std::equal(seen.begin(), seen.end(), put.begin(), put.end())) << port;
        }
    };
    registry.claim(test::udp(1, "*:53"), 100);
    expect_enforced_first(1);
    EXPECT_TRUE(enforced.back().contains(53));
    const auto window = registry.open_window(2, Transport::tcp, endpoint("192.0.2.2:80"), 100);
    expect_enforced_first(2);
    EXPECT_EQ(enforced.back().pending().size(), 1U);
    registry.close_window(window, std::nullopt);
    expect_enforced_first(3);
    const SocketCookie cookie = 1;
    registry.retire(std::span(&cookie, 1), 200);
    expect_enforced_first(4);
    registry.forget_dead(300);
    expect_enforced_first(5);
    EXPECT_FALSE(enforced.back().contains(53));
}

/// Counts who stands behind each port and remote.
class CountingFilter : public PortFilter {
public:
    void admit(Transport transport, std::uint16_t port) override { ++ports[{transport, port}]; }
    void dismiss(Transport transport, std::uint16_t port) override { --ports[{transport, port}]; }
    void admit(const Endpoint& remote) override { ++remotes[remote]; }
    void dismiss(const Endpoint& remote) override { --remotes[remote]; }

    std::map<std::pair<Transport, std::uint16_t>, int> ports;
    std::map<Endpoint, int> remotes;
};

TEST(PortRegistry, TheFilterHearsOfEachClaimOnceAndOfItsEndOnce) {
    const auto filter = std::make_shared<CountingFilter>();
    PortRegistry registry(filter);
    auto& dns = filter->ports[{Transport::udp, 53}];
    auto& web = filter->ports[{Transport::tcp, 4000}];
    auto& remote = filter->remotes[endpoint("192.0.2.2:80")];
    registry.claim(test::udp(1, "*:53"), 100);
    registry.claim(test::udp(1, "192.0.2.1:53"), 110);  // the same socket, known better
    registry.claim(test::udp(2, "*:53"), 120);
    EXPECT_EQ(dns, 2);
    const auto window = registry.open_window(3, Transport::tcp, endpoint("192.0.2.2:80"), 100);
    EXPECT_EQ(remote, 1);
    registry.close_window(window, test::tcp(3, "192.0.2.1:4000", "192.0.2.2:80"));
    registry.close_window(window, std::nullopt);
    EXPECT_EQ(std::pair(remote, web), std::pair(0, 1));
    const SocketCookie cookies[] = {1, 2, 3};
    registry.retire(cookies, 200);
    EXPECT_EQ(std::pair(dns, web), std::pair(2, 1));  // their last packets are yet to be judged
    registry.forget_dead(300);
    EXPECT_EQ(std::pair(dns, web), std::pair(0, 1));  // TCP has an afterlife
    registry.forget_dead(kNever);
    EXPECT_EQ(web, 0);
}

TEST(PortRegistry, WhatCannotBePutInForceIsNotPublished) {
    PortRegistry registry(test::filter_that([](const PortSet&) { throw std::runtime_error("no"); }));
    EXPECT_THROW(registry.claim(test::udp(1, "*:53"), 100), std::runtime_error);
    EXPECT_FALSE(registry.snapshot().load()->contains(53));
}

TEST(PortRegistry, OneThreadChangesWhileAnotherReadsSnapshots) {
    constexpr SocketCookie kRounds = 2000;
    PortRegistry registry(nullptr);
    std::atomic<bool> done{false};
    std::thread writer([&] {
        for (SocketCookie round = 1; round <= kRounds; ++round) {
            const auto time = static_cast<Timestamp>(round);
            // Two sockets that come and go together.
            const std::vector<SocketInfo> pair{test::udp(2 * round, "*:1000"), test::udp(2 * round + 1, "*:2000")};
            registry.claim(pair, time);
            const SocketCookie cookies[] = {2 * round, 2 * round + 1};
            registry.retire(cookies, time);
            if (round % 16 == 0) registry.forget_dead(time);
        }
        done = true;
    });
    Published<PortSet>::Reader reader(registry.snapshot());
    std::uint64_t seen = 0;
    for (bool last = false; !last;) {
        last = done;
        const PortSet& set = reader.get();
        EXPECT_GE(reader.generation(), seen);
        seen = reader.generation();
        const auto first = set.claims(1000);
        const auto second = set.claims(2000);
        ASSERT_TRUE(first.empty() || second.empty() || first.back().alive() == second.back().alive());
    }
    writer.join();
    EXPECT_EQ(registry.totals().sockets, 2 * kRounds);
    EXPECT_EQ(registry.totals().living, 0U);
}

TEST(PortRegistry, AWindowReachesBackThoughItsSocketBecameKnownMeanwhile) {
    PortRegistry registry(nullptr);
    SocketInfo socket = test::udp(1, "192.0.2.1:4000");
    socket.transport = Transport::tcp;
    socket.remote = test::endpoint("192.0.2.2:80");
    const auto window = registry.open_window(1, Transport::tcp, *socket.remote, 100);
    registry.claim(socket, 150);
    registry.close_window(window, socket);
    ASSERT_EQ(registry.snapshot().load()->claims(4000).size(), 1U);
    EXPECT_EQ(registry.snapshot().load()->claims(4000)[0].birth, 100);
}

}  // namespace
}  // namespace tracedump
