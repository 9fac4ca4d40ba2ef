// What an event of the hooks says of its socket, and when it was; and with the hooks of the running kernel, what
// becomes of events: claims, and a message when some were lost. The latter is skipped without the rights to load hooks.
#include "hooks/hook_sensor.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <ctime>
#include <optional>

#include "capture/ebpf_filter.h"
#include "helpers.h"
#include "ports/socket_inquiry.h"
#include "sockets.h"
#include "util/error.h"

namespace tracedump {
namespace {

using test::endpoint;

socket_event event_of(socket_event_kind kind, int family, int protocol, const char* local, std::uint16_t port) {
    socket_event event{};
    event.kind = kind;
    event.cookie = 7;
    event.family = static_cast<std::uint16_t>(family);
    event.protocol = static_cast<std::uint16_t>(protocol);
    event.local_port = port;
    inet_pton(family, local, event.local_address);
    return event;
}

TEST(SocketOfEvent, ABoundUdpSocket) {
    auto expected = test::udp(7, "192.0.2.1:53");
    expected.bound = true;
    EXPECT_EQ(socket_of(event_of(SOCKET_BOUND, AF_INET, IPPROTO_UDP, "192.0.2.1", 53)), expected);
}

TEST(SocketOfEvent, AWildcardReceivesBothVersionsIfItIsIpv6) {
    const auto v6 = socket_of(event_of(SOCKET_HAS_PORT, AF_INET6, IPPROTO_UDP, "::", 53));
    ASSERT_TRUE(v6);
    EXPECT_EQ(v6->families, Families::both);
    EXPECT_FALSE(v6->bound);
    EXPECT_EQ(socket_of(event_of(SOCKET_HAS_PORT, AF_INET, IPPROTO_UDP, "0.0.0.0", 53))->families, Families::v4);
    EXPECT_EQ(socket_of(event_of(SOCKET_BOUND, AF_INET6, IPPROTO_TCP, "2001:db8::1", 53))->families, Families::v6);
    EXPECT_EQ(socket_of(event_of(SOCKET_BOUND, AF_INET6, IPPROTO_TCP, "::ffff:192.0.2.1", 53))->families, Families::v4);
}

TEST(SocketOfEvent, OnlyAConnectionHasARemote) {
    auto event = event_of(SOCKET_CONNECTS, AF_INET, IPPROTO_TCP, "192.0.2.1", 40000);
    event.remote_port = 80;
    inet_pton(AF_INET, "192.0.2.2", event.remote_address);
    EXPECT_EQ(socket_of(event), test::tcp(7, "192.0.2.1:40000", "192.0.2.2:80"));
    event.kind = SOCKET_HAS_PORT;
    EXPECT_FALSE(socket_of(event)->remote);
}

TEST(SocketOfEvent, MultipathTcpIsTcp) {
    EXPECT_EQ(socket_of(event_of(SOCKET_BOUND, AF_INET, 262, "0.0.0.0", 80))->transport, Transport::tcp);
    EXPECT_EQ(socket_of(event_of(SOCKET_BOUND, AF_INET, IPPROTO_UDPLITE, "0.0.0.0", 80))->transport,
              Transport::udplite);
    EXPECT_FALSE(socket_of(event_of(SOCKET_BOUND, AF_INET, IPPROTO_RAW, "0.0.0.0", 80)));
}

TEST(ClockOffset, TurnsMonotonicIntoRealTime) {
    const auto offset = ClockOffset::now();
    EXPECT_LE(offset.earliest, offset.latest);
    const Timestamp before = realtime_now();
    timespec monotonic{};
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    const Timestamp after = realtime_now();
    socket_event event{};
    event.time = static_cast<std::uint64_t>(from_timespec(monotonic));
    EXPECT_LE(offset.earliest_of(event), after);
    EXPECT_GE(offset.latest_of(event), before);
}

/// One network, in which everything is.
class OneNetwork : public Networks {
public:
    explicit OneNetwork(std::shared_ptr<PortFilter> filter)
        : registry(std::make_shared<PortRegistry>(std::move(filter))) {}
    std::shared_ptr<PortRegistry> of(NetworkId, int) override { return registry; }
    std::shared_ptr<PortRegistry> find(NetworkId) override { return registry; }
    void visit(pid_t, pid_t) override {}
    std::optional<bool> is_v6_only(NetworkId, const SocketInfo& socket) override { return inquiry_.is_v6_only(socket); }

    const std::shared_ptr<PortRegistry> registry;

private:
    SocketInquiry inquiry_;
};

class HookSensorTest : public ::testing::Test {
protected:
    void SetUp() override { begin(SocketHooks::kDefaultRing); }

    void begin(std::size_t ring) {
        try {
            sensor_.reset();
            hooks_.reset();
            filter_.emplace(1500, false);
            hooks_.emplace(filter_->ports_map(), ring);
        } catch (const Error& error) {
            GTEST_SKIP() << error.what();
        }
        hooks_->capture(network_of_socket(test::open_socket(AF_INET, SOCK_DGRAM).get()));
        networks_.emplace(std::shared_ptr<PortFilter>(std::shared_ptr<PortFilter>(), &filter_->ports()));
        sensor_.emplace(HookSensor::Links{*hooks_, filter_->ports(), *networks_, gc_, monitor_});
        sensor_->watch(getpid(), 0);
    }

    std::optional<Claim> claim_of(const UniqueFd& socket) const {
        return networks_->registry->find(test::cookie_of(socket));
    }

    const Endpoint nobody_ = test::loopback(AF_INET, 9);
    std::optional<EbpfFilter> filter_;
    std::optional<SocketHooks> hooks_;
    std::optional<OneNetwork> networks_;
    GcMailbox gc_;
    MonitorInbox monitor_;
    std::optional<HookSensor> sensor_;
};

TEST_F(HookSensorTest, ASocketIsClaimedSinceBeforeItsFirstPacketAndUntilItIsReleased) {
    UniqueFd socket = test::open_socket(AF_INET, SOCK_DGRAM);
    const auto cookie = test::cookie_of(socket);
    test::bind_to_loopback(socket, AF_INET);
    test::send_one_to(socket, nobody_, AF_INET);
    const Timestamp sent = realtime_now();
    sensor_->catch_up();
    const auto claim = claim_of(socket);
    ASSERT_TRUE(claim);
    EXPECT_EQ(claim->socket.local, test::local_end(socket));
    EXPECT_TRUE(claim->socket.bound);
    EXPECT_LT(claim->birth, sent);
    socket.reset();
    sensor_->catch_up();
    EXPECT_FALSE(networks_->registry->find(cookie));
}

TEST_F(HookSensorTest, AConnectionIsClaimedUntilItIsFinished) {
    const UniqueFd listener = test::open_socket(AF_INET, SOCK_STREAM);
    ASSERT_EQ(listen(listener.get(), 1), 0);
    UniqueFd socket = test::open_socket(AF_INET, SOCK_STREAM);
    const auto cookie = test::cookie_of(socket);
    test::connect_to(socket, test::loopback(AF_INET, test::local_end(listener).port), AF_INET);
    sensor_->catch_up();
    ASSERT_TRUE(claim_of(socket));
    UniqueFd accepted(accept(listener.get(), nullptr, nullptr));
    accepted.reset();
    socket.reset();
    sensor_->catch_up();
    EXPECT_FALSE(networks_->registry->find(cookie));
    EXPECT_FALSE(networks_->registry->has_found_tcp());
}

TEST_F(HookSensorTest, OfAListenersEndGcIsTold) {
    UniqueFd listener = test::open_socket(AF_INET, SOCK_STREAM);
    const auto cookie = test::cookie_of(listener);
    ASSERT_EQ(listen(listener.get(), 1), 0);
    listener.reset();
    sensor_->catch_up();
    EXPECT_TRUE(networks_->registry->find(cookie));  // first, what was accepted
    const auto message = gc_.take();
    ASSERT_TRUE(message);
    const auto* closed = std::get_if<SocketClosed>(&*message);
    ASSERT_TRUE(closed);
    EXPECT_EQ(closed->cookie, cookie);
    EXPECT_LE(closed->time, realtime_now());
    EXPECT_GE(closed->time, networks_->registry->find(cookie)->birth);
}

TEST_F(HookSensorTest, ASocketThatReceivesIpv6AloneSaysSoItself) {
    for (const int only : {0, 1}) {
        const UniqueFd socket = test::open_socket(AF_INET6, SOCK_DGRAM);
        test::check(setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) == 0, "IPV6_V6ONLY");
        test::bind_to_any6(socket);
        sensor_->catch_up();
        ASSERT_TRUE(claim_of(socket));
        EXPECT_EQ(claim_of(socket)->socket.families, only != 0 ? Families::v6 : Families::both);
    }
}

TEST_F(HookSensorTest, WhatWasKnownBeforeIsReleasedToo) {
    hooks_->unwatch(getpid());
    UniqueFd socket = test::open_socket(AF_INET, SOCK_DGRAM);
    test::bind_to_loopback(socket, AF_INET);
    const SocketInfo info = test::udp(test::cookie_of(socket), to_text(test::local_end(socket)));
    networks_->registry->claim(info, 1);
    sensor_->know(info, network_of_socket(socket.get()));
    socket.reset();
    sensor_->catch_up();
    EXPECT_FALSE(networks_->registry->find(info.cookie));
}

TEST_F(HookSensorTest, WhenEventsAreLostGcIsToldToLook) {
    begin(4096);
    sensor_->catch_up();
    EXPECT_FALSE(gc_.take());
    std::vector<UniqueFd> sockets;
    for (int i = 0; i < 100; ++i) {
        sockets.push_back(test::open_socket(AF_INET, SOCK_DGRAM));
        test::send_one_to(sockets.back(), nobody_, AF_INET);
    }
    sensor_->catch_up();
    EXPECT_LT(networks_->registry->living().size(), sockets.size());
    const auto message = gc_.take();
    ASSERT_TRUE(message);
    EXPECT_TRUE(std::holds_alternative<NewsLost>(*message));
    sensor_->catch_up();
    EXPECT_FALSE(gc_.take());  // once
}

}  // namespace
}  // namespace tracedump
