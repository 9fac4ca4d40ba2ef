// The capture file on a real file system, full or not.
#include "writer/output_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>

#include "helpers.h"
#include "util/error.h"

namespace tracedump {
namespace {

constexpr auto kNoHaste = ByteSink::Haste::none;
constexpr auto kMustGo = ByteSink::Rest::must_go;

std::span<const std::uint8_t> bytes(const std::string& text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

TEST(OutputFile, IsCreatedWithTheModeThatTheUmaskLeaves) {
    test::TempFolder folder;
    const mode_t old = umask(022);
    OutputFile file(folder.path("new"));
    file.clear();
    umask(old);
    struct stat status {};
    ASSERT_EQ(stat(folder.path("new").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0644U);
    EXPECT_EQ(status.st_size, 0);
}

TEST(OutputFile, ReplacesWhatWasThere) {
    test::TempFolder folder;
    folder.write("old", "something long");
    OutputFile file(folder.path("old"));
    file.clear();
    EXPECT_EQ(file.write(bytes("new"), kNoHaste, kMustGo).error, 0);
    EXPECT_EQ(folder.read("old"), "new");
}

TEST(OutputFile, LeavesEverythingAsItWasUntilItIsCleared) {
    test::TempFolder folder;
    folder.write("old", "something long");
    { const OutputFile file(folder.path("old")); }
    EXPECT_EQ(folder.read("old"), "something long");
    { const OutputFile file(folder.path("new")); }
    EXPECT_NE(access(folder.path("new").c_str(), F_OK), 0);
}

TEST(OutputFile, WritesAllOneAfterAnother) {
    test::TempFolder folder;
    OutputFile file(folder.path("f"));
    file.clear();
    const std::string large(3 << 20, 'x');
    EXPECT_EQ(file.write(bytes("head"), kNoHaste, kMustGo).written, 4U);
    const auto outcome = file.write(bytes(large), kNoHaste, kMustGo);
    EXPECT_EQ(outcome.written, large.size());
    EXPECT_EQ(outcome.error, 0);
    EXPECT_EQ(folder.read("f"), "head" + large);
}

TEST(OutputFile, WritesLargeAndSmallPiecesInHasteOrNot) {
    test::TempFolder disk;
    // Another file system, which may know other ways to write.
    const std::string memory = "/dev/shm/tracedump-output-file-test";
    for (const std::string& path : {disk.path("f"), memory}) {
        if (path == memory && access("/dev/shm", W_OK) != 0) continue;
        OutputFile file(path);
        file.clear();
        std::string all;
        for (const std::size_t size : {1U << 20, 100U, (1U << 20) + 1, 3U, 300'000U}) {
            for (const auto haste : {ByteSink::Haste::none, ByteSink::Haste::behind}) {
                const std::string piece(size, static_cast<char>('a' + all.size() % 26));
                EXPECT_EQ(file.write(bytes(piece), haste, kMustGo).written, size);
                all += piece;
            }
        }
        std::ifstream stream(path);
        EXPECT_TRUE(std::string(std::istreambuf_iterator<char>(stream), {}) == all) << path;
    }
    unlink(memory.c_str());
}

TEST(OutputFile, APieceThatLiesAsInTheFileMayLackItsEnd) {
    test::TempFolder folder;
    OutputFile file(folder.path("f"));
    file.clear();
    alignas(ByteSink::kUnit) static std::uint8_t memory[1 << 20];
    for (std::size_t i = 0; i < sizeof memory; ++i) memory[i] = static_cast<std::uint8_t>(i * 31 >> 4);
    std::string all("head");
    file.write(bytes(all), kNoHaste, kMustGo);
    std::size_t done = file.place_in_unit();
    EXPECT_EQ(done, 4U);
    for (const std::size_t end : {300'001UL, 700'002UL, sizeof memory - 1}) {
        const std::span piece(memory + done, end - done);
        const auto outcome = file.write(piece, kNoHaste, ByteSink::Rest::may_wait);
        EXPECT_EQ(outcome.error, 0);
        EXPECT_LT(piece.size() - outcome.written, ByteSink::kUnit);
        done += outcome.written;
        EXPECT_EQ(file.place_in_unit(), done % ByteSink::kUnit);
    }
    EXPECT_EQ(file.write(std::span(memory).subspan(done), kNoHaste, kMustGo).written, sizeof memory - done);
    all.append(reinterpret_cast<const char*>(memory) + 4, sizeof memory - 4);
    EXPECT_TRUE(folder.read("f") == all);
}

TEST(OutputFile, TakesBackTheLastBytesAndGoesOnFromThere) {
    test::TempFolder folder;
    OutputFile file(folder.path("f"));
    file.clear();
    file.write(bytes("0123456789"), kNoHaste, kMustGo);
    file.take_back(0);
    EXPECT_EQ(folder.read("f"), "0123456789");
    file.take_back(4);
    EXPECT_EQ(folder.read("f"), "012345");
    file.write(bytes("ab"), kNoHaste, kMustGo);
    EXPECT_EQ(folder.read("f"), "012345ab");
    file.take_back(8);
    EXPECT_EQ(folder.read("f"), "");
}

TEST(OutputFile, TakesBackNoMoreThanIsThere) {
    test::TempFolder folder;
    OutputFile file(folder.path("f"));
    file.clear();
    file.write(bytes("0123"), kNoHaste, kMustGo);
    file.take_back(5);
    EXPECT_EQ(folder.read("f"), "0123");
}

TEST(OutputFile, TellsHowFarAWriteCame) {
    test::TempFolder folder;
    OutputFile file(folder.path("f"));
    file.clear();
    // A limit to the size of files stands for a full disk.
    rlimit old{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
    const rlimit limit{1000, old.rlim_max};
    const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const auto outcome = file.write(bytes(std::string(1500, 'x')), kNoHaste, kMustGo);
    setrlimit(RLIMIT_FSIZE, &old);
    std::signal(SIGXFSZ, old_handler);
    EXPECT_EQ(outcome.written, 1000U);
    EXPECT_EQ(outcome.error, EFBIG);
}

TEST(OutputFile, AFullDeviceIsTold) {
    if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full";
    OutputFile file("/dev/full");
    file.clear();
    const auto outcome = file.write(bytes("x"), kNoHaste, kMustGo);
    EXPECT_EQ(outcome.written, 0U);
    EXPECT_EQ(outcome.error, ENOSPC);
    file.take_back(0);  // harmless
}

TEST(OutputFile, RefusesAPathThatCannotBeOpened) {
    test::TempFolder folder;
    try {
        const OutputFile file(folder.path("no/such/folder"));
        FAIL() << "no error";
    } catch (const Error& error) {
        const std::string text = error.what();
        EXPECT_NE(text.find("no/such/folder"), std::string::npos) << text;
        EXPECT_NE(text.find("no such file or directory"), std::string::npos) << text;
    }
    EXPECT_THROW(OutputFile(folder.path()), Error);  // a folder
}

TEST(OutputFile, DashIsStandardOutput) {
    test::TempFolder folder;
    folder.write("out", "");
    const UniqueFd saved(dup(STDOUT_FILENO));
    const UniqueFd target(open(folder.path("out").c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_TRUE(saved && target);
    fflush(stdout);
    dup2(target.get(), STDOUT_FILENO);
    {
        OutputFile file("-");
        file.clear();
        file.write(bytes("packets"), kNoHaste, kMustGo);
        file.take_back(2);
    }
    const bool still_open = fcntl(STDOUT_FILENO, F_GETFD) >= 0;
    dup2(saved.get(), STDOUT_FILENO);
    EXPECT_TRUE(still_open);
    EXPECT_EQ(folder.read("out"), "packe");
}

}  // namespace
}  // namespace tracedump
