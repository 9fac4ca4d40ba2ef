// One record for a packet that crosses several devices, and as many for packets that only look the same.
#include "capture/duplicate_filter.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace tracedump {
namespace {

class DuplicateFilterTest : public testing::Test {
protected:
    bool duplicate(std::uint8_t content, std::uint32_t device, Timestamp time = 0) {
        const std::vector<std::uint8_t> data(60, content);
        return filter_.is_duplicate(data, 60, device, time);
    }

    DuplicateFilter filter_;
};

TEST_F(DuplicateFilterTest, TheSamePacketOnAnotherDeviceIsOne) {
    EXPECT_FALSE(duplicate(1, 10));
    EXPECT_TRUE(duplicate(1, 11));
    EXPECT_TRUE(duplicate(1, 12));
}

TEST_F(DuplicateFilterTest, TheSamePacketOnTheSameDeviceIsSentAgain) {
    EXPECT_FALSE(duplicate(1, 10));
    EXPECT_FALSE(duplicate(1, 10));
    EXPECT_TRUE(duplicate(1, 11));
    EXPECT_TRUE(duplicate(1, 11));
    EXPECT_FALSE(duplicate(1, 11));  // this one has not been on the first device yet
    EXPECT_TRUE(duplicate(1, 10));
}

TEST_F(DuplicateFilterTest, WhatOneDeviceLostDoesNotHideTheNext) {
    EXPECT_FALSE(duplicate(1, 10));
    EXPECT_FALSE(duplicate(1, 10));  // device 11 drops one of the two
    EXPECT_TRUE(duplicate(1, 11));
    EXPECT_FALSE(duplicate(1, 10));
    EXPECT_TRUE(duplicate(1, 11));
}

TEST_F(DuplicateFilterTest, DifferentPacketsAreNoDuplicates) {
    EXPECT_FALSE(duplicate(1, 10));
    EXPECT_FALSE(duplicate(2, 11));
    const std::vector<std::uint8_t> data(60, 1);
    EXPECT_FALSE(filter_.is_duplicate(data, 61, 11, 0));  // another length on the wire
}

TEST_F(DuplicateFilterTest, MuchLaterItIsAnotherPacket) {
    EXPECT_FALSE(duplicate(1, 10, 0));
    EXPECT_FALSE(duplicate(1, 11, DuplicateFilter::kWindow + 1));
}

TEST_F(DuplicateFilterTest, ShortPacketsAreReadWithinTheirBounds) {
    for (std::size_t size = 0; size < 100; ++size) {
        const std::vector<std::uint8_t> data(size, 3);
        EXPECT_FALSE(filter_.is_duplicate(data, static_cast<std::uint32_t>(size), 10, 0));
        EXPECT_TRUE(filter_.is_duplicate(data, static_cast<std::uint32_t>(size), 11, 0));
    }
}

TEST_F(DuplicateFilterTest, ABusyHostStillFindsEveryDuplicate) {
    // 30,000 packets on the way between two devices at any moment.
    constexpr std::uint32_t kPackets = 200000, kOnTheWay = 30000;
    std::vector<std::uint8_t> data(60);
    const auto judge = [&](std::uint32_t number, std::uint32_t device) {
        std::memcpy(data.data(), &number, sizeof number);
        return filter_.is_duplicate(data, 60, device, number);
    };
    std::uint32_t missed = 0;
    for (std::uint32_t i = 0; i < kPackets; ++i) {
        EXPECT_FALSE(judge(i, 10));
        if (i >= kOnTheWay) missed += !judge(i - kOnTheWay, 11);
    }
    EXPECT_LT(missed, kPackets / 100);
}

TEST_F(DuplicateFilterTest, WhatCameFromOneDeviceAloneIsKnownWhenAnotherShowsUp) {
    constexpr std::uint32_t kPackets = 100000, kRemembered = 50000;  // what it notes of one device is bounded
    std::vector<std::uint8_t> data(60);
    const auto judge = [&](std::uint32_t number, std::uint32_t device) {
        std::memcpy(data.data(), &number, sizeof number);
        return filter_.is_duplicate(data, 60, device, number);
    };
    for (std::uint32_t i = 0; i < kPackets; ++i) ASSERT_FALSE(judge(i, 10));
    std::uint32_t missed = 0;
    for (std::uint32_t i = kPackets - kRemembered; i < kPackets; ++i) missed += !judge(i, 11);
    EXPECT_LT(missed, kRemembered / 100);
}

TEST_F(DuplicateFilterTest, DevicesMayComeAndGo) {
    for (Timestamp time = 0; time < 20 * DuplicateFilter::kWindow; time += DuplicateFilter::kWindow / 4) {
        const auto content = static_cast<std::uint8_t>(time / (DuplicateFilter::kWindow / 4));
        EXPECT_FALSE(duplicate(content, 10, time));
        // Every few seconds another device sees one, too, and for a second after it all of them.
        const auto phase = time % (5 * DuplicateFilter::kWindow);
        if (phase > DuplicateFilter::kWindow) continue;
        EXPECT_TRUE(duplicate(content, 11, time + 1)) << time;
    }
}

}  // namespace
}  // namespace tracedump
