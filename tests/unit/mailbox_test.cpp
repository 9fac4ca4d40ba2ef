// Messages in order, and a bell that rings while there may be some.
#include "util/mailbox.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <memory>
#include <thread>
#include <vector>

namespace tracedump {
namespace {

bool rings(const Mailbox<int>& mailbox, int timeout = 0) {
    pollfd bell{mailbox.bell(), POLLIN, 0};
    return poll(&bell, 1, timeout) == 1;
}

TEST(Mailbox, IsSilentAndEmptyAtFirst) {
    Mailbox<int> mailbox;
    EXPECT_FALSE(rings(mailbox));
    EXPECT_FALSE(mailbox.take());
    mailbox.silence();  // does not block
}

TEST(Mailbox, GivesMessagesInTheirOrder) {
    Mailbox<int> mailbox;
    for (int i = 0; i < 3; ++i) mailbox.post(i);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(mailbox.take(), i);
    EXPECT_FALSE(mailbox.take());
}

TEST(Mailbox, RingsUntilItIsSilenced) {
    Mailbox<int> mailbox;
    mailbox.post(1);
    mailbox.post(2);
    EXPECT_TRUE(rings(mailbox));
    mailbox.silence();
    EXPECT_FALSE(rings(mailbox));
    EXPECT_EQ(mailbox.take(), 1);
    mailbox.post(3);
    EXPECT_TRUE(rings(mailbox));
}

TEST(Mailbox, TakesMessagesThatCanOnlyBeMoved) {
    Mailbox<std::unique_ptr<int>> mailbox;
    mailbox.post(std::make_unique<int>(5));
    EXPECT_EQ(**mailbox.take(), 5);
}

TEST(Mailbox, NothingPostedByOtherThreadsIsMissed) {
    constexpr int kThreads = 3, kEach = 2000;
    Mailbox<int> mailbox;
    std::vector<std::jthread> posters;
    for (int t = 0; t < kThreads; ++t)
        posters.emplace_back([&mailbox] {
            for (int i = 0; i < kEach; ++i) mailbox.post(i);
        });
    int taken = 0;
    while (taken < kThreads * kEach) {
        ASSERT_TRUE(rings(mailbox, 60'000));
        mailbox.silence();
        while (mailbox.take()) ++taken;
    }
    EXPECT_EQ(taken, kThreads * kEach);
}

}  // namespace
}  // namespace tracedump
