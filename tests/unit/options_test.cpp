// Command lines and what they ask for.
#include "app/options.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace tracedump {
namespace {

CommandLine parse(std::vector<const char*> words) {
    words.insert(words.begin(), "tracedump");
    return parse_command_line(static_cast<int>(words.size()), words.data());
}

Options accepted(const std::vector<const char*>& words) {
    const auto line = parse(words);
    EXPECT_TRUE(line.options) << line.text;
    EXPECT_EQ(line.status, 0);
    EXPECT_EQ(line.text, "");
    return line.options.value_or(Options());
}

void expect_refused(const std::vector<const char*>& words) {
    std::string shown;
    for (const char* word : words) shown += std::string(word) + " ";
    const auto line = parse(words);
    EXPECT_FALSE(line.options) << shown;
    EXPECT_EQ(line.status, 1) << shown;
    EXPECT_TRUE(line.text.starts_with("tracedump: ")) << shown << "\n" << line.text;
    EXPECT_EQ(std::count(line.text.begin(), line.text.end(), '\n'), 1) << shown << "\n" << line.text;
    EXPECT_TRUE(line.text.ends_with('\n')) << shown;
}

using Words = std::vector<std::string>;
using Pids = std::vector<pid_t>;

TEST(Options, DefaultsAreThoseOfTheHelp) {
    const auto options = accepted({"ls"});
    EXPECT_EQ(options.file, "./dump.pcap");
    EXPECT_EQ(options.snaplen, 0U);
    EXPECT_EQ(options.debug, 1);
    EXPECT_FALSE(options.user);
    EXPECT_EQ(options.buffer_mebibytes, 64U);
    EXPECT_TRUE(options.seccomp);
    EXPECT_FALSE(options.icmp);
    EXPECT_TRUE(options.pids.empty());
    EXPECT_EQ(options.command, (Words{"ls"}));
}

TEST(Options, EveryOptionIsTaken) {
    const auto options = accepted({"-w", "x.pcap", "-s", "96", "-u", "nobody", "--buffer-size=8", "--no-seccomp",
                                   "--icmp", "--debug=3", "--", "curl", "-s"});
    EXPECT_EQ(options.file, "x.pcap");
    EXPECT_EQ(options.snaplen, 96U);
    EXPECT_EQ(options.user, "nobody");
    EXPECT_EQ(options.buffer_mebibytes, 8U);
    EXPECT_FALSE(options.seccomp);
    EXPECT_TRUE(options.icmp);
    EXPECT_EQ(options.debug, 3);
    EXPECT_EQ(options.command, (Words{"curl", "-s"}));
}

TEST(Options, ValuesMayStandInTheSameWordOrTheNext) {
    for (const auto& words :
         std::vector<std::vector<const char*>>{{"-wx", "-s96", "--debug=2", "--buffer-size=3", "ls"},
                                               {"-w", "x", "-s", "96", "--debug", "2", "--buffer-size", "3", "ls"}}) {
        const auto options = accepted(words);
        EXPECT_EQ(options.file, "x");
        EXPECT_EQ(options.snaplen, 96U);
        EXPECT_EQ(options.debug, 2);
        EXPECT_EQ(options.buffer_mebibytes, 3U);
        EXPECT_EQ(options.command, (Words{"ls"}));
    }
}

TEST(Options, VerboseIsTheHighestLevel) {
    EXPECT_EQ(accepted({"-V", "ls"}).debug, 5);
    EXPECT_EQ(accepted({"--verbose", "ls"}).debug, 5);
    EXPECT_EQ(accepted({"--debug=0", "ls"}).debug, 0);
}

TEST(Options, DashIsAFileName) { EXPECT_EQ(accepted({"-w", "-", "ls"}).file, "-"); }

TEST(Options, NumbersAreProcesses) {
    EXPECT_EQ(accepted({"17"}).pids, (Pids{17}));
    EXPECT_TRUE(accepted({"17"}).command.empty());
    EXPECT_EQ(accepted({"-s", "64", "17", "18", "19"}).pids, (Pids{17, 18, 19}));
}

TEST(Options, ANumberAfterDashesIsACommand) {
    const auto options = accepted({"--", "17", "18"});
    EXPECT_EQ(options.command, (Words{"17", "18"}));
    EXPECT_TRUE(options.pids.empty());
}

TEST(Options, ANumberWithLettersIsACommand) {
    EXPECT_EQ(accepted({"7z", "x"}).command, (Words{"7z", "x"}));
    EXPECT_EQ(accepted({"./17"}).command, (Words{"./17"}));
}

TEST(Options, ProcessesAndWordsDoNotMix) {
    expect_refused({"17", "ls"});
    expect_refused({"17", "-w", "x"});
    expect_refused({"17", "0"});
    expect_refused({"0"});
    expect_refused({"99999999999999"});
}

TEST(Options, OptionsAfterTheCommandAreTheCommands) {
    const auto options = accepted({"-s", "64", "curl", "-s", "-w", "x", "--help", "--", "-V"});
    EXPECT_EQ(options.command, (Words{"curl", "-s", "-w", "x", "--help", "--", "-V"}));
    EXPECT_EQ(options.snaplen, 64U);
    EXPECT_EQ(options.file, "./dump.pcap");
    EXPECT_EQ(options.debug, 1);
}

TEST(Options, OnlyTheFirstDashesAreOurs) {
    EXPECT_EQ(accepted({"--", "--", "x"}).command, (Words{"--", "x"}));
    EXPECT_EQ(accepted({"--", "-x"}).command, (Words{"-x"}));
}

TEST(Options, AnEmptyArgumentOfTheCommandStays) {
    EXPECT_EQ(accepted({"echo", "", "a b"}).command, (Words{"echo", "", "a b"}));
}

TEST(Options, TheDefaultFileIsNamedAfterItsFormat) {
    EXPECT_EQ(accepted({"ls"}).format, FormatChoice::pcap);
    EXPECT_EQ(accepted({"--format=pcapng", "ls"}).format, FormatChoice::pcapng);
    EXPECT_EQ(accepted({"--format=pcapng", "ls"}).file, "./dump.pcapng");
    EXPECT_EQ(accepted({"--format=pcapng", "-w", "./dump.pcap", "ls"}).file, "./dump.pcap");
    EXPECT_EQ(accepted({"--format", "pcap", "ls"}).file, "./dump.pcap");
    expect_refused({"--format=pcapng2", "ls"});
    expect_refused({"--format=", "ls"});
}

TEST(Options, BadValuesAreRefused) {
    expect_refused({"-s", "-1", "ls"});
    expect_refused({"-s", "262145", "ls"});
    expect_refused({"-s", "many", "ls"});
    expect_refused({"-s", "99999999999999999999", "ls"});
    expect_refused({"--debug=6", "ls"});
    expect_refused({"--debug=-1", "ls"});
    expect_refused({"--debug=x", "ls"});
    expect_refused({"--buffer-size=0", "ls"});
    expect_refused({"--buffer-size=4096", "ls"});
    expect_refused({"--buffer-size=x", "ls"});
    expect_refused({"--no-such-option", "ls"});
    expect_refused({"-x", "ls"});
    expect_refused({"-w"});
    expect_refused({"-s"});
}

TEST(Options, TheLargestSnaplenIsAccepted) { EXPECT_EQ(accepted({"-s", "262144", "ls"}).snaplen, 262144U); }

TEST(Options, WithoutATargetThereIsNothingToDo) {
    expect_refused({});
    expect_refused({"--"});
    expect_refused({"-V"});
}

TEST(Options, AUserIsForCommandsOnly) { expect_refused({"-u", "nobody", "17"}); }

TEST(Options, HelpFitsAScreenAndHasTwoExamples) {
    for (const auto& words : std::vector<std::vector<const char*>>{{"--help"}, {"-h"}, {"-V", "--help", "ls"}}) {
        const auto line = parse(words);
        EXPECT_FALSE(line.options);
        EXPECT_EQ(line.status, 0);
        std::istringstream text(line.text);
        int lines = 0, examples = 0;
        bool in_examples = false;
        for (std::string row; std::getline(text, row); ++lines) {
            EXPECT_LE(row.size(), 80U) << row;
            examples += in_examples && row.find("tracedump") != std::string::npos;
            in_examples |= row.starts_with("Examples");
        }
        EXPECT_LE(lines, 24);
        EXPECT_EQ(examples, 2);
        EXPECT_TRUE(line.text.ends_with('\n'));
    }
}

TEST(Options, VersionNamesTheProgramAndItsLicense) {
    for (const char* word : {"--version", "-v"}) {
        const auto line = parse({word});
        EXPECT_FALSE(line.options);
        EXPECT_EQ(line.status, 0);
        EXPECT_TRUE(line.text.starts_with("tracedump ")) << line.text;
        EXPECT_NE(line.text.find("GPL"), std::string::npos);
    }
}

}  // namespace
}  // namespace tracedump
