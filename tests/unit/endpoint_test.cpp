// Addresses and ports: the two forms of an IPv4 address, socket addresses, text.
#include "ports/endpoint.h"

#include <gtest/gtest.h>

#include "helpers.h"
#include "sockets.h"

namespace tracedump {
namespace {

using test::address;
using test::endpoint;

TEST(Address, AnIpv4AddressEqualsItsMappedForm) {
    EXPECT_EQ(address("192.0.2.1"), address("::ffff:192.0.2.1"));
    EXPECT_TRUE(address("::ffff:192.0.2.1").is_v4());
    EXPECT_FALSE(address("::192.0.2.1").is_v4());
    EXPECT_NE(address("192.0.2.1"), address("::192.0.2.1"));
}

TEST(Address, BothWildcardsAreOne) {
    EXPECT_TRUE(Address().is_wildcard());
    EXPECT_TRUE(address("::").is_wildcard());
    EXPECT_TRUE(address("0.0.0.0").is_wildcard());
    for (const char* other : {"0.0.0.1", "::1", "1.0.0.0", "8000::"}) EXPECT_FALSE(address(other).is_wildcard());
}

TEST(Address, GroupsAreToReceiveOn) {
    for (const char* group : {"224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1", "ff7e::1"})
        EXPECT_TRUE(address(group).is_group()) << group;
    for (const char* other : {"223.255.255.255", "240.0.0.1", "10.0.0.255", "fe80::1", "::1", "0.0.0.0"})
        EXPECT_FALSE(address(other).is_group()) << other;
}

TEST(Address, Low32IsInHostByteOrder) {
    EXPECT_EQ(address("192.0.2.1").low32(), 0xc0000201U);
    EXPECT_EQ(address("2001:db8::1234:5678").low32(), 0x12345678U);
}

TEST(Endpoint, OfSocketAddresses) {
    for (const char* text : {"192.0.2.1:80", "0.0.0.0:0", "255.255.255.255:65535"}) {
        const auto raw = test::raw(endpoint(text), AF_INET);
        EXPECT_EQ(endpoint_of(raw.storage, raw.length), endpoint(text));
        EXPECT_FALSE(endpoint_of(raw.storage, raw.length - 1));
    }
    const auto raw = test::raw(endpoint("[2001:db8::1]:80"), AF_INET6);
    EXPECT_EQ(endpoint_of(raw.storage, raw.length), endpoint("[2001:db8::1]:80"));
    EXPECT_EQ(endpoint_of(raw.storage, 24), endpoint("[2001:db8::1]:80"));
    EXPECT_FALSE(endpoint_of(raw.storage, 23));
    EXPECT_FALSE(endpoint_of(sockaddr_storage{}, sizeof(sockaddr_storage)));
}

TEST(Endpoint, AsText) {
    for (const char* text : {"192.0.2.1:80", "[2001:db8::1]:80", "*:80"}) EXPECT_EQ(to_text(endpoint(text)), text);
    EXPECT_EQ(to_text(endpoint("0.0.0.0:5")), "*:5");
    EXPECT_EQ(to_text(endpoint("[::ffff:192.0.2.1]:5")), "192.0.2.1:5");
}

TEST(Transport, OfProtocolNumbers) {
    EXPECT_EQ(transport_of(6), Transport::tcp);
    EXPECT_EQ(transport_of(17), Transport::udp);
    EXPECT_EQ(transport_of(136), Transport::udplite);
    EXPECT_FALSE(transport_of(1));
    EXPECT_EQ(to_text(Transport::udplite), "udplite");
}

}  // namespace
}  // namespace tracedump
