// A driver for fuzz targets where there is no libFuzzer: FUZZ_TARGET CORPUS SECONDS [SEED] runs every file
// of CORPUS and then mutations of them: flipped bits, numbers from the far ends, cuts, repeats and splices.
// An input that the target does not survive stays at crash-input in the working directory.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes current;  // what the target is given, for the handler

void keep_input() {
    std::ofstream("crash-input", std::ios::binary)
        .write(reinterpret_cast<const char*>(current.data()), std::streamsize(current.size()));
}

void on_signal(int signal) {
    keep_input();
    std::fprintf(stderr, "signal %d; the input is in crash-input\n", signal);
    std::_Exit(1);
}

std::vector<Bytes> read_corpus(const char* directory) {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    std::vector<Bytes> corpus;
    for (const auto& path : paths) {
        std::ifstream file(path, std::ios::binary);
        corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    return corpus;
}

class Mutator {
  public:
    Mutator(const std::vector<Bytes>& corpus, unsigned seed) : corpus_(corpus), random_(seed) {}

    Bytes next() {
        Bytes bytes = corpus_[below(corpus_.size())];
        for (std::size_t i = below(6) + 1; i > 0; --i) mutate(bytes);
        return bytes;
    }

  private:
    std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }

    void mutate(Bytes& bytes) {
        static constexpr std::uint8_t kTelling[] = {0, 1, 0x7f, 0x80, 0xff, '"', '{', '}', '-', '9'};
        const std::size_t at = below(bytes.size());
        if (bytes.empty()) {
            bytes.push_back(std::uint8_t(random_()));
            return;
        }
        switch (below(6)) {
            case 0:
                bytes[at] ^= std::uint8_t(1u << below(8));
                break;
            case 1:
                bytes[at] = kTelling[below(sizeof kTelling)];
                break;
            case 2:  // a number of up to eight bytes
                for (std::size_t i = 0, length = below(8) + 1, value = below(3);
                     i < length && at + i < bytes.size(); ++i) {
                    bytes[at + i] = value == 0 ? 0 : value == 1 ? 0xff : std::uint8_t(random_());
                }
                break;
            case 3:
                bytes.resize(at);
                break;
            case 4: {  // a piece again, elsewhere
                const Bytes piece(
                    bytes.begin() + std::ptrdiff_t(at),
                    bytes.begin() + std::ptrdiff_t(at + below(std::min<std::size_t>(64, bytes.size() - at))));
                bytes.insert(bytes.begin() + std::ptrdiff_t(below(bytes.size())), piece.begin(), piece.end());
                break;
            }
            default: {  // the end of another input
                const Bytes& other = corpus_[below(corpus_.size())];
                bytes.resize(at);
                bytes.insert(bytes.end(), other.begin() + std::ptrdiff_t(below(other.size())), other.end());
            }
        }
    }

    const std::vector<Bytes>& corpus_;
    std::mt19937_64 random_;
};

void run(Bytes input) {
    current = std::move(input);
    LLVMFuzzerTestOneInput(current.data(), current.size());
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3 || argc > 4) {
        std::fprintf(stderr, "usage: %s CORPUS SECONDS [SEED]\n", argv[0]);
        return 2;
    }
    for (const int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGBUS, SIGILL}) std::signal(signal, on_signal);
    std::set_terminate([] {
        keep_input();
        std::fprintf(stderr, "an exception escaped; the input is in crash-input\n");
        std::_Exit(1);
    });
    const auto corpus = read_corpus(argv[1]);
    if (corpus.empty()) return 2;
    for (const Bytes& input : corpus) run(input);

    Mutator mutator(corpus, argc == 4 ? unsigned(std::atoi(argv[3])) : 1u);
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(std::atof(argv[2]));
    std::size_t num_runs = corpus.size();
    for (; std::chrono::steady_clock::now() < end; ++num_runs) run(mutator.next());
    std::printf("%zu inputs survived\n", num_runs);
    return 0;
}
