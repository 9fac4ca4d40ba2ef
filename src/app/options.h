// The command line, parsed by CLI11. Main thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "util/log.h"

namespace tracedump {

/// How packets are filtered in the kernel: see capture/filter_engine.h. `automatic`: eBPF where the kernel allows it.
enum class FilterChoice : std::uint8_t { automatic, ebpf, classic };

/// How the application's sockets become known: by hooks in the kernel, or by stops at its system calls.
/// `automatic`: by hooks where they can be had.
enum class SensorChoice : std::uint8_t { automatic, bpf, ptrace };

/// Of the capture file.
enum class FormatChoice : std::uint8_t { pcap, pcapng };

struct Options {
    std::string file = "./dump.pcap";  // "-": standard output
    FormatChoice format = FormatChoice::pcap;
    std::uint32_t snaplen = 0;       // bytes; 0: all
    int debug = kDefaultDebugLevel;  // 0..kMaxDebugLevel
    std::optional<std::string> user;
    std::size_t buffer_mebibytes = 64;
    bool seccomp = true;
    FilterChoice filter = FilterChoice::automatic;
    SensorChoice sensor = SensorChoice::automatic;
    bool icmp = false;  // ICMP errors about the application's packets too
    // One of the two is empty.
    std::vector<pid_t> pids;
    std::vector<std::string> command;
};

/// What the command line asks for: a run, or a text (help, version, what is wrong with it) and a status.
struct CommandLine {
    std::optional<Options> options;
    std::string text;
    int status = 0;
};

CommandLine parse_command_line(int argc, const char* const* argv);

}  // namespace tracedump
