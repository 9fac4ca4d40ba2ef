// Which bytes of the kernel's table are set, when claims come and go.
#include "ports/port_table.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "helpers.h"

namespace tracedump {
namespace {

using test::endpoint;

class PortTableTest : public ::testing::Test {
protected:
    const std::unique_ptr<port_table> memory_ = std::make_unique<port_table>();
    PortTable table_{*memory_};
};

TEST_F(PortTableTest, APortStaysAsLongAsAnyoneClaimsIt) {
    table_.admit(Transport::udp, 53);
    table_.admit(Transport::udp, 53);
    table_.dismiss(Transport::udp, 53);
    EXPECT_EQ(memory_->udp[53].claimed, 1);
    table_.dismiss(Transport::udp, 53);
    EXPECT_EQ(memory_->udp[53].claimed, 0);
}

TEST_F(PortTableTest, TransportsHavePortsOfTheirOwn) {
    table_.admit(Transport::tcp, 53);
    EXPECT_EQ(memory_->tcp[53].claimed, 1);
    EXPECT_EQ(memory_->udp[53].claimed, 0);
}

TEST_F(PortTableTest, UdpLiteSharesWithUdp) {
    table_.admit(Transport::udplite, 65535);
    table_.admit(Transport::udp, 65535);
    table_.dismiss(Transport::udp, 65535);
    EXPECT_EQ(memory_->udp[65535].claimed, 1);
}

TEST_F(PortTableTest, RemotesOfConnectsUnderWayAreCountedToo) {
    const auto remote = endpoint("192.0.2.2:80");
    const auto slot = remote_slot(remote.address.low32(), remote.port);
    table_.admit(remote);
    table_.admit(remote);
    table_.dismiss(remote);
    EXPECT_EQ(memory_->remotes[slot], 1);
    table_.dismiss(remote);
    EXPECT_EQ(memory_->remotes[slot], 0);
}

TEST_F(PortTableTest, WhatAHookHasAnnouncedStaysUntilItIsSettled) {
    memory_->tcp[4000].born = 1;
    table_.admit(Transport::tcp, 4000);
    table_.dismiss(Transport::tcp, 4000);
    EXPECT_EQ(memory_->tcp[4000].born, 1);
    table_.settle(Transport::tcp, 4000);
    EXPECT_EQ(memory_->tcp[4000].born, 0);
}

TEST_F(PortTableTest, NetworksShareATable) {
    const auto own = [&](std::uint16_t port) {
        for (int i = 0; i < 20000; ++i) {
            table_.admit(Transport::tcp, port);
            table_.admit(Transport::tcp, 80);
            table_.dismiss(Transport::tcp, 80);
            table_.dismiss(Transport::tcp, port);
        }
    };
    table_.admit(Transport::tcp, 80);
    std::thread other(own, std::uint16_t{1});
    own(2);
    other.join();
    EXPECT_EQ(memory_->tcp[80].claimed, 1);
    EXPECT_EQ(memory_->tcp[1].claimed + memory_->tcp[2].claimed, 0);
}

TEST(RemoteSlot, IsInTheTable) {
    for (const std::uint32_t address : {0U, 1U, 0x0a4d0002U, 0xffffffffU})
        for (const std::uint32_t port : {0U, 80U, 65535U}) EXPECT_LT(remote_slot(address, port), PORT_TABLE_REMOTES);
}

}  // namespace
}  // namespace tracedump
