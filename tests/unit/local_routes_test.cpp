// The host's own addresses as the running kernel has them, in a network namespace of the test's own.
#include "capture/local_routes.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <cstdlib>
#include <string>

#include "helpers.h"
#include "networks.h"

namespace tracedump {
namespace {

/// Where "eth0" and "eth1" have no address yet.
template <typename Test>
void in_new_network(Test test) {
    test::in_new_network(
        "ip link set lo up && ip link add eth0 type veth peer name eth1 && "
        "ip link set eth0 up && ip link set eth1 up",
        test);
}

void ip(const std::string& words) { ASSERT_EQ(std::system(("ip " + words).c_str()), 0) << words; }

/// A worker of the kernel puts it in force.
void add_ipv6_address(const std::string& address) {
    ip("-6 address add " + address + "/64 dev eth0 nodad");
    const std::string look = "ip -6 route show table local " + address + " | grep -q .";
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (std::system(look.c_str()) != 0) ASSERT_LT(std::chrono::steady_clock::now(), deadline);
}

bool has(LocalRoutes& routes, const std::string& address) {
    return routes.contains(test::address(address), realtime_now());
}

/// As capture hears of it.
void expect_a_change(LocalRoutes& routes) {
    pollfd changes{routes.fd(), POLLIN, 0};
    EXPECT_EQ(poll(&changes, 1, 0), 1);
    routes.hear();
    EXPECT_EQ(poll(&changes, 1, 0), 0);
}

TEST(LocalRoutes, TheHostsAddressesAreThoseOfItsInterfaces) {
    in_new_network([] {
        ip("address add 192.0.2.1/24 dev eth0");
        add_ipv6_address("2001:db8::1");
        LocalRoutes routes;
        EXPECT_TRUE(has(routes, "192.0.2.1"));
        EXPECT_TRUE(has(routes, "127.0.0.1"));
        EXPECT_TRUE(has(routes, "127.5.5.5"));
        EXPECT_TRUE(has(routes, "2001:db8::1"));
        EXPECT_TRUE(has(routes, "::1"));
        EXPECT_FALSE(has(routes, "192.0.2.2"));
        EXPECT_FALSE(has(routes, "198.51.100.1"));
        EXPECT_FALSE(has(routes, "2001:db8::2"));
    });
}

TEST(LocalRoutes, WhatIsMeantForManyIsMeantForThisHostToo) {
    in_new_network([] {
        ip("address add 192.0.2.1/24 broadcast 192.0.2.255 dev eth0");
        LocalRoutes routes;
        EXPECT_TRUE(has(routes, "192.0.2.255"));
        EXPECT_TRUE(has(routes, "255.255.255.255"));
        EXPECT_TRUE(has(routes, "224.0.0.251"));
        EXPECT_TRUE(has(routes, "ff02::fb"));
        EXPECT_TRUE(has(routes, "0.0.0.0"));
        EXPECT_TRUE(has(routes, "::"));
        EXPECT_FALSE(has(routes, "192.0.3.255"));
    });
}

TEST(LocalRoutes, AnAddressThatIsNewIsThereAtItsFirstPacket) {
    in_new_network([] {
        LocalRoutes routes;
        EXPECT_FALSE(has(routes, "192.0.2.1"));
        for (const std::string address : {"192.0.2.1", "192.0.2.2", "192.0.2.3"}) {
            ip("address add " + address + "/24 dev eth0");
            EXPECT_TRUE(has(routes, address));
        }
        EXPECT_FALSE(has(routes, "2001:db8::1"));
        add_ipv6_address("2001:db8::1");
        EXPECT_TRUE(has(routes, "2001:db8::1"));
    });
}

TEST(LocalRoutes, AnAddressThatIsGoneIsTheHostsForPacketsFromBefore) {
    in_new_network([] {
        ip("address add 192.0.2.1/24 dev eth0");
        LocalRoutes routes;
        const Timestamp before = realtime_now();
        EXPECT_TRUE(has(routes, "192.0.2.1"));
        ip("address delete 192.0.2.1/24 dev eth0");
        expect_a_change(routes);
        EXPECT_FALSE(has(routes, "192.0.2.1"));
        EXPECT_TRUE(routes.contains(test::address("192.0.2.1"), before));
        ip("address add 192.0.2.1/24 dev eth0");
        EXPECT_TRUE(has(routes, "192.0.2.1"));
    });
}

TEST(LocalRoutes, AnAddressThatWasThereForAMomentIsTheHostsForThatMoment) {
    in_new_network([] {
        LocalRoutes routes;
        for (const std::string state : {"before the first question", "after it"}) {
            ip("address add 192.0.2.1/24 dev eth0");
            const Timestamp meanwhile = realtime_now();
            ip("address delete 192.0.2.1/24 dev eth0");
            EXPECT_TRUE(routes.contains(test::address("192.0.2.1"), meanwhile)) << state;
            EXPECT_FALSE(has(routes, "192.0.2.1")) << state;
        }
    });
}

TEST(LocalRoutes, AClockThatIsSetBackHidesNoAddress) {
    in_new_network([] {
        LocalRoutes routes;
        EXPECT_FALSE(has(routes, "192.0.2.1"));
        ip("address add 192.0.2.1/24 dev eth0");
        EXPECT_TRUE(routes.contains(test::address("192.0.2.1"), realtime_now() - 3600 * kNanosPerSecond));
    });
}

TEST(LocalRoutes, AnAddressOnTwoInterfacesIsGoneWithTheSecond) {
    in_new_network([] {
        for (const std::string device : {"eth0", "eth1"}) ip("address add 192.0.2.1/32 dev " + device);
        LocalRoutes routes;
        EXPECT_TRUE(has(routes, "192.0.2.1"));
        ip("address delete 192.0.2.1/32 dev eth0");
        expect_a_change(routes);
        EXPECT_TRUE(has(routes, "192.0.2.1"));
        ip("address delete 192.0.2.1/32 dev eth1");
        expect_a_change(routes);
        EXPECT_FALSE(has(routes, "192.0.2.1"));
    });
}

TEST(LocalRoutes, WholePrefixesCountInAnyTable) {
    in_new_network([] {
        LocalRoutes routes;
        EXPECT_FALSE(has(routes, "198.51.100.1"));
        ip("route add local 198.51.100.0/25 dev lo");
        EXPECT_TRUE(has(routes, "198.51.100.1"));
        EXPECT_TRUE(has(routes, "198.51.100.127"));
        EXPECT_FALSE(has(routes, "198.51.100.128"));
        EXPECT_FALSE(has(routes, "203.0.113.1"));
        ip("route add local 0.0.0.0/0 dev lo table 100");  // as for a transparent proxy
        EXPECT_TRUE(has(routes, "203.0.113.1"));
        EXPECT_FALSE(has(routes, "2001:db8::1"));
        ip("-6 route add local ::/0 dev lo table 100");
        EXPECT_TRUE(has(routes, "2001:db8::1"));
    });
}

TEST(LocalRoutes, RoutesToElsewhereDoNotMatter) {
    in_new_network([] {
        ip("address add 192.0.2.1/24 dev eth0");
        ip("route add 198.51.100.0/24 via 192.0.2.9");
        LocalRoutes routes;
        EXPECT_FALSE(has(routes, "198.51.100.1"));
        ip("route add blackhole 203.0.113.0/24");
        pollfd changes{routes.fd(), POLLIN, 0};
        EXPECT_EQ(poll(&changes, 1, 0), 0);
        ip("route add default via 192.0.2.9");
        EXPECT_FALSE(has(routes, "203.0.113.1"));
        EXPECT_TRUE(has(routes, "192.0.2.1"));
    });
}

TEST(LocalRoutes, MoreChangesThanTheSocketHoldsAreMadeUpFor) {
    in_new_network([] {
        LocalRoutes routes;
        EXPECT_FALSE(has(routes, "198.51.100.1"));
        ASSERT_EQ(std::system("for i in $(seq 0 7); do for j in $(seq 0 255); do "
                              "echo route add local 10.9.$i.$j dev lo; done; done | ip -batch -"),
                  0);
        EXPECT_TRUE(has(routes, "10.9.0.0"));
        EXPECT_TRUE(has(routes, "10.9.7.255"));
        EXPECT_FALSE(has(routes, "10.9.8.0"));
    });
}

}  // namespace
}  // namespace tracedump
