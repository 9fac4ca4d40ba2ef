// The lines that end a capture, with one of each and with many.
#include "app/summary.h"

#include <gtest/gtest.h>

namespace tracedump {
namespace {

TEST(Summary, OneOfEachIsSingular) {
    EXPECT_EQ(final_lines({.captured = 1,
                           .received = 1,
                           .dropped = 1,
                           .unwritten = 1,
                           .undecided = 1,
                           .processes = 1,
                           .sockets = 1,
                           .ports = 1}),
              "1 packet captured\n"
              "1 packet received by filter\n"
              "1 packet dropped by kernel\n"
              "1 packet lost: the capture file could not take them\n"
              "1 packet lost: their owner did not become known in time\n"
              "1 process, 1 socket, 1 port traced\n");
}

TEST(Summary, SeveralArePlural) {
    EXPECT_EQ(final_lines({.captured = 2, .received = 30, .dropped = 4, .processes = 5, .sockets = 6, .ports = 7}),
              "2 packets captured\n"
              "30 packets received by filter\n"
              "4 packets dropped by kernel\n"
              "5 processes, 6 sockets, 7 ports traced\n");
}

TEST(Summary, NoneIsPluralAndLossesAreToldOnlyIfThereAreAny) {
    EXPECT_EQ(final_lines({}),
              "0 packets captured\n"
              "0 packets received by filter\n"
              "0 packets dropped by kernel\n"
              "0 processes, 0 sockets, 0 ports traced\n");
}

TEST(Summary, ProgressIsOneLine) {
    EXPECT_EQ(progress_line({.captured = 1, .received = 2, .living = 1}),
              "1 packet captured, 2 packets received by filter, 0 packets dropped by kernel, 1 socket open");
}

}  // namespace
}  // namespace tracedump
