// Lines of /proc/net/tcp and its like, and a folder of such files.
#include "gc/proc_net.h"

#include <gtest/gtest.h>

#include <bit>
#include <numeric>

#include "helpers.h"

namespace tracedump {
namespace {

using test::endpoint;

constexpr const char* kHeading =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
constexpr const char* kListening4 =
    "   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0 100\n";
constexpr const char* kConnected4 =
    "   1: 010200C0:0FA0 020200C0:01BB 01 00000000:00000000 00:00000000 00000000  1000        0 12346 1 0 20\n";
constexpr const char* kClosing4 =
    "   2: 010200C0:0FA1 020200C0:01BB 04 00000000:00000000 00:00000000 00000000  1000        0 12347 1 0 20\n";
constexpr const char* kListening6 =
    "   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000\n";
constexpr const char* kMapped6 =
    "   1: 0000000000000000FFFF0000010200C0:0050 0000000000000000FFFF0000020200C0:FFFF 06 00000000:00000000\n";
constexpr const char* kConnected6 =
    "   2: B80D0120000000000000000001000000:0050 B80D0120000000000000000002000000:C350 01 00000000:00000000\n";
constexpr const char* kUdp4 =
    "  123: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 999 2 0 0\n";

/// The files show addresses as the CPU holds them: the samples above are a little-endian machine's.
constexpr bool kLittle = std::endian::native == std::endian::little;

class ProcNet : public ::testing::Test {
protected:
    void SetUp() override {
        if (!kLittle) GTEST_SKIP() << "the samples are those of a little-endian machine";
    }
};

TEST_F(ProcNet, ReadsTcpLines) {
    EXPECT_EQ(parse_proc_net_line(kListening4, Transport::tcp),
              (SocketRow{0, Transport::tcp, SocketState::listening, endpoint("127.0.0.1:80"), endpoint("0.0.0.0:0")}));
    EXPECT_EQ(parse_proc_net_line(kConnected4, Transport::tcp),
              (SocketRow{0, Transport::tcp, SocketState::established, endpoint("192.0.2.1:4000"),
                         endpoint("192.0.2.2:443")}));
    EXPECT_FALSE(parse_proc_net_line(kListening4, Transport::tcp)->connected());
    EXPECT_TRUE(parse_proc_net_line(kConnected4, Transport::tcp)->connected());
}

TEST_F(ProcNet, ReadsTcp6Lines) {
    EXPECT_EQ(parse_proc_net_line(kListening6, Transport::tcp),
              (SocketRow{0, Transport::tcp, SocketState::listening, endpoint("[::]:80"), endpoint("[::]:0")}));
    EXPECT_EQ(
        parse_proc_net_line(kMapped6, Transport::tcp),
        (SocketRow{0, Transport::tcp, SocketState::time_wait, endpoint("192.0.2.1:80"), endpoint("192.0.2.2:65535")}));
    EXPECT_EQ(parse_proc_net_line(kConnected6, Transport::tcp),
              (SocketRow{0, Transport::tcp, SocketState::established, endpoint("[2001:db8::1]:80"),
                         endpoint("[2001:db8::2]:50000")}));
}

TEST_F(ProcNet, ReadsUdpLines) {
    EXPECT_EQ(parse_proc_net_line(kUdp4, Transport::udp),
              (SocketRow{0, Transport::udp, SocketState::closed, endpoint("0.0.0.0:53"), endpoint("0.0.0.0:0")}));
}

TEST_F(ProcNet, HeadingAndGarbageAreNothing) {
    for (const char* line :
         {kHeading, "", " ", "0:", "0: 0100007F:0050", "0: 0100007F:0050 00000000:0000",
          "0: 0100007F:0050 00000000:0000 00", "0: 0100007F:0050 00000000:0000 0E", "0: 0100007F:0050 00000000:0000 zz",
          "0: 0100007F: 00000000:0000 01", "0: 0100007F:10000 00000000:0000 01", "0: 0100007:0050 00000000:0000 01",
          "0: 0100007FF:0050 00000000:0000 01", "0: 0100007G:0050 00000000:0000 01",
          "0: -100007F:0050 00000000:0000 01", "0: 0100007F:0050x 00000000:0000 01", "0: 0100007F0050 000000000000 01"})
        EXPECT_FALSE(parse_proc_net_line(line, Transport::tcp)) << line;
}

TEST_F(ProcNet, ListsTheFilesThatAreThere) {
    test::TempFolder folder;
    folder.write("tcp", std::string(kHeading) + kListening4 + kConnected4 + "garbage\n" + kClosing4);
    folder.write("tcp6", std::string(kHeading) + kMapped6);
    folder.write("udp", std::string(kHeading) + kUdp4);
    ProcNetTable table(folder.path());
    std::vector<std::uint16_t> all(65536);
    std::iota(all.begin(), all.end(), 0);
    const auto rows = table.list(Transport::tcp, all);
    ASSERT_TRUE(rows);
    EXPECT_EQ(rows->size(), 4U);
    EXPECT_TRUE(std::all_of(rows->begin(), rows->end(), [](const SocketRow& row) { return row.cookie == 0; }));
    const auto datagrams = table.list(Transport::udp, all);
    ASSERT_TRUE(datagrams);
    EXPECT_EQ(datagrams->size(), 1U);

    const std::uint16_t port = rows->front().local.port;
    const auto on_port = table.list(Transport::tcp, std::span(&port, 1));
    ASSERT_TRUE(on_port);
    EXPECT_FALSE(on_port->empty());
    EXPECT_LT(on_port->size(), rows->size());
    for (const SocketRow& row : *on_port) EXPECT_EQ(row.local.port, port);

    const auto closing = table.list_closing();
    ASSERT_EQ(closing.size(), 1U);
    EXPECT_EQ(closing[0].state, SocketState::fin_wait1);
}

TEST_F(ProcNet, WithoutAnyFileThereIsNoTable) {
    test::TempFolder folder;
    ProcNetTable table(folder.path());
    EXPECT_FALSE(table.list(Transport::tcp, {}));
    EXPECT_TRUE(table.list_closing().empty());
}

}  // namespace
}  // namespace tracedump
