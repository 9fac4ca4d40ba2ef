// What the running kernel says of connections that it translates, in a network namespace of the test's own.
#include "capture/conntrack.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>

#include "helpers.h"
#include "networks.h"
#include "sockets.h"

namespace tracedump {
namespace {

using test::endpoint;

constexpr const char* kRules = R"(ip link set lo up
ip route add 10.99.0.0/24 dev lo
ip -6 address add fd99::9/64 dev lo nodad
nft -f - <<'END'
table ip nat {
    chain out {
        type nat hook output priority -100
        ip daddr 10.99.0.1 udp dport 80 dnat to 127.0.0.1:7000
    }
    chain post {
        type nat hook postrouting priority 100
        udp dport 7001 snat to 127.0.0.5:5005
    }
    chain in {
        type nat hook prerouting priority -100
    }
}
table ip6 nat {
    chain out {
        type nat hook output priority -100
        ip6 daddr fd99::1 udp dport 80 dnat to [fd99::9]:7000
    }
}
END)";

template <typename Test>
void where_addresses_are_translated(Test test) {
    test::in_new_network(kRules, test);
}

/// A socket that has sent to `remote`: its own end.
Endpoint send_to(const UniqueFd& socket, int family, const std::string& remote) {
    test::connect_to(socket, endpoint(remote), family);
    EXPECT_EQ(send(socket.get(), "x", 1, 0), 1);
    return test::local_end(socket);
}

TEST(Conntrack, TellsWhereASocketMeantToGo) {
    where_addresses_are_translated([] {
        Conntrack conntrack;
        const UniqueFd v4 = test::open_socket(AF_INET, SOCK_DGRAM), v6 = test::open_socket(AF_INET6, SOCK_DGRAM);
        const Endpoint from = send_to(v4, AF_INET, "10.99.0.1:80"), from6 = send_to(v6, AF_INET6, "[fd99::1]:80");
        EXPECT_EQ(conntrack.untranslated(Transport::udp, {from, endpoint("127.0.0.1:7000")}),
                  (Connection{from, endpoint("10.99.0.1:80")}));
        EXPECT_EQ(conntrack.untranslated(Transport::udp, {from6, endpoint("[fd99::9]:7000")}),
                  (Connection{from6, endpoint("[fd99::1]:80")}));
    });
}

TEST(Conntrack, TellsWhereItCameFrom) {
    where_addresses_are_translated([] {
        Conntrack conntrack;
        const UniqueFd socket = test::open_socket(AF_INET, SOCK_DGRAM);
        const Endpoint from = send_to(socket, AF_INET, "127.0.0.1:7001");
        EXPECT_EQ(conntrack.untranslated(Transport::udp, {endpoint("127.0.0.5:5005"), endpoint("127.0.0.1:7001")}),
                  (Connection{from, endpoint("127.0.0.1:7001")}));
    });
}

TEST(Conntrack, TheOtherEndOfATranslatedConnectionSeesItAsItIs) {
    where_addresses_are_translated([] {
        Conntrack conntrack;
        const UniqueFd socket = test::open_socket(AF_INET, SOCK_DGRAM);
        const Endpoint from = send_to(socket, AF_INET, "10.99.0.1:80");
        EXPECT_EQ(conntrack.untranslated(Transport::udp, {endpoint("127.0.0.1:7000"), from}), std::nullopt);
    });
}

TEST(Conntrack, KnowsNothingOfAPlainOneNorOfNone) {
    where_addresses_are_translated([] {
        Conntrack conntrack;
        const UniqueFd socket = test::open_socket(AF_INET, SOCK_DGRAM);
        const Endpoint from = send_to(socket, AF_INET, "127.0.0.1:7002");
        for (int i = 0; i < 2; ++i) {
            EXPECT_EQ(conntrack.untranslated(Transport::udp, {from, endpoint("127.0.0.1:7002")}), std::nullopt);
            EXPECT_EQ(conntrack.untranslated(Transport::tcp, {from, endpoint("127.0.0.1:7002")}), std::nullopt);
            EXPECT_EQ(conntrack.untranslated(Transport::udp, {from, endpoint("10.99.0.7:7")}), std::nullopt);
        }
    });
}

}  // namespace
}  // namespace tracedump
