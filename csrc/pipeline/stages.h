// The stages of one reconstruction: their names, their times, and their shares of the whole.
#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <utility>

#include "core/progress.h"

namespace jiff {

class Stages {
  public:
    Stages(const ProgressCallback& progress, std::map<std::string, double>& timings_ms)
        : progress_(progress), timings_ms_(timings_ms), begin_(Clock::now()), stage_begin_(begin_) {}

    // Starts stage `name`, which ends when `until` of the whole is done. Throws Error(kCancelled).
    void start(const std::string& name, float until) {
        close();
        name_ = name;
        from_ = std::exchange(until_, until);
        report(progress_, name_, from_);
    }

    // Lets an operation report its own 0 to 1 within the current stage.
    ProgressCallback inner() const {
        if (!progress_) return {};
        return [this](const std::string&, float fraction) {
            return progress_(name_, from_ + std::min(std::max(fraction, 0.0f), 1.0f) * (until_ - from_));
        };
    }

    void finish() {
        close();
        timings_ms_["total"] = milliseconds_since(begin_);
        report(progress_, "done", 1.0f);
    }

  private:
    using Clock = std::chrono::steady_clock;

    static double milliseconds_since(Clock::time_point begin) {
        return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
    }

    void close() {
        if (!name_.empty()) timings_ms_[name_] = milliseconds_since(stage_begin_);
        stage_begin_ = Clock::now();
    }

    const ProgressCallback& progress_;
    std::map<std::string, double>& timings_ms_;
    Clock::time_point begin_, stage_begin_;
    std::string name_;
    float from_ = 0.0f, until_ = 0.0f;
};

}  // namespace jiff
