#include "monitor/launch.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "monitor/ptrace_calls.h"
#include "monitor/seccomp_filter.h"
#include "util/error.h"
#include "util/procfs.h"

namespace tracedump {

namespace {

struct Pipe {
    UniqueFd read_end;
    UniqueFd write_end;
};

Pipe open_pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw_errno(errno, "cannot create a pipe");
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> array;
    for (std::string& string : strings) array.push_back(string.data());
    array.push_back(nullptr);
    return array;
}

std::vector<std::string> environment(const std::optional<UserIdentity>& user) {
    std::vector<std::string> variables;
    const auto is = [](const char* variable, const char* name) {
        const std::size_t length = std::strlen(name);
        return std::strncmp(variable, name, length) == 0 && variable[length] == '=';
    };
    for (char** variable = environ; *variable != nullptr; ++variable)
        if (!user || !(is(*variable, "HOME") || is(*variable, "USER") || is(*variable, "LOGNAME")))
            variables.emplace_back(*variable);
    if (user) {
        variables.push_back("HOME=" + user->home);
        variables.push_back("USER=" + user->name);
        variables.push_back("LOGNAME=" + user->name);
    }
    return variables;
}

/// All that the child needs, made before the fork: from then on it may not allocate (signal-safety(7)).
struct ChildPlan {
    const LaunchPlan& launch;
    char** argv;
    char** envp;
    const std::vector<sock_filter>& filter;
    int go;      // a byte arrives when we are seized
    int report;  // takes the errno of what failed
};

int become_command(const ChildPlan& plan) {
    if (plan.launch.stdout_to_stderr && dup2(STDERR_FILENO, STDOUT_FILENO) < 0) return errno;
    const auto& user = plan.launch.user;
    if (user && (setgroups(user->groups.size(), user->groups.data()) != 0 || setregid(user->gid, user->gid) != 0))
        return errno;
    // Before the uid, which takes CAP_SYS_ADMIN with it, and thereby the filter without no_new_privs.
    if (plan.launch.seccomp)
        if (const int error = install_seccomp_filter(plan.filter)) return error;
    if (user && setreuid(user->uid, user->uid) != 0) return errno;
    plan.launch.signals.restore();
    execvpe(plan.argv[0], plan.argv, plan.envp);  // as a shell does: PATH, and sh for a script without #!
    return errno;
}

[[noreturn]] void run_child(const ChildPlan& plan) {
    char byte = 0;
    if (read(plan.go, &byte, 1) != 1) _exit(1);  // tracedump is gone, or could not seize us
    const int error = become_command(plan);
    [[maybe_unused]] const auto n = write(plan.report, &error, sizeof error);
    _exit(exit_status_of_exec_error(error));
}

/// What the command has inherited is its own from here on: a socket that it closes is to be closed, a pipe's reader
/// that ends to be gone. Descriptors of ours are closed on exec; what is not was there before us. Warnings still need
/// standard error.
void let_go_of_inherited_descriptors() {
    const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int fd : ProcFs().open_descriptors(getpid())) {
        const int flags = fcntl(fd, F_GETFD);
        if (fd == STDERR_FILENO || flags < 0 || (flags & FD_CLOEXEC) != 0) continue;
        if (fd > STDERR_FILENO)
            close(fd);
        else if (null)
            dup3(null.get(), fd, O_CLOEXEC);
    }
}

}  // namespace

UserIdentity look_up_user(const std::string& name) {
    const passwd* entry = getpwnam(name.c_str());
    if (entry == nullptr) throw Error(fmt::format("there is no user {}", name));
    UserIdentity user{name, entry->pw_dir, entry->pw_uid, entry->pw_gid, {}};
    int count = 64;
    user.groups.resize(static_cast<std::size_t>(count));
    if (getgrouplist(name.c_str(), user.gid, user.groups.data(), &count) < 0) {
        user.groups.resize(static_cast<std::size_t>(count));
        getgrouplist(name.c_str(), user.gid, user.groups.data(), &count);
    }
    user.groups.resize(static_cast<std::size_t>(count));
    return user;
}

Launched launch(const LaunchPlan& plan, long ptrace_options, const std::function<void(pid_t)>& before_start) {
    auto words = plan.command;
    auto variables = environment(plan.user);
    const auto argv = pointers(words);
    const auto envp = pointers(variables);
    const auto filter = plan.seccomp ? build_seccomp_filter() : std::vector<sock_filter>();
    Pipe go = open_pipe();
    Pipe report = open_pipe();

    const pid_t child = fork();
    if (child < 0) throw_errno(errno, "cannot fork");
    if (child == 0) {
        go.write_end.reset();  // so that read() sees our end if tracedump dies
        run_child({plan, const_cast<char**>(argv.data()), const_cast<char**>(envp.data()), filter, go.read_end.get(),
                   report.write_end.get()});
    }
    if (const int error = ptrace_calls::seize(child, ptrace_options)) {
        go.write_end.reset();
        waitpid(child, nullptr, 0);
        throw_errno(error, error == EPERM
                               ? "cannot trace the command (it may take CAP_SYS_PTRACE, or we are traced ourselves)"
                               : "cannot trace the command");
    }
    let_go_of_inherited_descriptors();
    if (before_start) before_start(child);
    [[maybe_unused]] const auto n = write(go.write_end.get(), "", 1);
    return {child, std::move(report.read_end)};
}

int read_exec_error(const UniqueFd& exec_error) {
    int error = 0;
    // The writer is gone, so this does not block: the command has ended, or exec has closed its end.
    return read(exec_error.get(), &error, sizeof error) == sizeof error ? error : 0;
}

int exit_status_of_exec_error(int error) { return error == ENOENT || error == ENOTDIR ? 127 : 126; }

}  // namespace tracedump
