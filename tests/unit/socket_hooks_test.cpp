// The hooks in the running kernel: what they report of this very process, before its packets leave, and what they put
// into the filter's table. Skipped without the rights to load them.
#include "hooks/socket_hooks.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <optional>

#include "capture/ebpf_filter.h"
#include "sockets.h"
#include "util/error.h"

namespace tracedump {
namespace {

using test::bind_to_loopback;
using test::connect_to;
using test::cookie_of;
using test::local_end;
using test::loopback;
using test::open_socket;
using test::raw;
using test::send_one_to;

const Endpoint kNobody = loopback(AF_INET, 9);

class SocketHooksTest : public ::testing::Test {
protected:
    void SetUp() override { load(SocketHooks::kDefaultRing); }

    void load(std::size_t ring) {
        try {
            hooks_.reset();
            filter_.emplace(1500, false);
            hooks_.emplace(filter_->ports_map(), ring);
        } catch (const Error& error) {
            GTEST_SKIP() << error.what();
        }
        network_ = network_of_socket(open_socket(AF_INET, SOCK_DGRAM).get());
        hooks_->capture(network_);
        hooks_->watch(getpid(), false);
    }

    /// Events since the last call, of sockets with that cookie, or of all.
    std::vector<socket_event> events(SocketCookie cookie = 0) {
        std::vector<socket_event> found;
        hooks_->drain([&](const socket_event& event) {
            if (cookie == 0 || event.cookie == cookie) found.push_back(event);
        });
        return found;
    }

    static std::vector<std::uint32_t> kinds(const std::vector<socket_event>& events) {
        std::vector<std::uint32_t> kinds;
        for (const auto& event : events) kinds.push_back(event.kind);
        return kinds;
    }

    using Kinds = std::vector<std::uint32_t>;

    std::optional<EbpfFilter> filter_;
    std::optional<SocketHooks> hooks_;
    NetworkId network_ = 0;
};

TEST_F(SocketHooksTest, AUdpSocketThatSendsToAnAddress) {
    UniqueFd fd = open_socket(AF_INET, SOCK_DGRAM);
    const auto cookie = cookie_of(fd);
    EXPECT_EQ(kinds(events(cookie)), Kinds{});
    for (int i = 0; i < 3; ++i) send_one_to(fd, kNobody, AF_INET);
    const auto reported = events(cookie);
    ASSERT_EQ(kinds(reported), Kinds{SOCKET_HAS_PORT});
    EXPECT_EQ(reported[0].local_port, local_end(fd).port);
    EXPECT_EQ(reported[0].network, network_);
    EXPECT_EQ(reported[0].user.pid, static_cast<std::uint32_t>(getpid()));
    EXPECT_EQ(reported[0].user.tid, static_cast<std::uint32_t>(gettid()));
    EXPECT_EQ(reported[0].protocol, IPPROTO_UDP);
    fd.reset();
    EXPECT_EQ(kinds(events(cookie)), Kinds{SOCKET_RELEASED});
}

TEST_F(SocketHooksTest, WhoSendsFromAPortThatWasReleasedIsReportedOnceForEachRelease) {
    std::uint16_t port = 0;
    const auto shared_socket = [&] {
        UniqueFd fd = open_socket(AF_INET, SOCK_DGRAM);
        const int yes = 1;
        test::check(setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0, "SO_REUSEADDR");
        test::bind_to(fd, loopback(AF_INET, port), AF_INET);
        port = local_end(fd).port;
        return fd;
    };
    hooks_->unwatch(getpid());
    const UniqueFd stranger = shared_socket();
    for (int release = 0; release < 2; ++release) {
        hooks_->watch(getpid(), false);
        shared_socket().reset();
        hooks_->unwatch(getpid());
        const UniqueFd elsewhere = open_socket(AF_INET, SOCK_DGRAM);
        send_one_to(elsewhere, kNobody, AF_INET);
        for (int packet = 0; packet < 2; ++packet) send_one_to(stranger, kNobody, AF_INET);
        std::map<SocketCookie, std::vector<socket_event>> reported;
        hooks_->drain([&](const socket_event& event) { reported[event.cookie].push_back(event); });
        EXPECT_FALSE(reported.contains(cookie_of(elsewhere)));
        const auto& of_stranger = reported[cookie_of(stranger)];
        ASSERT_EQ(kinds(of_stranger), Kinds{SOCKET_SUCCEEDED}) << release;
        EXPECT_EQ(of_stranger[0].local_port, port);
        EXPECT_EQ(of_stranger[0].network, network_);
        EXPECT_EQ(of_stranger[0].local_address[0], htonl(INADDR_LOOPBACK));
    }
}

TEST_F(SocketHooksTest, AUdpSocketThatConnectsShowsItsPortAtItsFirstPacket) {
    const UniqueFd fd = open_socket(AF_INET, SOCK_DGRAM);
    connect_to(fd, kNobody, AF_INET);
    EXPECT_EQ(kinds(events(cookie_of(fd))), Kinds{});
    send(fd.get(), "x", 1, 0);
    const auto reported = events(cookie_of(fd));
    ASSERT_EQ(kinds(reported), Kinds{SOCKET_HAS_PORT});
    EXPECT_EQ(reported[0].local_port, local_end(fd).port);
}

TEST_F(SocketHooksTest, OrWhenItIsAskedForItsName) {
    const UniqueFd fd = open_socket(AF_INET, SOCK_DGRAM);
    connect_to(fd, kNobody, AF_INET);
    const auto first = local_end(fd).port;
    const auto reported = events(cookie_of(fd));
    ASSERT_EQ(kinds(reported), Kinds{SOCKET_HAS_PORT});
    EXPECT_EQ(reported[0].local_port, first);
    // A connection that is dissolved gives its port up; the next one shows that it has.
    const sockaddr none{.sa_family = AF_UNSPEC, .sa_data = {}};
    ASSERT_EQ(connect(fd.get(), &none, sizeof none), 0);
    connect_to(fd, kNobody, AF_INET);
    EXPECT_EQ(kinds(events(cookie_of(fd))), Kinds{SOCKET_UNBOUND});
    local_end(fd);
    EXPECT_EQ(kinds(events(cookie_of(fd))), Kinds{SOCKET_HAS_PORT});
}

TEST_F(SocketHooksTest, ATcpConnectionIsReportedBeforeItsSyn) {
    const UniqueFd listener = open_socket(AF_INET, SOCK_STREAM);
    ASSERT_EQ(listen(listener.get(), 1), 0);  // binds it
    const auto listening = events(cookie_of(listener));
    ASSERT_EQ(kinds(listening), Kinds{SOCKET_HAS_PORT});
    const auto server = local_end(listener).port;
    EXPECT_EQ(listening[0].local_port, server);
    const UniqueFd fd = open_socket(AF_INET, SOCK_STREAM);
    connect_to(fd, loopback(AF_INET, server), AF_INET);
    const auto reported = events(cookie_of(fd));
    ASSERT_EQ(kinds(reported), Kinds{SOCKET_CONNECTS});
    EXPECT_EQ(reported[0].local_port, local_end(fd).port);
    EXPECT_EQ(reported[0].remote_port, server);
    EXPECT_EQ(reported[0].remote_address[0], htonl(INADDR_LOOPBACK));
}

TEST_F(SocketHooksTest, TheEndOfATcpConnectionIsReported) {
    UniqueFd listener = open_socket(AF_INET, SOCK_STREAM);
    ASSERT_EQ(listen(listener.get(), 1), 0);
    UniqueFd fd = open_socket(AF_INET, SOCK_STREAM);
    const auto cookie = cookie_of(fd);
    connect_to(fd, loopback(AF_INET, local_end(listener).port), AF_INET);
    UniqueFd accepted(accept(listener.get(), nullptr, nullptr));
    const auto port = local_end(fd).port;
    EXPECT_EQ(kinds(events(cookie)), Kinds{SOCKET_CONNECTS});
    accepted.reset();  // it waits in TIME_WAIT, ours in nothing
    fd.reset();
    const auto reported = events(cookie);
    ASSERT_EQ(kinds(reported), Kinds{SOCKET_FINISHED});
    EXPECT_EQ(reported[0].local_port, port);
    EXPECT_EQ(reported[0].network, network_);
    EXPECT_EQ(reported[0].protocol, IPPROTO_TCP);
}

TEST_F(SocketHooksTest, SoIsThatOfOneThatIsRefusedAndConnectsAgain) {
    const UniqueFd fd = open_socket(AF_INET, SOCK_STREAM);
    for (int i = 0; i < 2; ++i) {
        const auto nobody = test::raw(kNobody, AF_INET);
        EXPECT_NE(connect(fd.get(), nobody.get(), nobody.length), 0);
        EXPECT_EQ(kinds(events(cookie_of(fd))), (Kinds{SOCKET_CONNECTS, SOCKET_FINISHED}));
    }
}

TEST_F(SocketHooksTest, ATcpSocketThatNeverConnectsIsReleasedIfItHadAPort) {
    UniqueFd unused = open_socket(AF_INET, SOCK_STREAM);
    UniqueFd bound = open_socket(AF_INET, SOCK_STREAM);
    test::bind_to_loopback(bound, AF_INET);
    UniqueFd listener = open_socket(AF_INET, SOCK_STREAM);
    ASSERT_EQ(listen(listener.get(), 1), 0);
    const auto unused_cookie = cookie_of(unused), bound_cookie = cookie_of(bound),
               listener_cookie = cookie_of(listener);
    EXPECT_EQ(kinds(events(bound_cookie)), Kinds{SOCKET_BOUND});
    for (UniqueFd* fd : {&unused, &bound, &listener}) fd->reset();
    std::map<SocketCookie, Kinds> told;
    hooks_->drain([&](const socket_event& event) { told[event.cookie].push_back(event.kind); });
    EXPECT_FALSE(told.contains(unused_cookie));
    EXPECT_EQ(told[bound_cookie], Kinds{SOCKET_RELEASED});
    EXPECT_EQ(told[listener_cookie].back(), SOCKET_RELEASED);
}

TEST_F(SocketHooksTest, AnIpv4ConnectionOfAnIpv6Socket) {
    const UniqueFd listener = open_socket(AF_INET, SOCK_STREAM);
    ASSERT_EQ(listen(listener.get(), 1), 0);
    const UniqueFd fd = open_socket(AF_INET6, SOCK_STREAM);
    connect_to(fd, loopback(AF_INET, local_end(listener).port), AF_INET6);  // ::ffff:127.0.0.1
    const auto reported = events(cookie_of(fd));
    ASSERT_EQ(kinds(reported), Kinds{SOCKET_CONNECTS});
    EXPECT_EQ(reported[0].family, AF_INET);
    EXPECT_EQ(reported[0].local_address[0], htonl(INADDR_LOOPBACK));
    EXPECT_EQ(reported[0].remote_address[0], htonl(INADDR_LOOPBACK));
}

TEST_F(SocketHooksTest, BindingIsReportedWithItsAddress) {
    const UniqueFd fd = open_socket(AF_INET, SOCK_STREAM);
    bind_to_loopback(fd, AF_INET);
    const auto reported = events(cookie_of(fd));
    ASSERT_EQ(kinds(reported), Kinds{SOCKET_BOUND});
    EXPECT_EQ(reported[0].local_port, local_end(fd).port);
    EXPECT_EQ(reported[0].local_address[0], htonl(INADDR_LOOPBACK));
}

TEST_F(SocketHooksTest, StrangersAreNotReported) {
    hooks_->unwatch(getpid());
    const UniqueFd fd = open_socket(AF_INET, SOCK_DGRAM);
    send_one_to(fd, kNobody, AF_INET);
    EXPECT_TRUE(events(cookie_of(fd)).empty());
}

TEST_F(SocketHooksTest, OtherSocketsAreNotReported) {
    const UniqueFd raw = open_socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
    send_one_to(raw, kNobody, AF_INET);
    EXPECT_TRUE(events().empty());
}

TEST_F(SocketHooksTest, WhatFindsNoRoomIsCounted) {
    load(4096);
    EXPECT_EQ(hooks_->lost(), 0U);
    for (int i = 0; i < 100; ++i) send_one_to(open_socket(AF_INET, SOCK_DGRAM), kNobody, AF_INET);
    const auto kept = events().size();
    EXPECT_LT(kept, 100U);
    EXPECT_EQ(kept + hooks_->lost(), 200U);  // born, and released
}

TEST_F(SocketHooksTest, TwoOfThemDoNotDisturbEachOther) {
    SocketHooks other(filter_->ports_map());
    const UniqueFd fd = open_socket(AF_INET, SOCK_DGRAM);
    send_one_to(fd, kNobody, AF_INET);
    EXPECT_EQ(kinds(events(cookie_of(fd))), Kinds{SOCKET_HAS_PORT});
    bool any = false;
    other.drain([&](const socket_event&) { any = true; });
    EXPECT_FALSE(any);
}

/// Runs `body` in a child that is traced; `on_child` sees what it reports meanwhile.
template <typename Body, typename OnChild>
void in_child(SocketHooks& hooks, Body body, OnChild on_child) {
    const pid_t child = fork();
    if (child == 0) {
        hooks.watch(getpid(), false);
        _exit(body() ? 0 : 2);
    }
    on_child(child);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

bool is_urgent(const SocketHooks& hooks) {
    pollfd urgent{hooks.fd(), POLLIN, 0};
    return poll(&urgent, 1, 30'000) == 1;
}

TEST_F(SocketHooksTest, AThreadInANetworkThatIsNotCapturedWaitsForAnAnswer) {
    hooks_->uncapture(network_);
    in_child(
        *hooks_, [] { return socket(AF_INET, SOCK_DGRAM, 0) >= 0; },
        [&](pid_t child) {
            std::optional<socket_event> reported;
            while (!reported && is_urgent(*hooks_)) hooks_->drain([&](const socket_event& event) { reported = event; });
            ASSERT_TRUE(reported);
            EXPECT_EQ(reported->kind, SOCKET_ABROAD);
            EXPECT_EQ(reported->user.pid, static_cast<std::uint32_t>(child));
            hooks_->answer({child, static_cast<pid_t>(reported->user.tid), reported->time});
        });
    EXPECT_EQ(hooks_->unseen(), 0U);
}

TEST_F(SocketHooksTest, ASocketThatSendsBeforeItsNetworkIsCapturedIsCounted) {
    for (const int type : {SOCK_DGRAM, SOCK_STREAM}) {
        hooks_->capture(network_);
        const UniqueFd fd = open_socket(AF_INET, type);
        const auto before = hooks_->unseen();
        hooks_->uncapture(network_);
        const auto address = raw(kNobody, AF_INET);
        if (type == SOCK_STREAM)
            EXPECT_NE(connect(fd.get(), address.get(), address.length), 0);
        else
            send_one_to(fd, kNobody, AF_INET);
        EXPECT_EQ(hooks_->unseen(), before + 1);
    }
}

TEST_F(SocketHooksTest, ANetworkHasUnusedSocketsUntilTheyHavePorts) {
    EXPECT_FALSE(hooks_->has_unused(network_));
    UniqueFd datagrams = open_socket(AF_INET, SOCK_DGRAM);
    EXPECT_TRUE(hooks_->has_unused(network_));
    EXPECT_FALSE(hooks_->has_unused(network_ + 1));
    send_one_to(datagrams, kNobody, AF_INET);
    EXPECT_FALSE(hooks_->has_unused(network_));
    UniqueFd stream = open_socket(AF_INET, SOCK_STREAM);
    EXPECT_TRUE(hooks_->has_unused(network_));
    const auto address = raw(kNobody, AF_INET);
    EXPECT_NE(connect(stream.get(), address.get(), address.length), 0);
    EXPECT_FALSE(hooks_->has_unused(network_));
    // Of thousands, too.
    std::vector<UniqueFd> many;
    for (int i = 0; i < 600; ++i) {
        many.push_back(open_socket(AF_INET, SOCK_DGRAM));
        send_one_to(many.back(), kNobody, AF_INET);
    }
    EXPECT_FALSE(hooks_->has_unused(network_));
    stream = open_socket(AF_INET6, SOCK_STREAM);
    EXPECT_TRUE(hooks_->has_unused(network_));
    stream.reset();
    EXPECT_FALSE(hooks_->has_unused(network_));
}

TEST_F(SocketHooksTest, WhatIsReportedWhileItDrainsDoesNotKeepItFromReturning) {
    const UniqueFd one = open_socket(AF_INET, SOCK_DGRAM);
    send_one_to(one, kNobody, AF_INET);
    std::size_t drained = 0;
    hooks_->drain([&](const socket_event&) {
        if (++drained < 1000) send_one_to(open_socket(AF_INET, SOCK_DGRAM), kNobody, AF_INET);
    });
    EXPECT_EQ(drained, 1U);
}

}  // namespace
}  // namespace tracedump
