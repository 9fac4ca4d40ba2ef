// Which network namespace is that, and there and back again. A visit abroad needs CAP_SYS_ADMIN.
#include "util/netns.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <initializer_list>
#include <thread>

#include "util/error.h"

namespace tracedump {
namespace {

UniqueFd open_socket() { return UniqueFd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }

TEST(Netns, SocketsOfOneNamespaceHaveTheSameId) {
    const NetworkId id = network_of_socket(open_socket().get());
    EXPECT_NE(id, 0U);
    EXPECT_EQ(network_of_socket(UniqueFd(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)).get()), id);
}

TEST(Netns, WhatIsNoSocketHasNoNetwork) {
    EXPECT_EQ(network_of_socket(-1), 0U);
    EXPECT_THROW(open_network_of_socket(-1), Error);
    EXPECT_FALSE(open_network_of_process(0x7fffffff));
}

TEST(Netns, AVisitHomeNeedsNoRightsAndNoReturn) {
    const UniqueFd network = open_network_of_process(getpid());
    ASSERT_TRUE(network);
    EXPECT_FALSE(NetworkVisit(network).abroad());
}

TEST(Netns, AVisitAbroadEndsAtHome) {
    UniqueFd abroad, socket_abroad;
    bool allowed = false;
    std::thread([&] {
        allowed = unshare(CLONE_NEWNET) == 0;
        abroad = open_network_of_process(gettid());
        socket_abroad = open_socket();
    }).join();
    if (!allowed) GTEST_SKIP() << "no CAP_SYS_ADMIN";
    const NetworkId home = network_of_socket(open_socket().get());
    const NetworkId there = network_of_socket(socket_abroad.get());
    EXPECT_NE(there, home);
    const UniqueFd by_socket = open_network_of_socket(socket_abroad.get());
    for (const UniqueFd* network : std::initializer_list<const UniqueFd*>{&abroad, &by_socket}) {
        {
            const NetworkVisit visit(*network);
            EXPECT_TRUE(visit.abroad());
            EXPECT_EQ(network_of_socket(open_socket().get()), there);
            EXPECT_EQ(network_here(), there);
        }
        EXPECT_EQ(network_of_socket(open_socket().get()), home);
        EXPECT_EQ(network_here(), home);
    }
}

}  // namespace
}  // namespace tracedump
