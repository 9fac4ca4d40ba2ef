// Packets that wait for their owner: in order, bounded in bytes and in time.
#include "capture/undecided.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace tracedump {
namespace {

using Clock = UndecidedPackets::Clock;

class Undecided : public ::testing::Test {
protected:
    void hold(Timestamp time, Clock::time_point now = {}, std::uint32_t size = 40) {
        bytes_.resize(size);
        PacketRef packet;
        packet.data = bytes_.data();
        packet.captured_length = packet.original_length = size;
        packet.time = time;
        packet.address = address_.data();
        packets_.hold(packet, {}, now);
    }
    std::vector<Timestamp> settle(auto decide) {
        std::vector<Timestamp> taken;
        packets_.settle([&](HeldPacket&& held, const ParsedPacket&) {
            if (!decide(held.ref().time)) return false;
            taken.push_back(held.ref().time);
            return true;
        });
        return taken;
    }

    std::vector<std::uint8_t> bytes_;
    std::array<std::uint8_t, kLinkAddressSize> address_{};
    UndecidedPackets packets_;
};

TEST_F(Undecided, AreSettledInOrderAndTheRestStays) {
    for (const Timestamp time : {1, 2, 3, 4}) hold(time);
    EXPECT_EQ(packets_.oldest(), 1);
    EXPECT_EQ(settle([](Timestamp time) { return time % 2 == 1; }), (std::vector<Timestamp>{1, 3}));
    EXPECT_EQ(packets_.oldest(), 2);
    EXPECT_EQ(settle([](Timestamp) { return true; }), (std::vector<Timestamp>{2, 4}));
    EXPECT_TRUE(packets_.empty());
    EXPECT_EQ(packets_.take_given_up(), 0U);
}

TEST_F(Undecided, ThoseThatWaitedTooLongAreGivenUp) {
    const Clock::time_point now{};
    hold(1, now);
    hold(2, now + std::chrono::seconds(1));
    packets_.give_up_old(now + UndecidedPackets::kPatience);
    EXPECT_EQ(packets_.oldest(), 1);
    packets_.give_up_old(now + UndecidedPackets::kPatience + std::chrono::milliseconds(1));
    EXPECT_EQ(packets_.oldest(), 2);
    EXPECT_EQ(packets_.take_given_up(), 1U);
    EXPECT_EQ(packets_.take_given_up(), 0U);
    packets_.give_up_all();
    EXPECT_TRUE(packets_.empty());
    EXPECT_EQ(packets_.take_given_up(), 1U);
}

TEST_F(Undecided, TheirBytesAreBounded) {
    constexpr std::uint32_t kSize = 64 << 10;
    for (Timestamp time = 0; time < 200; ++time) hold(time, {}, kSize);
    const auto kept = settle([](Timestamp) { return true; });
    EXPECT_LE(kept.size() * kSize, UndecidedPackets::kMaxBytes);
    EXPECT_GE(kept.size(), 100U);
    EXPECT_EQ(kept.back(), 199);
    EXPECT_EQ(packets_.take_given_up(), 200 - kept.size());
}

}  // namespace
}  // namespace tracedump
