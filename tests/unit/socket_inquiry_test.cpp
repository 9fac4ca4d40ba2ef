// What the running kernel says of sockets by their port and cookie.
#include "ports/socket_inquiry.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "helpers.h"
#include "ports/socket_probe.h"
#include "sockets.h"

namespace tracedump {
namespace {

UniqueFd wildcard_socket(int type, int only_v6) {
    UniqueFd socket = test::open_socket(AF_INET6, type);
    test::check(setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof only_v6) == 0, "IPV6_V6ONLY");
    test::bind_to_any6(socket);
    if (type == SOCK_STREAM) test::check(listen(socket.get(), 5) == 0, "listen");
    return socket;
}

class SocketInquiryTest : public ::testing::TestWithParam<int> {
protected:
    SocketInquiry inquiry_;
};

TEST_P(SocketInquiryTest, TellsWhetherItReceivesIpv6Alone) {
    for (const int only_v6 : {0, 1}) {
        const UniqueFd socket = wildcard_socket(GetParam(), only_v6);
        EXPECT_EQ(inquiry_.is_v6_only(inspect_socket(socket).value()), only_v6 != 0);
    }
}

TEST_P(SocketInquiryTest, KnowsNothingOfOneThatIsGone) {
    UniqueFd socket = wildcard_socket(GetParam(), 1);
    const SocketInfo info = inspect_socket(socket).value();
    socket.reset();
    EXPECT_EQ(inquiry_.is_v6_only(info), std::nullopt);
    EXPECT_EQ(inquiry_.is_v6_only(info), std::nullopt);
}

TEST_P(SocketInquiryTest, NorOfAnotherOnItsPort) {
    const UniqueFd socket = wildcard_socket(GetParam(), 1);
    SocketInfo other = inspect_socket(socket).value();
    ++other.cookie;
    EXPECT_EQ(inquiry_.is_v6_only(other), std::nullopt);
    EXPECT_EQ(inquiry_.is_v6_only(inspect_socket(socket).value()), true);
}

INSTANTIATE_TEST_SUITE_P(UdpAndTcp, SocketInquiryTest, ::testing::Values(SOCK_DGRAM, SOCK_STREAM));

}  // namespace
}  // namespace tracedump
