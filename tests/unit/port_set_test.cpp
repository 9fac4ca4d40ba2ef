// The set as a value: copies do not see one another's edits, ranges are found at every border.
#include "ports/port_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "helpers.h"

namespace tracedump {
namespace {

using PortRun = std::pair<int, int>;

/// The ports that a walk visits, as maximal runs.
std::vector<PortRun> runs(const PortSet& set) {
    std::vector<PortRun> found;
    set.for_each_port([&](std::uint16_t port, std::span<const Claim>) {
        if (!found.empty() && found.back().second == port - 1)
            found.back().second = port;
        else
            found.emplace_back(port, port);
    });
    return found;
}

std::vector<int> from_to(int first, int last) {
    std::vector<int> ports;
    for (int port = first; port <= last; ++port) ports.push_back(port);
    return ports;
}

TEST(PortSet, AnEmptySetHasNoRanges) {
    EXPECT_TRUE(runs(PortSet()).empty());
    EXPECT_FALSE(PortSet().contains(0));
    EXPECT_TRUE(PortSet().claims(65535).empty());
}

TEST(PortSet, RangesAtTheBordersOfPortsWordsAndPages) {
    const std::vector<PortRun> cases{{0, 0},     {65535, 65535}, {63, 63},   {64, 64},   {63, 64},   {0, 63},
                                     {64, 127},  {255, 256},     {0, 255},   {256, 511}, {1, 65534}, {65472, 65535},
                                     {100, 700}, {65471, 65535}, {255, 255}, {256, 256}, {0, 65534}};
    for (const auto& [first, last] : cases)
        EXPECT_EQ(runs(test::set_of_ports(from_to(first, last))), (std::vector<PortRun>{{first, last}}))
            << first << "-" << last;
}

TEST(PortSet, NeighbouringRunsAreKeptApart) {
    EXPECT_EQ(runs(test::set_of_ports(std::vector<int>{0, 2, 62, 63, 65, 254, 255, 257, 65533, 65535})),
              (std::vector<PortRun>{
                  {0, 0}, {2, 2}, {62, 63}, {65, 65}, {254, 255}, {257, 257}, {65533, 65533}, {65535, 65535}}));
}

TEST(PortSet, TheSetOfAllPortsIsOneRange) {
    EXPECT_EQ(runs(test::set_of_ports(from_to(0, 65535))), (std::vector<PortRun>{{0, 65535}}));
}

TEST(PortSet, RandomSetsGiveTheirRanges) {
    std::mt19937 random(11);
    for (const unsigned one_in : {2U, 3U, 50U, 5000U}) {
        std::vector<int> ports;
        std::vector<PortRun> expected;
        for (int port = 0; port < 65536; ++port) {
            if (random() % one_in != 0) continue;
            ports.push_back(port);
            if (!expected.empty() && expected.back().second == port - 1)
                expected.back().second = port;
            else
                expected.emplace_back(port, port);
        }
        EXPECT_EQ(runs(test::set_of_ports(ports)), expected);
    }
}

TEST(PortSet, WhatChangedSinceACopyIsWithinThePageThatChanged) {
    PortSet set = test::set_of_ports(std::vector<int>{10, 300, 301, 40000});
    const PortSet before = set;
    const auto changed = [&] {
        std::vector<int> ports;
        set.for_each_port_changed_since(before, [&](std::uint16_t port, auto) { ports.push_back(port); });
        return ports;
    };
    EXPECT_TRUE(changed().empty());
    set.insert({test::udp(9, "*:302"), 0, kNever});
    EXPECT_EQ(changed(), (std::vector<int>{300, 301, 302}));
    set.insert({test::udp(10, "*:60000"), 0, kNever});
    EXPECT_EQ(changed(), (std::vector<int>{300, 301, 302, 60000}));
}

TEST(PortSet, ACopyDoesNotSeeLaterEdits) {
    PortSet set;
    set.insert({test::udp(1, "*:80"), 10, kNever});
    const PortSet before = set;
    set.insert({test::udp(2, "*:80"), 20, kNever});
    set.insert({test::udp(3, "*:81"), 20, kNever});
    set.kill(80, 1, 30);
    set.add_pending({1, 9, Transport::tcp, test::endpoint("192.0.2.1:1"), 0});

    ASSERT_EQ(before.claims(80).size(), 1U);
    EXPECT_TRUE(before.claims(80)[0].alive());
    EXPECT_FALSE(before.contains(81));
    EXPECT_TRUE(before.pending().empty());

    const PortSet middle = set;
    set.forget_dead(80, 1, 30);
    EXPECT_EQ(middle.claims(80).size(), 2U);
    EXPECT_EQ(set.claims(80).size(), 1U);
}

TEST(PortSet, ClaimsOfOnePortStandSideBySide) {
    PortSet set;
    set.insert({test::tcp(1, "*:80"), 0, kNever});
    set.insert({test::udp(2, "*:80"), 0, kNever});
    EXPECT_EQ(set.claims(80).size(), 2U);
    EXPECT_EQ(runs(set), (std::vector<PortRun>{{80, 80}}));
}

TEST(PortSet, KillAndReplaceMeanTheLivingClaim) {
    PortSet set;
    set.insert({test::tcp(1, "*:80"), 10, 20});
    set.insert({test::tcp(1, "*:80"), 30, kNever});
    Claim better{test::tcp(1, "192.0.2.1:80", "192.0.2.2:1"), 30, kNever};
    set.replace_living(80, 1, better);
    EXPECT_EQ(set.claims(80)[0].death, 20);
    EXPECT_EQ(set.claims(80)[1], better);
    set.kill(80, 1, 40);
    EXPECT_EQ(set.claims(80)[0].death, 20);
    EXPECT_EQ(set.claims(80)[1].death, 40);
}

TEST(PortSet, ForgetDeadForgetsTheOneClaim) {
    PortSet set;
    set.insert({test::tcp(1, "*:80"), 10, 20});
    set.insert({test::tcp(1, "*:80"), 21, kNever});
    set.forget_dead(80, 1, 19);
    set.forget_dead(80, 2, 20);
    EXPECT_EQ(set.claims(80).size(), 2U);
    set.forget_dead(80, 1, 20);
    ASSERT_EQ(set.claims(80).size(), 1U);
    EXPECT_TRUE(set.claims(80)[0].alive());
    set.kill(80, 1, 30);
    set.forget_dead(80, 1, 30);
    EXPECT_FALSE(set.contains(80));
    EXPECT_TRUE(runs(set).empty());
}

TEST(PortSet, PendingRemotesAreRemovedByTheirWindow) {
    PortSet set;
    set.add_pending({1, 1, Transport::tcp, test::endpoint("192.0.2.1:1"), 0});
    set.add_pending({2, 1, Transport::tcp, test::endpoint("192.0.2.1:1"), 0});
    set.remove_pending(1);
    ASSERT_EQ(set.pending().size(), 1U);
    EXPECT_EQ(set.pending()[0].window, 2U);
    set.remove_pending(7);
    EXPECT_EQ(set.pending().size(), 1U);
}

}  // namespace
}  // namespace tracedump
