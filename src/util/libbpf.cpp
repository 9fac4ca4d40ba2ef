#include "util/libbpf.h"

#include <bpf/libbpf.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "util/log.h"

namespace tracedump {

namespace {

/// What the kernel's verifier says ends with what it minds; before that it tells its whole way.
constexpr std::size_t kLongest = 1000;

__attribute__((format(printf, 2, 0))) int to_log(libbpf_print_level level, const char* format, va_list arguments) {
    if (level == LIBBPF_DEBUG) return 0;
    char* line = nullptr;
    const int length = vasprintf(&line, format, arguments);
    if (length < 0) return length;
    std::string_view text(line);
    while (text.ends_with('\n')) text.remove_suffix(1);
    if (text.size() > kLongest) text.remove_prefix(text.size() - kLongest);
    log_engine("{}", text);
    std::free(line);
    return length;
}

}  // namespace

void quiet_libbpf() { libbpf_set_print(to_log); }

MemlockLimitKept::MemlockLimitKept() : known_(getrlimit(RLIMIT_MEMLOCK, &found_) == 0) {}

MemlockLimitKept::~MemlockLimitKept() {
    if (known_) setrlimit(RLIMIT_MEMLOCK, &found_);
}

}  // namespace tracedump
