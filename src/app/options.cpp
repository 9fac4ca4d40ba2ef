#include "app/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <ranges>

#include "app/exit_status.h"
#include "writer/encoder.h"

namespace tracedump {

namespace {

constexpr const char* kUsage = R"(tracedump: tcpdump for one application
Usage: tracedump [OPTIONS] PID...
       tracedump [OPTIONS] [--] COMMAND [ARG...]

  -w FILE              write the packets to FILE [./dump.pcap]; - is standard
                       output, and the command's own goes to standard error
  --format=FORMAT      of the file: pcap, or pcapng [pcap]
  -s SNAPLEN           keep at most SNAPLEN bytes of each packet; 0 is all [0]
  -u USER              run the command as USER
  --icmp               keep ICMP errors that quote the command's packets, too
  --buffer-size=MIB    size of the capture ring [64]
  --filter=ENGINE      the kernel's packet filter: ebpf, classic or auto [auto]
  --sensor=SENSOR      learn of sockets by hooks in the kernel: bpf; by stops at
                       system calls: ptrace; auto, bpf where allowed [auto]
  --no-seccomp         leave the command running when the capture ends; the
                       ptrace sensor then stops it at every system call
  --debug=N, -V        0 quiet ... 5 every system call and port [1]; -V is 5
  -h, --help           this text
  -v, --version        version and copying information

Examples:
  tracedump -w curl.pcap -- curl -s http://example.org/
  tracedump -w web.pcap $(pidof nginx)
)";

constexpr const char* kVersion = "tracedump " TRACEDUMP_VERSION R"(
License GPLv3+: GNU GPL version 3 or later <https://gnu.org/licenses/gpl.html>.
This is free software: you are free to change and redistribute it.
There is NO WARRANTY, to the extent permitted by law.
)";

constexpr std::size_t kMaxBufferMebibytes = 4095;  // tpacket_req3 counts bytes in 32 bits in places (packet(7))

const std::map<std::string, FilterChoice> kFilterChoices{
    {"auto", FilterChoice::automatic}, {"ebpf", FilterChoice::ebpf}, {"classic", FilterChoice::classic}};

const std::map<std::string, SensorChoice> kSensorChoices{
    {"auto", SensorChoice::automatic}, {"bpf", SensorChoice::bpf}, {"ptrace", SensorChoice::ptrace}};

const std::map<std::string, FormatChoice> kFormatChoices{{"pcap", FormatChoice::pcap},
                                                         {"pcapng", FormatChoice::pcapng}};

/// As CLI::CheckedTransformer, with a message for people.
template <typename Choice>
CLI::Validator one_of(const std::map<std::string, Choice>& choices) {
    return {[&choices](std::string& text) {
                const auto chosen = choices.find(text);
                if (chosen == choices.end())
                    return fmt::format("{} is none of {}", text, fmt::join(choices | std::views::keys, ", "));
                text = std::to_string(static_cast<int>(chosen->second));
                return std::string();
            },
            ""};
}

bool is_number(const std::string& text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

pid_t parse_pid(const std::string& text) {
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
    if (error != std::errc{} || end != text.data() + text.size() || pid <= 0)
        throw CLI::ValidationError(fmt::format("{} is no process id", text));
    return pid;
}

CommandLine refuse(const std::string& reason) {
    return {std::nullopt, fmt::format("tracedump: {} (tracedump --help tells more)\n", reason), kOwnError};
}

/// What follows the options: from the first word that is none, or after "--".
std::vector<std::string> split_off_target(std::vector<std::string>& words, const CLI::App& app, bool& after_dashes) {
    auto word = words.begin();
    while (word != words.end() && word->size() > 1 && word->front() == '-') {
        if (*word == "--") {
            after_dashes = true;
            word = words.erase(word);
            break;
        }
        // An option that takes a value has it in the same word (--debug=3, -s64) or in the next.
        const bool is_long = word->starts_with("--");
        const std::string name = is_long ? word->substr(0, word->find('=')) : word->substr(0, 2);
        const CLI::Option* option = app.get_option_no_throw(name);
        const bool value_inside = is_long ? word->find('=') != std::string::npos : word->size() > 2;
        const bool takes_value = option != nullptr && option->get_items_expected_max() > 0;
        ++word;
        if (takes_value && !value_inside && word != words.end()) ++word;
    }
    std::vector<std::string> target(word, words.end());
    words.erase(word, words.end());
    return target;
}

}  // namespace

CommandLine parse_command_line(int argc, const char* const* argv) {
    Options options;
    std::int64_t snaplen = 0;
    bool help = false, version = false, verbose = false, no_seccomp = false;

    CLI::App app;
    app.set_help_flag();  // ours fits a screen
    app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    const CLI::Option* file = app.add_option("-w", options.file);
    app.add_option("--format", options.format)->transform(one_of(kFormatChoices));
    app.add_option("-s", snaplen);
    app.add_option("-u", options.user);
    app.add_option("--buffer-size", options.buffer_mebibytes)->check(CLI::Range(std::size_t{1}, kMaxBufferMebibytes));
    app.add_option("--debug", options.debug)->check(CLI::Range(0, kMaxDebugLevel));
    app.add_option("--filter", options.filter)->transform(one_of(kFilterChoices));
    app.add_option("--sensor", options.sensor)->transform(one_of(kSensorChoices));
    app.add_flag("--icmp", options.icmp);
    app.add_flag("--no-seccomp", no_seccomp);
    app.add_flag("-V,--verbose", verbose);
    app.add_flag("-h,--help", help);
    app.add_flag("-v,--version", version);

    std::vector<std::string> words(argv + 1, argv + argc);
    bool after_dashes = false;
    const auto target = split_off_target(words, app, after_dashes);
    try {
        std::reverse(words.begin(), words.end());  // CLI11 takes them from the back
        app.parse(words);
        if (help) return {std::nullopt, kUsage, 0};
        if (version) return {std::nullopt, kVersion, 0};
        if (file->empty() && options.format == FormatChoice::pcapng) options.file = "./dump.pcapng";
        if (options.file.empty()) return refuse("-w needs the name of a file");
        if (target.empty()) return refuse("name a command, or the ids of processes");
        if (!after_dashes && is_number(target.front()))
            std::transform(target.begin(), target.end(), std::back_inserter(options.pids), parse_pid);
        else
            options.command = target;
    } catch (const CLI::ParseError& error) {
        return refuse(error.what());
    }
    if (snaplen < 0 || snaplen > kMaxSnaplen)
        return refuse(fmt::format("-s {}: a snapshot length is 0 (all) to {} bytes", snaplen, kMaxSnaplen));
    options.snaplen = static_cast<std::uint32_t>(snaplen);
    options.seccomp = !no_seccomp;
    if (verbose) options.debug = kMaxDebugLevel;
    if (options.sensor == SensorChoice::bpf && options.filter == FilterChoice::classic)
        return refuse("--sensor=bpf takes --filter=ebpf: its hooks write into the table that this filter reads");
    if (options.user && options.command.empty()) return refuse("-u is for commands; processes keep their user");
    return {std::move(options), {}, 0};
}

}  // namespace tracedump
