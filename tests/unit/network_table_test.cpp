// Networks that cannot be opened at first. They take CAP_SYS_ADMIN and CAP_NET_RAW.
#include "app/network_table.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>

#include <thread>

#include "capture/classic_filter.h"
#include "sockets.h"

namespace tracedump {
namespace {

/// While it lives, no descriptor can be opened.
class NoDescriptorsLeft {
public:
    NoDescriptorsLeft() {
        test::check(getrlimit(RLIMIT_NOFILE, &found_) == 0, "getrlimit");
        const rlimit none{0, found_.rlim_max};
        test::check(setrlimit(RLIMIT_NOFILE, &none) == 0, "setrlimit");
    }
    ~NoDescriptorsLeft() { setrlimit(RLIMIT_NOFILE, &found_); }
    NoDescriptorsLeft(const NoDescriptorsLeft&) = delete;
    NoDescriptorsLeft& operator=(const NoDescriptorsLeft&) = delete;

private:
    rlimit found_{};
};

/// In a network namespace of its own; empty if that is forbidden.
UniqueFd open_socket_abroad() {
    UniqueFd socket;
    std::thread([&] {
        if (unshare(CLONE_NEWNET) == 0) socket = test::open_socket(AF_INET, SOCK_DGRAM);
    }).join();
    return socket;
}

TEST(NetworkTable, ANetworkThatWasRefusedIsTriedAgain) {
    const UniqueFd socket = open_socket_abroad();
    if (!socket) GTEST_SKIP() << "no CAP_SYS_ADMIN";
    CaptureMailbox capture;
    GcMailbox gc;
    ClassicEngine filters(65535, false);
    NetworkTable table({.ring_mebibytes = 1}, {capture, gc, filters, nullptr});
    const NetworkId id = network_of_socket(socket.get());
    {
        const NoDescriptorsLeft none;
        EXPECT_EQ(table.of(id, socket.get()), nullptr);
    }
    EXPECT_EQ(table.of(id, socket.get()), nullptr);  // not at once
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    std::shared_ptr<PortRegistry> registry;
    while (!registry && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        registry = table.of(id, socket.get());
    }
    ASSERT_NE(registry, nullptr);
    EXPECT_EQ(table.find(id), registry);
}

}  // namespace
}  // namespace tracedump
