// The eBPF filter in the kernel's own test run (BPF_PROG_TEST_RUN in bpf(2)), against the classic one in libpcap's
// interpreter: both accept the same packets. A test run's packets come in on the loopback.
#include "capture/ebpf_filter.h"

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <optional>
#include <random>

#include "capture/filter_compiler.h"
#include "classic_run.h"
#include "helpers.h"
#include "util/error.h"
#include "util/fd.h"

namespace tracedump {
namespace {

using test::Bytes;
using test::endpoint;

constexpr std::uint32_t kSnaplen = 1500;

class EbpfFilterTest : public ::testing::TestWithParam<bool> {
protected:
    void SetUp() override {
        try {
            filter_.emplace(kSnaplen, GetParam());
        } catch (const Error& error) {
            GTEST_SKIP() << error.what();
        }
    }

    void admit(std::uint16_t port) {
        filter_->ports().admit(Transport::tcp, port);
        filter_->ports().admit(Transport::udp, port);
        Claim claim;
        claim.socket.cookie = port;
        claim.socket.local.port = port;
        set_.insert(claim);
    }

    void admit(const Endpoint& remote) {
        filter_->ports().admit(remote);
        set_.add_pending({1, 1, Transport::tcp, remote, kAlways});
    }

    std::uint32_t by_kernel(const Bytes& packet, std::uint16_t ethertype) const {
        Bytes frame(12, 0);
        test::put16(frame, ethertype);
        frame.insert(frame.end(), packet.begin(), packet.end());
        LIBBPF_OPTS(bpf_test_run_opts, options);
        options.data_in = frame.data();
        options.data_size_in = static_cast<std::uint32_t>(frame.size());
        options.repeat = 1;
        EXPECT_EQ(bpf_prog_test_run_opts(filter_->program(), &options), 0) << errno_text(errno);
        return options.retval;
    }

    std::uint32_t by_classic(const Bytes& packet, std::uint16_t ethertype) const {
        const auto program = compile_filter(FilterSpec::of(set_), kSnaplen, BPF_MAXINSNS, GetParam());
        return test::ClassicRun(program, {ethertype, PACKET_HOST, ARPHRD_LOOPBACK})(packet);
    }

    std::optional<EbpfFilter> filter_;
    PortSet set_;
};

INSTANTIATE_TEST_SUITE_P(IcmpErrors, EbpfFilterTest, ::testing::Bool());

std::uint16_t ethertype_of(const Bytes& packet) { return packet[0] >> 4 == 4 ? ETH_P_IP : ETH_P_IPV6; }

TEST_P(EbpfFilterTest, AcceptsNothingToBeginWith) {
    EXPECT_EQ(by_kernel(test::ipv4_packet(endpoint("192.0.2.1:4000"), endpoint("192.0.2.2:80")), ETH_P_IP), 0U);
}

TEST_P(EbpfFilterTest, APortIsInForceAndGone) {
    const Bytes packet = test::ipv4_packet(endpoint("192.0.2.1:4000"), endpoint("192.0.2.2:80"));
    filter_->ports().admit(Transport::tcp, 4000);
    EXPECT_EQ(by_kernel(packet, ETH_P_IP), kSnaplen);
    filter_->ports().dismiss(Transport::tcp, 4000);
    EXPECT_EQ(by_kernel(packet, ETH_P_IP), 0U);
}

TEST_P(EbpfFilterTest, AcceptsWhatTheClassicFilterAccepts) {
    admit(4000);
    admit(53);
    admit(endpoint("192.0.2.9:443"));
    admit(endpoint("[2001:db8::9]:443"));
    std::mt19937 random(7);
    const auto one_of = [&](const auto& choices) { return choices[random() % std::size(choices)]; };
    const char* v4[] = {"192.0.2.1:4000", "192.0.2.1:53", "192.0.2.1:4001", "192.0.2.9:443", "192.0.2.9:444"};
    const char* v6[] = {"[2001:db8::1]:4000", "[2001:db8::1]:53", "[2001:db8::1]:4001", "[2001:db8::9]:443"};
    const int protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_ICMP, IPPROTO_ICMPV6, 132};
    int accepted = 0;
    for (int i = 0; i < 4000; ++i) {
        Bytes packet;
        if (random() % 2 == 0) {
            packet = test::ipv4_packet(endpoint(one_of(v4)), endpoint(one_of(v4)),
                                       {.protocol = one_of(protocols),
                                        .option_words = random() % 3 == 0 ? static_cast<unsigned>(random() % 11) : 0U,
                                        .fragment_offset = random() % 5 == 0 ? 100U : 0U,
                                        .more_fragments = random() % 7 == 0});
        } else {
            std::vector<test::Extension> extensions;
            if (random() % 4 == 0) extensions.push_back(test::option_header(IPPROTO_HOPOPTS));
            if (random() % 4 == 0) extensions.push_back(test::fragment_header(random() % 2 * 100, random() % 2 == 0));
            packet = test::ipv6_packet(endpoint(one_of(v6)), endpoint(one_of(v6)), one_of(protocols), extensions);
        }
        const auto ethertype = ethertype_of(packet);
        // The kernel wants a test packet to have the whole fixed header.
        if (random() % 4 == 0) packet.resize(ethertype == ETH_P_IP ? 20 + random() % 20 : 40 + random() % 20);
        const auto wanted = by_classic(packet, ethertype);
        EXPECT_EQ(by_kernel(packet, ethertype), wanted) << i;
        accepted += wanted != 0;
    }
    EXPECT_GT(accepted, 500);
    EXPECT_LT(accepted, 3500);
}

TEST_P(EbpfFilterTest, OtherProtocolsPassOverIt) {
    admit(4000);
    EXPECT_EQ(by_kernel(Bytes(100, 0x45), 0x0806), 0U);
}

TEST_P(EbpfFilterTest, GoesOnSockets) {
    const UniqueFd datagrams(socket(AF_INET, SOCK_DGRAM, 0));
    EXPECT_EQ(filter_->put_on(datagrams.get()).get(), &filter_->ports());
    const UniqueFd none;
    EXPECT_THROW(filter_->put_on(none.get()), Error);
}

}  // namespace
}  // namespace tracedump
