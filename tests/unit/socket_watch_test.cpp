// When a socket died, as the kernel's announcements tell. They take CAP_NET_ADMIN.
#include "gc/socket_watch.h"

#include <gtest/gtest.h>
#include <poll.h>

#include "helpers.h"
#include "sockets.h"

namespace tracedump {
namespace {

TEST(SocketWatch, ASocketDiedBeforeItsDeathWasHeardOfNotWhenItIsJudged) {
    const auto registry = std::make_shared<PortRegistry>(nullptr);
    SocketWatch watch(1, registry, {.home = true});
    if (watch.fd() < 0) GTEST_SKIP() << "deaths are not announced";
    UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    test::bind_to_loopback(socket, AF_INET);
    SocketInfo info = test::udp(test::cookie_of(socket), "*:0");
    info.local = test::local_end(socket);
    registry->claim(info, realtime_now());
    socket.reset();
    Timestamp heard = 0;
    while (registry->find(info.cookie)) {
        pollfd ready{watch.fd(), POLLIN, 0};
        ASSERT_EQ(poll(&ready, 1, 10'000), 1);
        watch.hear_deaths();
        heard = realtime_now();
        while (realtime_now() <= heard + kNanosPerMilli) {
        }
        watch.judge_deaths();
    }
    const auto ports = registry->snapshot().load();
    const auto claims = ports->claims(info.local.port);
    ASSERT_EQ(claims.size(), 1U);
    EXPECT_LE(claims.front().death, heard);
}

/// A TCP socket that listens, and what the registry calls it.
struct Listener {
    Listener() : socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        test::bind_to_loopback(socket, AF_INET);
        listen(socket.get(), 1);
        info = test::tcp(test::cookie_of(socket), "*:0");
        info.local = test::local_end(socket);
    }
    UniqueFd socket;
    SocketInfo info;
};

TEST(SocketWatch, HearsTcpSocketsDieFromTheFirstOnThatNoHookHasReported) {
    const auto registry = std::make_shared<PortRegistry>(nullptr);
    SocketWatch watch(1, registry, {.home = true, .tcp_ends_hooked = true});
    if (watch.fd() < 0) GTEST_SKIP() << "deaths are not announced";
    const auto is_told = [&](const SocketInfo& socket, int millis) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(millis);
        while (registry->find(socket.cookie) && std::chrono::steady_clock::now() < deadline) {
            pollfd ready{watch.fd(), POLLIN, 0};
            poll(&ready, 1, 10);
            watch.hear_deaths();
            watch.judge_deaths();
        }
        return !registry->find(socket.cookie);
    };
    Listener reported;
    registry->update(std::vector<SocketChange>{{reported.info, realtime_now()}});
    watch.sweep_if_due(kAlways);
    reported.socket.reset();
    EXPECT_FALSE(is_told(reported.info, 100));
    watch.judge_death(reported.info.cookie, 7);
    EXPECT_FALSE(registry->find(reported.info.cookie));

    Listener found;
    registry->claim(found.info, realtime_now());
    watch.sweep_if_due(kAlways);
    found.socket.reset();
    EXPECT_TRUE(is_told(found.info, 10'000));
}

}  // namespace
}  // namespace tracedump
