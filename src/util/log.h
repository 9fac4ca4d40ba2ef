// Diagnostics on stderr, by the debugging levels of the command line. Any thread may log: lines are built whole and
// handed to a queue of their own, which drops the oldest when stderr stalls, so that a tracee which reads our stderr
// can never stop the thread that traces it.
//
//   level 0  errors only                    (log_error)
//         1  warnings, start and summary    (log_warning, log_notice)
//         2  processes                      (log_process)
//         3  sockets and ports              (log_port)
//         4  filter, ring, gc               (log_engine)
//         5  each system call               (log_syscall)
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <string>
#include <utility>

namespace tracedump {

inline constexpr int kDefaultDebugLevel = 1;
inline constexpr int kMaxDebugLevel = 5;

/// Starts the log's thread; call once, with signals already blocked. Level 0..5.
void start_logging(int level);

/// Writes what is queued and ends the log's thread. Later lines are dropped.
void finish_logging();

namespace log_detail {
extern std::atomic<int> level;
void write(std::string line);

template <typename... Args>
void at(int line_level, fmt::format_string<Args...> format, Args&&... args) {
    if (line_level <= level.load(std::memory_order_relaxed)) write(fmt::format(format, std::forward<Args>(args)...));
}
}  // namespace log_detail

template <typename... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
    log_detail::at(0, format, std::forward<Args>(args)...);
}
template <typename... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
    log_detail::at(1, format, std::forward<Args>(args)...);
}
template <typename... Args>
void log_notice(fmt::format_string<Args...> format, Args&&... args) {
    log_detail::at(1, format, std::forward<Args>(args)...);
}
template <typename... Args>
void log_process(fmt::format_string<Args...> format, Args&&... args) {
    log_detail::at(2, format, std::forward<Args>(args)...);
}
template <typename... Args>
void log_port(fmt::format_string<Args...> format, Args&&... args) {
    log_detail::at(3, format, std::forward<Args>(args)...);
}
/// Whether log_port says anything, for lines that cost something to build.
inline bool logs_ports() { return log_detail::level.load(std::memory_order_relaxed) >= 3; }

template <typename... Args>
void log_engine(fmt::format_string<Args...> format, Args&&... args) {
    log_detail::at(4, format, std::forward<Args>(args)...);
}
template <typename... Args>
void log_syscall(fmt::format_string<Args...> format, Args&&... args) {
    log_detail::at(5, format, std::forward<Args>(args)...);
}

}  // namespace tracedump
