// The error rule. An Error says what was tried, on what, and why it failed, in one line without the program's name.
// Deep code throws it (set-up) or reports it through the session's mailbox (running threads); only main prints it
// and picks the exit status. Failures that belong to the tracee's life (it died, it closed the socket) are no errors.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace tracedump {

class Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// The text of an errno value, as strerror(3) has it, safe from any thread and with its first letter in lower case.
std::string errno_text(int error);

/// Throws Error("<what>: <errno text>"). Pass errno at once: the next call may change it.
[[noreturn]] void throw_errno(int error, std::string_view what);

}  // namespace tracedump
