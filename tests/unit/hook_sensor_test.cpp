// What an event of the hooks says of its socket, and when it was.
#include "hooks/hook_sensor.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstring>
#include <ctime>

#include "helpers.h"

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

}  // namespace
}  // namespace tracedump
