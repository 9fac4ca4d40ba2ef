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
    SocketWatch watch(1, registry, true);
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

}  // namespace
}  // namespace tracedump
