// What the kernel makes of a condition on ports, told by a run of its own rules over it.
#include "gc/port_condition.h"

#include <gtest/gtest.h>
#include <linux/inet_diag.h>

#include <algorithm>
#include <cstring>
#include <set>

namespace tracedump {
namespace {

using Ports = std::vector<std::uint16_t>;

inet_diag_bc_op op_at(const std::vector<std::uint8_t>& code, std::size_t at) {
    inet_diag_bc_op op;
    std::memcpy(&op, code.data() + at, sizeof op);
    return op;
}

/// Runs it as inet_diag_bc_run does, and fails where the kernel would not have taken it.
bool accepts(const std::vector<std::uint8_t>& code, std::uint16_t port) {
    std::size_t at = 0;
    while (at < code.size()) {
        const auto op = op_at(code, at);
        bool yes = false;
        switch (op.code) {
            case INET_DIAG_BC_S_GE:
                yes = port >= op_at(code, at + sizeof op).no;
                break;
            case INET_DIAG_BC_S_LE:
                yes = port <= op_at(code, at + sizeof op).no;
                break;
            case INET_DIAG_BC_JMP:
                break;
            default:
                ADD_FAILURE() << "operation " << int{op.code};
                return false;
        }
        const std::size_t step = yes ? op.yes : op.no;
        EXPECT_TRUE(step >= sizeof op && step % sizeof op == 0) << step;
        if (step < sizeof op) return false;
        at += step;
    }
    return at == code.size();
}

void expect_exactly(const Ports& ports) {
    const auto code = port_condition(ports);
    for (unsigned port = 0; port <= 65535; ++port)
        ASSERT_EQ(accepts(code, static_cast<std::uint16_t>(port)),
                  std::binary_search(ports.begin(), ports.end(), static_cast<std::uint16_t>(port)))
            << port;
}

TEST(PortCondition, AcceptsItsPortsAndNoOther) {
    expect_exactly({80});
    expect_exactly({0});
    expect_exactly({65535});
    expect_exactly({80, 443, 8080});
    expect_exactly({1, 2, 3, 4});
    expect_exactly({0, 1, 7, 8, 9, 100, 65534, 65535});
}

TEST(PortCondition, IsExactUpToTheMostRanges) {
    Ports ports;
    for (std::size_t i = 0; i < kMaxPortRanges; ++i) ports.push_back(static_cast<std::uint16_t>(1000 + 3 * i));
    expect_exactly(ports);
}

TEST(PortCondition, BeyondThatTheSmallestGapsAreAcceptedToo) {
    Ports ports;
    for (std::size_t i = 0; i < kMaxPortRanges; ++i) ports.push_back(static_cast<std::uint16_t>(1000 + 100 * i));
    ports.insert(ports.begin() + 1, 1002);
    const auto code = port_condition(ports);
    std::set<unsigned> more;
    for (unsigned port = 0; port <= 65535; ++port) {
        const auto number = static_cast<std::uint16_t>(port);
        const bool wanted = std::binary_search(ports.begin(), ports.end(), number);
        const bool accepted = accepts(code, number);
        ASSERT_TRUE(accepted || !wanted) << port;
        if (accepted && !wanted) more.insert(port);
    }
    EXPECT_EQ(more, std::set<unsigned>{1001});
}

TEST(PortCondition, AnyNumberOfPortsFits) {
    Ports ports;
    for (unsigned port = 1; port <= 65535; port += 2) ports.push_back(static_cast<std::uint16_t>(port));
    const auto code = port_condition(ports);
    EXPECT_LT(code.size(), 65536U - 4);
    for (const std::uint16_t port : ports) ASSERT_TRUE(accepts(code, port));
}

}  // namespace
}  // namespace tracedump
