// A mailbox whose bell is a signal: whoever waits for it hears nothing else.
#include "util/signal_mailbox.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace tracedump {
namespace {

using Box = SignalMailbox<int, 5>;

int wait_for_bell(time_t seconds) {
    sigset_t bell;
    sigemptyset(&bell);
    sigaddset(&bell, Box::bell_signal());
    const timespec timeout{seconds, 0};
    return sigtimedwait(&bell, nullptr, &timeout);
}

TEST(SignalMailbox, IsSilentAndEmptyAtFirst) {
    Box mailbox;
    EXPECT_EQ(wait_for_bell(0), -1);
    EXPECT_FALSE(mailbox.take());
}

TEST(SignalMailbox, RingsForMessagesAndGivesThemInTheirOrder) {
    Box mailbox;
    for (int i = 0; i < 3; ++i) mailbox.post(i);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(wait_for_bell(0), Box::bell_signal());
    EXPECT_EQ(wait_for_bell(0), -1);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(mailbox.take(), i);
    EXPECT_FALSE(mailbox.take());
}

TEST(SignalMailbox, EachMailboxHasItsOwnBell) {
    Box mailbox;
    SignalMailbox<int, 6> other;
    other.post(1);
    EXPECT_EQ(wait_for_bell(0), -1);
    EXPECT_FALSE(mailbox.take());
    EXPECT_EQ(other.take(), 1);
}

TEST(SignalMailbox, NothingPostedByOtherThreadsIsMissed) {
    constexpr int kThreads = 3, kEach = 2000;
    Box mailbox;
    std::vector<std::jthread> posters;
    for (int t = 0; t < kThreads; ++t)
        posters.emplace_back([&mailbox] {
            for (int i = 0; i < kEach; ++i) mailbox.post(i);
        });
    int taken = 0;
    while (taken < kThreads * kEach) {
        ASSERT_EQ(wait_for_bell(60), Box::bell_signal());
        while (mailbox.take()) ++taken;
    }
    EXPECT_EQ(taken, kThreads * kEach);
    posters.clear();
    while (wait_for_bell(0) > 0) continue;  // rang for what was taken already
}

}  // namespace
}  // namespace tracedump
