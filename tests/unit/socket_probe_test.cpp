// What the probe says of sockets of every kind, all of them the test's own.
#include "ports/socket_probe.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>

#include "helpers.h"
#include "sockets.h"

namespace tracedump {
namespace {

using test::Connection;
using test::open_socket;

void make_v6_only(const UniqueFd& socket, int value) {
    test::check(setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &value, sizeof value) == 0, "IPV6_V6ONLY");
}

#define NEED_IPV6 \
    if (!test::has_loopback(AF_INET6)) GTEST_SKIP() << "no IPv6"

TEST(InspectSocket, AnUnboundSocketHasNoPort) {
    const auto socket = open_socket(AF_INET, SOCK_DGRAM);
    const auto info = inspect_socket(socket);
    ASSERT_TRUE(info);
    EXPECT_EQ(info->cookie, test::cookie_of(socket));
    EXPECT_EQ(info->transport, Transport::udp);
    EXPECT_EQ(info->families, Families::v4);
    EXPECT_EQ(info->local.port, 0);
    EXPECT_FALSE(info->remote);
}

TEST(InspectSocket, ABoundSocketHasItsLocalEnd) {
    const auto socket = open_socket(AF_INET, SOCK_STREAM);
    test::bind_to_loopback(socket, AF_INET);
    const auto info = inspect_socket(socket);
    ASSERT_TRUE(info);
    EXPECT_EQ(info->transport, Transport::tcp);
    EXPECT_EQ(info->local, test::local_end(socket));
    EXPECT_NE(info->local.port, 0);
}

TEST(InspectSocket, AConnectionHasItsRemoteAndAListenerNone) {
    const Connection tcp(AF_INET);
    EXPECT_EQ(inspect_socket(tcp.client)->remote, test::local_end(tcp.listener));
    EXPECT_EQ(inspect_socket(tcp.server)->remote, test::local_end(tcp.client));
    EXPECT_FALSE(inspect_socket(tcp.listener)->remote);
}

TEST(InspectSocket, AConnectedUdpSocketStaysOpenToAllRemotes) {
    const auto socket = open_socket(AF_INET, SOCK_DGRAM);
    test::connect_to(socket, test::loopback(AF_INET, 9), AF_INET);
    const auto info = inspect_socket(socket);
    ASSERT_TRUE(info);
    EXPECT_FALSE(info->remote);
    EXPECT_NE(info->local.port, 0);
}

TEST(InspectSocket, UdpLiteIsItsOwnTransport) {
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDPLITE));
    if (!socket) GTEST_SKIP() << "this kernel has no UDP-Lite";
    EXPECT_EQ(inspect_socket(socket)->transport, Transport::udplite);
}

TEST(InspectSocket, MultipathTcpIsTcp) {
    const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 262));
    if (!socket) GTEST_SKIP() << "this kernel has no Multipath TCP";
    EXPECT_EQ(inspect_socket(socket)->transport, Transport::tcp);
}

TEST(InspectSocket, AnAcceptedMultipathSocketIsNotItsListener) {
    const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 262));
    if (!listener) GTEST_SKIP() << "this kernel has no Multipath TCP";
    test::bind_to_loopback(listener, AF_INET);
    ASSERT_EQ(listen(listener.get(), 5), 0);
    const auto before = inspect_socket(listener);
    ASSERT_TRUE(before);
    EXPECT_TRUE(before->multipath);
    const UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 262));
    test::connect_to(client, test::local_end(listener), AF_INET);
    const UniqueFd accepted(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const auto connection = inspect_socket(accepted);
    ASSERT_TRUE(connection);
    EXPECT_NE(connection->cookie, before->cookie);
    EXPECT_EQ(inspect_socket(listener)->cookie, before->cookie);
}

TEST(InspectSocket, TheWildcardOfAnIpv6SocketTakesBothUnlessItIsV6Only) {
    NEED_IPV6;
    for (const int only : {0, 1}) {
        const auto socket = open_socket(AF_INET6, SOCK_DGRAM);
        make_v6_only(socket, only);
        test::bind_to_any6(socket);
        EXPECT_EQ(inspect_socket(socket)->families, only != 0 ? Families::v6 : Families::both);
    }
}

TEST(InspectSocket, AnIpv6AddressTakesIpv6Only) {
    NEED_IPV6;
    const auto socket = open_socket(AF_INET6, SOCK_DGRAM);
    make_v6_only(socket, 0);
    test::bind_to_loopback(socket, AF_INET6);
    EXPECT_EQ(inspect_socket(socket)->families, Families::v6);
    EXPECT_EQ(inspect_socket(socket)->local, test::local_end(socket));
}

TEST(InspectSocket, AnIpv6SocketThatTalksIpv4ShowsIpv4Ends) {
    NEED_IPV6;
    const auto listener = open_socket(AF_INET, SOCK_STREAM);
    test::bind_to_loopback(listener, AF_INET);
    ASSERT_EQ(listen(listener.get(), 1), 0);
    const auto client = open_socket(AF_INET6, SOCK_STREAM);
    make_v6_only(client, 0);
    test::connect_to(client, test::local_end(listener), AF_INET6);  // ::ffff:127.0.0.1
    const auto info = inspect_socket(client);
    ASSERT_TRUE(info);
    EXPECT_EQ(info->local.address, test::address("127.0.0.1"));
    EXPECT_EQ(info->remote, test::local_end(listener));
    EXPECT_EQ(info->families, Families::v4);
}

TEST(InspectSocket, OtherSocketsAreNothing) {
    for (const int type : std::initializer_list<int>{SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET})
        EXPECT_FALSE(inspect_socket(open_socket(AF_UNIX, type)));
    EXPECT_FALSE(inspect_socket(open_socket(AF_NETLINK, SOCK_RAW)));
    // A raw socket's protocol may be UDP's number.
    const UniqueFd raw(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP));
    if (raw) {
        EXPECT_FALSE(inspect_socket(raw));
    }
}

TEST(InspectSocket, WhatIsNoSocketIsNothing) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const UniqueFd read_end(ends[0]), write_end(ends[1]);
    EXPECT_FALSE(inspect_socket(read_end));
    EXPECT_FALSE(inspect_socket(UniqueFd()));
}

TEST(ChooseUdpPort, GivesAnUnboundSocketAPortAsAutobindDoes) {
    for (const int family : {AF_INET, AF_INET6}) {
        if (!test::has_loopback(family)) continue;
        const auto socket = open_socket(family, SOCK_DGRAM);
        auto info = inspect_socket(socket);
        ASSERT_TRUE(info);
        EXPECT_TRUE(choose_udp_port(socket, *info));
        const auto local = test::local_end(socket);
        EXPECT_EQ(info, inspect_socket(socket));
        EXPECT_NE(local.port, 0);
        EXPECT_TRUE(local.address.is_wildcard());

        const auto by_kernel = open_socket(family, SOCK_DGRAM);
        const auto to = test::raw(test::loopback(family, 9), family);
        ASSERT_EQ(sendto(by_kernel.get(), "", 0, 0, to.get(), to.length), 0);
        EXPECT_EQ(test::local_end(by_kernel).address, local.address);

        // Connecting it afterwards chooses the address, and keeps the port.
        test::connect_to(socket, test::loopback(family, 9), family);
        EXPECT_EQ(test::local_end(socket), (Endpoint{test::loopback(family).address, local.port}));
    }
}

TEST(ChooseUdpPort, LeavesAPortThatIsThere) {
    const auto socket = open_socket(AF_INET, SOCK_DGRAM);
    test::bind_to_loopback(socket, AF_INET);
    const auto before = test::local_end(socket);
    auto info = inspect_socket(socket);
    ASSERT_TRUE(info);
    EXPECT_FALSE(choose_udp_port(socket, *info));
    EXPECT_EQ(test::local_end(socket), before);
}

TEST(ChooseUdpPort, TheSocketCanSendToEitherFamilyAfterwards) {
    NEED_IPV6;
    const auto socket = open_socket(AF_INET6, SOCK_DGRAM);
    make_v6_only(socket, 0);
    SocketInfo info;
    EXPECT_TRUE(choose_udp_port(socket, info));
    for (const char* to : {"127.0.0.1:9", "[::1]:9"}) {
        const auto address = test::raw(test::endpoint(to), AF_INET6);
        EXPECT_EQ(sendto(socket.get(), "", 0, 0, address.get(), address.length), 0) << to;
    }
}

TEST(BorrowDescriptor, GivesTheSameSocketAndTellsWhenThereIsNone) {
    ASSERT_NO_THROW(require_socket_probing());
    const auto pidfd = open_pidfd(getpid(), getpid());
    ASSERT_TRUE(pidfd);
    const auto socket = open_socket(AF_INET, SOCK_DGRAM);
    int error = -1;
    const auto borrowed = borrow_descriptor(pidfd, socket.get(), error);
    ASSERT_TRUE(borrowed);
    EXPECT_EQ(error, 0);
    EXPECT_NE(borrowed.get(), socket.get());
    EXPECT_EQ(test::cookie_of(borrowed), test::cookie_of(socket));
    EXPECT_FALSE(borrow_descriptor(pidfd, 1 << 20, error));
    EXPECT_EQ(error, EBADF);
}

}  // namespace
}  // namespace tracedump
