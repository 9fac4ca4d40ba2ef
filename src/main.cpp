// tracedump: writes the packets of one application into a capture file.
#include <cstdio>
#include <string>

#include <fmt/core.h>

#include "app/options.h"
#include "app/session.h"
#include "util/error.h"
#include "util/log.h"
#include "util/signals.h"

namespace {

using namespace tracedump;

SessionResult capture(const Options& options, const InheritedSignals& signals) {
    try {
        Session session(options, signals);
        return session.run();
    } catch (const Error& error) {
        return {kOwnError, 0, error.what(), {}};
    }
}

/// To somebody who may have left: fmt::print would throw.
void say(std::FILE* stream, const std::string& text) { std::fputs(text.c_str(), stream); }

}  // namespace

int main(int argc, char** argv) {
    const CommandLine command_line = parse_command_line(argc, argv);
    if (!command_line.options) {
        say(command_line.status == kSuccess ? stdout : stderr, command_line.text);
        return command_line.status;
    }
    const Options& options = *command_line.options;

    const auto signals = InheritedSignals::take_over();  // from here on, no signal ends us unseen
    start_logging(options.debug);
    const SessionResult result = capture(options, signals);
    finish_logging();

    if (options.debug > 0) say(stderr, result.summary);
    if (!result.error.empty()) say(stderr, fmt::format("tracedump: {}\n", result.error));
    std::fflush(nullptr);
    if (result.death_signal != 0) die_by(result.death_signal);
    return result.status;
}
