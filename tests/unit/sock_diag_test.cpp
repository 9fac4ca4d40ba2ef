// The real kernel's table and news of sockets, held against sockets that the test itself opens on the loopback.
#include "gc/sock_diag.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "helpers.h"
#include "sockets.h"
#include "util/error.h"

namespace tracedump {
namespace {

using test::Connection;
using test::open_socket;

std::optional<SocketRow> row_with(const std::vector<SocketRow>& rows, SocketCookie cookie) {
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const SocketRow& r) { return r.cookie == cookie; });
    if (row == rows.end()) return std::nullopt;
    return *row;
}

/// What the table has on the local ports of these sockets.
template <typename... Sockets>
std::vector<SocketRow> list_ports_of(SockDiagTable& table, Transport transport, const Sockets&... sockets) {
    const std::set<std::uint16_t> ports{test::local_end(sockets).port...};
    return table.list(transport, std::vector(ports.begin(), ports.end())).value();
}

TEST(SockDiag, ListsSocketsWithTheirCookiesAndEnds) {
    SockDiagTable table;
    for (const int family : {AF_INET, AF_INET6}) {
        if (!test::has_loopback(family)) continue;
        const auto udp = open_socket(family, SOCK_DGRAM);
        test::bind_to_loopback(udp, family);
        const Connection tcp(family);
        const auto rows = list_ports_of(table, Transport::tcp, tcp.listener, tcp.client, tcp.server);

        const auto udp_row = row_with(list_ports_of(table, Transport::udp, udp), test::cookie_of(udp));
        ASSERT_TRUE(udp_row);
        EXPECT_EQ(udp_row->transport, Transport::udp);
        EXPECT_EQ(udp_row->local, test::local_end(udp));
        EXPECT_FALSE(udp_row->connected());

        const auto listener = row_with(rows, test::cookie_of(tcp.listener));
        ASSERT_TRUE(listener);
        EXPECT_EQ(listener->transport, Transport::tcp);
        EXPECT_EQ(listener->state, SocketState::listening);
        EXPECT_EQ(listener->local, test::local_end(tcp.listener));

        for (const auto* end : {&tcp.client, &tcp.server}) {
            const auto row = row_with(rows, test::cookie_of(*end));
            ASSERT_TRUE(row);
            EXPECT_EQ(row->state, SocketState::established);
            EXPECT_EQ(row->local, test::local_end(*end));
            EXPECT_EQ(row->remote, test::remote_end(*end));
        }
    }
}

TEST(SockDiag, ListsNoOtherPortsThanThoseAskedFor) {
    SockDiagTable table;
    std::vector<UniqueFd> sockets;
    for (int i = 0; i < 2000; ++i) {
        sockets.push_back(open_socket(AF_INET, SOCK_DGRAM));
        test::bind_to_loopback(sockets.back(), AF_INET);
    }
    // Scattered ports: few, for which the kernel's condition is exact, and more than it has ranges for.
    for (const std::size_t count : {1U, 2U, 50U, 1000U}) {
        std::vector<std::uint16_t> ports;
        std::set<SocketCookie> cookies;
        for (std::size_t i = 0; i < count; ++i) {
            ports.push_back(test::local_end(sockets[2 * i]).port);
            cookies.insert(test::cookie_of(sockets[2 * i]));
        }
        std::sort(ports.begin(), ports.end());
        const auto rows = table.list(Transport::udp, ports);
        ASSERT_TRUE(rows);
        for (const SocketRow& row : *rows) {
            EXPECT_TRUE(std::binary_search(ports.begin(), ports.end(), row.local.port));
            cookies.erase(row.cookie);
        }
        EXPECT_TRUE(cookies.empty()) << count;
    }
    EXPECT_TRUE(table.list(Transport::udp, {})->empty());
}

TEST(SockDiag, DoesNotListASocketThatIsClosed) {
    SockDiagTable table;
    auto udp = open_socket(AF_INET, SOCK_DGRAM);
    test::bind_to_loopback(udp, AF_INET);
    const auto cookie = test::cookie_of(udp);
    const std::uint16_t port = test::local_end(udp).port;
    EXPECT_TRUE(row_with(*table.list(Transport::udp, std::span(&port, 1)), cookie));
    udp.reset();
    EXPECT_FALSE(row_with(*table.list(Transport::udp, std::span(&port, 1)), cookie));
}

TEST(SockDiag, ListsAnIpv4ConnectionOfADualStackSocketByItsIpv4Ends) {
    if (!test::has_loopback(AF_INET6)) GTEST_SKIP() << "no IPv6";
    SockDiagTable table;
    const auto listener = open_socket(AF_INET6, SOCK_STREAM);
    test::bind_to_any6(listener);
    ASSERT_EQ(listen(listener.get(), 1), 0);
    const auto client = open_socket(AF_INET, SOCK_STREAM);
    test::connect_to(client, {test::address("127.0.0.1"), test::local_end(listener).port}, AF_INET);
    const UniqueFd server(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(server);
    const auto listed = row_with(list_ports_of(table, Transport::tcp, server), test::cookie_of(server));
    ASSERT_TRUE(listed);
    EXPECT_EQ(listed->local, test::local_end(server));
}

TEST(SockDiag, ListsWhatIsInTimeWaitUnderTheConnectionsCookie) {
    SockDiagTable table;
    Connection tcp(AF_INET);
    const auto cookie = test::cookie_of(tcp.client);
    const std::uint16_t port = test::local_end(tcp.client).port;
    tcp.client.reset();  // closes first: this end goes to TIME_WAIT
    tcp.server.reset();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    std::optional<SocketRow> found;
    do {
        found = row_with(*table.list(Transport::tcp, std::span(&port, 1)), cookie);
    } while ((!found || found->state != SocketState::time_wait) && std::chrono::steady_clock::now() < deadline);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->state, SocketState::time_wait);
}

TEST(SockDiag, ListsClosingConnections) {
    SockDiagTable table;
    Connection tcp(AF_INET);
    const auto cookie = test::cookie_of(tcp.client);
    EXPECT_FALSE(row_with(table.list_closing(), cookie));
    shutdown(tcp.client.get(), SHUT_WR);  // the other end stays open: FIN_WAIT
    const auto row = row_with(table.list_closing(), cookie);
    ASSERT_TRUE(row);
    EXPECT_EQ(row->local, test::local_end(tcp.client));
}

TEST(SockDiag, ListsFlowsOfMultipathTcpWithTheirTokens) {
    const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 262));
    if (!listener) GTEST_SKIP() << "this kernel has no Multipath TCP";
    if (geteuid() != 0) GTEST_SKIP() << "tokens are told to CAP_NET_ADMIN alone";
    test::bind_to_loopback(listener, AF_INET);
    ASSERT_EQ(listen(listener.get(), 5), 0);
    const UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 262));
    test::connect_to(client, test::local_end(listener), AF_INET);
    SockDiagTable table;
    const auto ours = [&](const SocketRow& row) { return row.local == test::local_end(client); };
    const std::uint16_t port = test::local_end(client).port, other = port ^ 1;
    for (const auto& flows : {table.list_all_flows(), table.list_flows(std::span(&port, 1))}) {
        ASSERT_EQ(std::count_if(flows.begin(), flows.end(), ours), 1);
        EXPECT_EQ(std::find_if(flows.begin(), flows.end(), ours)->remote, test::local_end(listener));
    }
    const auto elsewhere = table.list_flows(std::span(&other, 1));
    EXPECT_EQ(std::count_if(elsewhere.begin(), elsewhere.end(), ours), 0);
    EXPECT_TRUE(table.list_flows({}).empty());
}

TEST(SockDiag, HearsSocketsDie) {
    std::optional<SocketDeaths> deaths;
    try {
        deaths.emplace();
        deaths->hear_udp();
        deaths->hear_tcp();
    } catch (const Error& error) {
        GTEST_SKIP() << error.what();
    }
    auto udp = open_socket(AF_INET, SOCK_DGRAM);
    test::bind_to_loopback(udp, AF_INET);
    Connection tcp(AF_INET);
    std::vector<SocketCookie> awaited{test::cookie_of(udp), test::cookie_of(tcp.client), test::cookie_of(tcp.listener)};
    const auto udp_cookie = awaited[0];
    udp.reset();
    tcp.client.reset();
    tcp.server.reset();
    tcp.listener.reset();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!awaited.empty() && std::chrono::steady_clock::now() < deadline) {
        pollfd ready{deaths->fd(), POLLIN, 0};
        poll(&ready, 1, 1000);
        const auto heard = deaths->take();
        for (const SocketRow& row : heard.dead) {
            std::erase(awaited, row.cookie);
            if (row.cookie == udp_cookie) {
                EXPECT_EQ(row.transport, Transport::udp);
            }
        }
    }
    EXPECT_TRUE(awaited.empty()) << awaited.size() << " deaths were not heard";
}

TEST(SockDiag, TakingWhenNothingHasDiedDoesNotBlock) {
    std::optional<SocketDeaths> deaths;
    try {
        deaths.emplace();
    } catch (const Error& error) {
        GTEST_SKIP() << error.what();
    }
    deaths->take();
    EXPECT_FALSE(deaths->take().lost_some);
}

}  // namespace
}  // namespace tracedump
