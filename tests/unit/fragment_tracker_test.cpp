// Later fragments follow their first one, in whatever order they come, within bounds.
#include "capture/fragment_tracker.h"

#include <gtest/gtest.h>

#include "helpers.h"

namespace tracedump {
namespace {

using Fate = FragmentTracker::Fate;

class FragmentTrackerTest : public testing::Test {
protected:
    static DatagramKey datagram(std::uint32_t identification) {
        return {test::endpoint("192.0.2.1:1").address, test::endpoint("192.0.2.2:1").address, identification, 17};
    }

    PacketRef packet(Timestamp time = 0) {
        PacketRef ref;
        ref.data = bytes_.data();
        ref.captured_length = static_cast<std::uint32_t>(bytes_.size());
        ref.original_length = ref.captured_length;
        ref.address = address_.data();
        ref.time = time;
        return ref;
    }

    FragmentTracker tracker_;
    std::vector<std::uint8_t> bytes_ = std::vector<std::uint8_t>(1480, 7);
    std::array<std::uint8_t, kLinkAddressSize> address_{1, 2, 3, 4, 5, 6};
};

TEST_F(FragmentTrackerTest, LaterFragmentsFollowTheVerdictOnTheFirst) {
    EXPECT_TRUE(tracker_.on_first(datagram(1), true, 0).empty());
    EXPECT_TRUE(tracker_.on_first(datagram(2), false, 0).empty());
    EXPECT_EQ(tracker_.on_later(datagram(1), packet()), Fate::ours);
    EXPECT_EQ(tracker_.on_later(datagram(2), packet()), Fate::foreign);
    EXPECT_EQ(tracker_.on_later(datagram(1), packet()), Fate::ours);
}

TEST_F(FragmentTrackerTest, FragmentsBeforeTheFirstAreHeldAsCopies) {
    EXPECT_EQ(tracker_.on_later(datagram(1), packet(5)), Fate::held);
    EXPECT_EQ(tracker_.on_later(datagram(1), packet(6)), Fate::held);
    bytes_.assign(bytes_.size(), 0);  // the ring's block is the kernel's again
    address_.fill(0);
    const auto held = tracker_.on_first(datagram(1), true, 7);
    ASSERT_EQ(held.size(), 2U);
    EXPECT_EQ(held[0].ref().time, 5);
    EXPECT_EQ(held[1].ref().time, 6);
    EXPECT_EQ(held[0].ref().captured_length, 1480U);
    EXPECT_EQ(held[0].ref().data[1479], 7);
    EXPECT_EQ(held[0].ref().address[5], 6);
    EXPECT_EQ(tracker_.on_later(datagram(1), packet()), Fate::ours);
    EXPECT_EQ(tracker_.take_given_up(), 0U);
}

TEST_F(FragmentTrackerTest, HeldFragmentsOfAStrangerAreCountedOnce) {
    tracker_.on_later(datagram(1), packet());
    tracker_.on_later(datagram(1), packet());
    EXPECT_TRUE(tracker_.on_first(datagram(1), false, 0).empty());
    EXPECT_EQ(tracker_.take_given_up(), 2U);
    EXPECT_EQ(tracker_.take_given_up(), 0U);
}

TEST_F(FragmentTrackerTest, ANewFirstFragmentWithAnOldIdentificationDecidesAnew) {
    tracker_.on_first(datagram(1), false, 0);
    tracker_.on_first(datagram(1), true, 1);
    EXPECT_EQ(tracker_.on_later(datagram(1), packet()), Fate::ours);
}

TEST_F(FragmentTrackerTest, WhatWaitsTooLongIsGivenUp) {
    tracker_.on_later(datagram(1), packet(0));
    EXPECT_TRUE(tracker_.on_first(datagram(1), true, FragmentTracker::kPatience + 1).empty());
    EXPECT_EQ(tracker_.take_given_up(), 1U);
}

TEST_F(FragmentTrackerTest, BytesHeldAreBounded) {
    constexpr std::uint32_t kFlood = 20000;  // 28 MB
    for (std::uint32_t i = 0; i < kFlood; ++i) tracker_.on_later(datagram(i), packet());
    std::size_t held = 0;
    // The youngest first: they are the ones that are still held.
    for (std::uint32_t i = kFlood; i-- > 0;) held += tracker_.on_first(datagram(i), true, 0).size();
    EXPECT_LE(held * bytes_.size(), FragmentTracker::kMaxHeldBytes);
    EXPECT_GT(held, 1000U);
    EXPECT_EQ(held + tracker_.take_given_up(), kFlood);
}

TEST_F(FragmentTrackerTest, DatagramsRememberedAreBounded) {
    for (std::uint32_t i = 0; i < 3 * FragmentTracker::kMaxDatagrams; ++i) tracker_.on_first(datagram(i), true, 0);
    EXPECT_EQ(tracker_.on_later(datagram(0), packet()), Fate::held);
    EXPECT_EQ(tracker_.on_later(datagram(3 * FragmentTracker::kMaxDatagrams - 1), packet()), Fate::ours);
}

}  // namespace
}  // namespace tracedump
