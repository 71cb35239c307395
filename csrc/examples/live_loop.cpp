// live_loop BUNDLE WIDTH HEIGHT [RESOLUTION]: frames in, meshes out, latency printed.
//
// Frames are raw RGB on the standard input, as a camera or a film gives them through
//
//     ffmpeg -i SOURCE -vf scale=640:480 -f rawvideo -pix_fmt rgb24 - | live_loop compact 640 480 128
//
// One thread reads; the loop always takes the newest frame, so that latency does not grow when frames come
// faster than they are reconstructed. The reconstructor is made once.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "jiff/jiff.hpp"

namespace {

using Clock = std::chrono::steady_clock;

struct Frame {
    std::vector<std::uint8_t> rgb;
    Clock::time_point captured;
    int number = 0;
};

// Holds the newest frame for one taker.
class NewestFrame {
  public:
    void put(Frame frame) {
        const std::lock_guard<std::mutex> lock(mutex_);
        frame_ = std::move(frame);
        changed_.notify_one();
    }
    void close() {
        const std::lock_guard<std::mutex> lock(mutex_);
        closed_ = true;
        changed_.notify_one();
    }
    // Waits for a frame; nothing after the last one.
    std::optional<Frame> take() {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [&] { return frame_ || closed_; });
        return std::exchange(frame_, std::nullopt);
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<Frame> frame_;
    bool closed_ = false;
};

void read_frames(std::size_t frame_bytes, NewestFrame& newest) {
    for (int number = 1;; ++number) {
        Frame frame;
        frame.rgb.resize(frame_bytes);
        if (std::fread(frame.rgb.data(), 1, frame_bytes, stdin) != frame_bytes) break;
        frame.captured = Clock::now();
        frame.number = number;
        newest.put(std::move(frame));
    }
    newest.close();
}

void reconstruct_frames(const jiff::Reconstructor& reconstructor, int width_px, int height_px, int resolution,
                        NewestFrame& newest) {
    jiff::ReconstructOptions options;
    options.resolution = resolution;
    std::vector<double> latencies_ms;
    while (auto frame = newest.take()) {
        const jiff::Span<const std::uint8_t> bytes(frame->rgb.data(), frame->rgb.size());
        const jiff::Image image(bytes, width_px, height_px, jiff::PixelFormat::kRgb);
        // A frame without a person is no failure of the loop: asked without exceptions.
        const auto person = reconstructor.try_reconstruct(image, options);
        if (!person) {
            std::printf("frame %d: %s\n", frame->number, person.message().c_str());
            continue;
        }
        latencies_ms.push_back(
            std::chrono::duration<double, std::milli>(Clock::now() - frame->captured).count());
        std::printf("frame %d: %.0f ms\n", frame->number, latencies_ms.back());
        std::fflush(stdout);
    }
    if (latencies_ms.empty()) return;
    std::sort(latencies_ms.begin(), latencies_ms.end());
    std::printf("%zu meshes, latency median %.0f ms, worst %.0f ms\n", latencies_ms.size(),
                latencies_ms[latencies_ms.size() / 2], latencies_ms.back());
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4 || argc > 5) {
        std::fprintf(stderr, "usage: %s BUNDLE WIDTH HEIGHT [RESOLUTION] < frames of raw RGB\n", argv[0]);
        return 2;
    }
    const int width_px = std::atoi(argv[2]), height_px = std::atoi(argv[3]);
    if (width_px < 1 || height_px < 1) {
        std::fprintf(stderr, "width and height must be positive, got %s and %s\n", argv[2], argv[3]);
        return 2;
    }
    try {
        const jiff::Reconstructor reconstructor(jiff::Bundle::open(argv[1]));
        NewestFrame newest;
        std::thread reader([&] { read_frames(std::size_t(width_px) * std::size_t(height_px) * 3, newest); });
        reconstruct_frames(reconstructor, width_px, height_px, argc == 5 ? std::atoi(argv[4]) : 128, newest);
        reader.join();
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
