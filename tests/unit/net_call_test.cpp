// System calls of each ABI, decoded from numbers and arguments, and addresses from a memory of the test's own.
#include "monitor/net_call.h"

#include <gtest/gtest.h>
#include <linux/audit.h>

#include <cstring>
#include <map>

#include "helpers.h"
#include "sockets.h"

namespace tracedump {
namespace {

using test::endpoint;
using Kind = NetCall::Kind;

/// A tracee's memory: bytes at addresses, nothing in between.
class Memory {
public:
    void put(std::uint64_t address, const void* data, std::size_t size) {
        const auto* bytes = static_cast<const std::byte*>(data);
        for (std::size_t i = 0; i < size; ++i) bytes_[address + i] = bytes[i];
    }
    template <typename Value>
    void put(std::uint64_t address, const Value& value) {
        put(address, &value, sizeof value);
    }

    ReadMemory reader() const {
        return [this](std::uint64_t address, std::span<std::byte> into) {
            for (std::size_t i = 0; i < into.size(); ++i) {
                const auto byte = bytes_.find(address + i);
                if (byte == bytes_.end()) return false;
                into[i] = byte->second;
            }
            return true;
        };
    }

private:
    std::map<std::uint64_t, std::byte> bytes_;
};

using Arguments = std::array<std::uint64_t, 6>;
constexpr Arguments kArguments{3, 0x1000, 2, 0x40, 0x5000, 28};

std::optional<NetCall> decode(std::uint32_t arch, std::uint64_t number, const Arguments& arguments = kArguments,
                              const Memory& memory = {}) {
    return decode_net_call(arch, number, arguments, memory.reader());
}

void expect_arguments(const NetCall& call, bool compat) {
    EXPECT_EQ(call.fd, 3);
    EXPECT_EQ(call.compat, compat);
    switch (call.kind) {
        case Kind::bind:
        case Kind::connect:
            EXPECT_EQ(call.pointer, 0x1000U);
            EXPECT_EQ(call.length, 2U);
            break;
        case Kind::listen:
        case Kind::pidfd_getfd:
        case Kind::io_uring_setup:
            break;
        case Kind::sendto:
            EXPECT_EQ(call.pointer, 0x5000U);
            EXPECT_EQ(call.length, 28U);
            EXPECT_EQ(call.flags, 0x40U);
            break;
        case Kind::sendmsg:
            EXPECT_EQ(call.pointer, 0x1000U);
            EXPECT_EQ(call.flags, 2U);
            break;
        case Kind::sendmmsg:
            EXPECT_EQ(call.pointer, 0x1000U);
            EXPECT_EQ(call.length, 2U);
            EXPECT_EQ(call.flags, 0x40U);
            break;
    }
}

struct Abi {
    const char* name;
    std::uint32_t arch;
    bool compat;
    std::array<std::uint64_t, 6> numbers;  // bind, connect, listen, sendto, sendmsg, sendmmsg
};
constexpr std::uint64_t kX32 = 0x40000000;
const Abi kAbis[] = {
    {"x86-64", AUDIT_ARCH_X86_64, false, {49, 42, 50, 44, 46, 307}},
    {"x32", AUDIT_ARCH_X86_64, true, {kX32 + 49, kX32 + 42, kX32 + 50, kX32 + 44, kX32 + 518, kX32 + 538}},
    {"i386", AUDIT_ARCH_I386, true, {361, 362, 363, 369, 370, 345}},
    {"aarch64", AUDIT_ARCH_AARCH64, false, {200, 203, 201, 206, 211, 269}},
    {"arm", AUDIT_ARCH_ARM, true, {282, 283, 284, 290, 296, 374}},
};
constexpr Kind kKinds[] = {Kind::bind, Kind::connect, Kind::listen, Kind::sendto, Kind::sendmsg, Kind::sendmmsg};

TEST(NetCall, CallsThatGiveDescriptorsAreTheSameInEachAbi) {
    const std::array<std::uint64_t, 6> arguments{3, 4, 0, 0, 0, 0};
    const ReadMemory nothing = [](std::uint64_t, std::span<std::byte>) { return false; };
    for (const Abi& abi : kAbis) {
        const std::uint64_t x32 = abi.numbers[0] & kX32;
        EXPECT_EQ(decode_net_call(abi.arch, x32 | 438, arguments, nothing)->kind, Kind::pidfd_getfd) << abi.name;
        EXPECT_EQ(decode_net_call(abi.arch, x32 | 425, arguments, nothing)->kind, Kind::io_uring_setup) << abi.name;
        EXPECT_EQ(decode_net_call(abi.arch, x32 | 438, arguments, nothing)->fd, -1) << abi.name;
    }
}

TEST(NetCall, EachCallOfEachAbiIsDecoded) {
    for (const Abi& abi : kAbis) {
        for (std::size_t i = 0; i < std::size(kKinds); ++i) {
            SCOPED_TRACE(std::string(abi.name) + " " + std::string(to_text(kKinds[i])));
            const auto call = decode(abi.arch, abi.numbers[i]);
            ASSERT_TRUE(call);
            EXPECT_EQ(call->kind, kKinds[i]);
            expect_arguments(*call, abi.compat);
        }
    }
}

TEST(NetCall, OtherCallsAreNothing) {
    for (const Abi& abi : kAbis) {
        const std::uint64_t base = abi.numbers[0] & kX32;
        for (std::uint64_t number = 0; number < 600; ++number) {
            const bool ours = std::find(abi.numbers.begin(), abi.numbers.end(), base + number) != abi.numbers.end();
            const bool everywhere = number == 425 || number == 438;
            EXPECT_EQ(decode(abi.arch, base + number).has_value(), ours || everywhere) << abi.name << " " << number;
        }
        EXPECT_FALSE(decode(abi.arch, ~std::uint64_t{0}));
    }
    EXPECT_FALSE(decode(AUDIT_ARCH_PPC64LE, 49));
    EXPECT_FALSE(decode(0, 49));
}

TEST(NetCall, ThirtyTwoBitCallsOfA64BitProgramAreDecodedAsSuch) {
    EXPECT_EQ(decode(AUDIT_ARCH_I386, 361)->kind, Kind::bind);
    EXPECT_FALSE(decode(AUDIT_ARCH_X86_64, 361));
    EXPECT_FALSE(decode(AUDIT_ARCH_I386, 49));
}

TEST(NetCall, SocketcallHasItsArgumentsInMemory) {
    const std::pair<std::uint32_t, Kind> calls[] = {{2, Kind::bind},    {3, Kind::connect},  {4, Kind::listen},
                                                    {11, Kind::sendto}, {16, Kind::sendmsg}, {20, Kind::sendmmsg}};
    const std::size_t counts[] = {3, 3, 2, 6, 3, 4};
    const std::array<std::uint32_t, 6> words{3, 0x1000, 2, 0x40, 0x5000, 28};
    for (std::size_t i = 0; i < std::size(calls); ++i) {
        SCOPED_TRACE(calls[i].first);
        Memory memory;  // no byte more than the call has
        memory.put(0x8000, words.data(), 4 * counts[i]);
        const auto call = decode(AUDIT_ARCH_I386, 102, {calls[i].first, 0x8000}, memory);
        ASSERT_TRUE(call);
        EXPECT_EQ(call->kind, calls[i].second);
        expect_arguments(*call, true);

        Memory too_short;
        too_short.put(0x8000, words.data(), 4 * counts[i] - 1);
        EXPECT_FALSE(decode(AUDIT_ARCH_I386, 102, {calls[i].first, 0x8000}, too_short));
    }
}

TEST(NetCall, OtherSocketcallsAreNothing) {
    Memory memory;
    const std::array<std::uint32_t, 6> words{};
    memory.put(0x8000, words);
    for (std::uint64_t call = 0; call < 32; ++call) {
        const bool ours = call == 2 || call == 3 || call == 4 || call == 11 || call == 16 || call == 20;
        EXPECT_EQ(decode(AUDIT_ARCH_I386, 102, {call, 0x8000}, memory).has_value(), ours) << call;
    }
}

TEST(NetCall, SocketcallPointersAreNotSignExtended) {
    Memory memory;
    const std::array<std::uint32_t, 3> words{0xffffffff, 0xfffff000, 16};
    memory.put(0x8000, words);
    const auto call = decode(AUDIT_ARCH_I386, 102, {2, 0x8000}, memory);
    ASSERT_TRUE(call);
    EXPECT_EQ(call->fd, -1);
    EXPECT_EQ(call->pointer, 0xfffff000U);
}

TEST(NetCall, OnlySendingCallsSend) {
    for (const Kind kind : kKinds) {
        NetCall call;
        call.kind = kind;
        EXPECT_EQ(call.sends(), kind == Kind::sendto || kind == Kind::sendmsg || kind == Kind::sendmmsg);
    }
}

NetCall call_of(Kind kind, std::uint64_t pointer, std::uint32_t length, bool compat = false) {
    NetCall call;
    call.kind = kind;
    call.fd = 3;
    call.pointer = pointer;
    call.length = length;
    call.compat = compat;
    return call;
}

constexpr std::uint64_t kAt = 0x7fff0000;

Memory with_address(const Endpoint& end, int family) {
    Memory memory;
    const auto raw = test::raw(end, family);
    memory.put(kAt, raw.get(), raw.length);
    return memory;
}

TEST(ReadAddress, OfBindConnectAndSendto) {
    const auto v4 = endpoint("192.0.2.1:80"), v6 = endpoint("[2001:db8::1]:80");
    for (const Kind kind : {Kind::bind, Kind::connect, Kind::sendto}) {
        const auto four = read_address(call_of(kind, kAt, 16), with_address(v4, AF_INET).reader());
        ASSERT_TRUE(four);
        EXPECT_EQ(four->endpoint, v4);
        EXPECT_FALSE(four->unspecified_family);
        EXPECT_EQ(read_address(call_of(kind, kAt, 28), with_address(v6, AF_INET6).reader())->endpoint, v6);
        // Without the scope id (RFC 2133).
        EXPECT_EQ(read_address(call_of(kind, kAt, 24), with_address(v6, AF_INET6).reader())->endpoint, v6);
    }
}

TEST(ReadAddress, AMappedAddressIsItsIpv4Address) {
    EXPECT_EQ(read_address(call_of(Kind::connect, kAt, 28), with_address(endpoint("192.0.2.1:80"), AF_INET6).reader())
                  ->endpoint,
              endpoint("192.0.2.1:80"));
}

TEST(ReadAddress, TooShortHasNoEndpoint) {
    for (std::uint32_t length = 2; length < 16; ++length) {
        const auto address =
            read_address(call_of(Kind::connect, kAt, length), with_address(endpoint("192.0.2.1:80"), AF_INET).reader());
        ASSERT_TRUE(address);
        EXPECT_FALSE(address->endpoint) << length;
        EXPECT_FALSE(address->unspecified_family);
    }
    for (std::uint32_t length = 2; length < 24; ++length)
        EXPECT_FALSE(
            read_address(call_of(Kind::connect, kAt, length), with_address(endpoint("[::1]:80"), AF_INET6).reader())
                ->endpoint)
            << length;
    for (std::uint32_t length = 0; length < 2; ++length)
        EXPECT_FALSE(read_address(call_of(Kind::connect, kAt, length),
                                  with_address(endpoint("192.0.2.1:80"), AF_INET).reader()));
}

TEST(ReadAddress, NoMoreIsReadThanAnAddressCanHold) {
    Memory memory;
    std::array<std::byte, sizeof(sockaddr_storage)> large{};
    const auto raw = test::raw(endpoint("192.0.2.1:80"), AF_INET);
    std::memcpy(large.data(), raw.get(), raw.length);
    memory.put(kAt, large);
    EXPECT_EQ(read_address(call_of(Kind::connect, kAt, 0xffffffff), memory.reader())->endpoint,
              endpoint("192.0.2.1:80"));
}

TEST(ReadAddress, UnspecifiedFamilyIsTold) {
    Memory memory;
    const std::array<std::byte, 16> zeros{};
    memory.put(kAt, zeros);
    for (const std::uint32_t length : {2U, 16U}) {
        const auto address = read_address(call_of(Kind::connect, kAt, length), memory.reader());
        ASSERT_TRUE(address);
        EXPECT_TRUE(address->unspecified_family);
        EXPECT_FALSE(address->endpoint);
    }
}

TEST(ReadAddress, AnotherFamilyHasNoEndpoint) {
    Memory memory;
    std::array<std::uint16_t, 55> local{AF_UNIX};
    memory.put(kAt, local);
    const auto address = read_address(call_of(Kind::connect, kAt, 110), memory.reader());
    ASSERT_TRUE(address);
    EXPECT_FALSE(address->endpoint);
    EXPECT_FALSE(address->unspecified_family);
}

TEST(ReadAddress, UnreadableMemoryIsNothing) {
    for (const Kind kind : kKinds) {
        EXPECT_FALSE(read_address(call_of(kind, kAt, 16), Memory().reader()));
        EXPECT_FALSE(read_address(call_of(kind, 0, 16), Memory().reader()));
    }
    // One byte short.
    Memory memory;
    const auto raw = test::raw(endpoint("192.0.2.1:80"), AF_INET);
    memory.put(kAt, raw.get(), 15);
    EXPECT_FALSE(read_address(call_of(Kind::bind, kAt, 16), memory.reader()));
}

TEST(ReadAddress, ListenHasNone) {
    EXPECT_FALSE(
        read_address(call_of(Kind::listen, kAt, 16), with_address(endpoint("192.0.2.1:80"), AF_INET).reader()));
}

TEST(ReadAddress, OfMessagesInThe64BitLayout) {
    for (const Kind kind : {Kind::sendmsg, Kind::sendmmsg}) {
        Memory memory = with_address(endpoint("192.0.2.1:53"), AF_INET);
        struct {
            std::uint64_t name = kAt;
            std::uint32_t length = 16;
            std::uint32_t padding = 0xdeadbeef;  // may hold anything
        } header;
        memory.put(0x9000, header);
        EXPECT_EQ(read_address(call_of(kind, 0x9000, 1), memory.reader())->endpoint, endpoint("192.0.2.1:53"));
    }
}

TEST(ReadAddress, OfMessagesInThe32BitLayout) {
    for (const Kind kind : {Kind::sendmsg, Kind::sendmmsg}) {
        Memory memory = with_address(endpoint("[2001:db8::1]:53"), AF_INET6);
        const std::array<std::uint32_t, 2> header{static_cast<std::uint32_t>(kAt), 28};
        memory.put(0x9000, header);
        EXPECT_EQ(read_address(call_of(kind, 0x9000, 1, true), memory.reader())->endpoint,
                  endpoint("[2001:db8::1]:53"));
    }
}

TEST(ReadAddress, AMessageWithoutANameHasNone) {
    Memory memory;
    const std::array<std::uint64_t, 2> header{};
    memory.put(0x9000, header);
    EXPECT_FALSE(read_address(call_of(Kind::sendmsg, 0x9000, 0), memory.reader()));
    const std::array<std::uint64_t, 2> dangling{kAt, 16};
    memory.put(0x9000, dangling);
    EXPECT_FALSE(read_address(call_of(Kind::sendmsg, 0x9000, 0), memory.reader()));
}

}  // namespace
}  // namespace tracedump
