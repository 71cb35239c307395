#include "core/threads.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

#include "core/status.h"

namespace jiff {
namespace {

int num_processors() {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

int requested_num_threads() {
    const char* text = std::getenv("JIFF_NUM_THREADS");
    if (!text || !*text) return num_processors();
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    if (*end != '\0' || value < 1 || value > 1024) {
        throw Error(
            ErrorCode::kInvalidArgument,
            "JIFF_NUM_THREADS must be a whole number from 1 to 1024, got '" + std::string(text) + "'");
    }
    return static_cast<int>(value);
}

struct Job {
    Job(std::int64_t num_chunks, const std::function<void(std::int64_t)>& run)
        : run(run), num_chunks(num_chunks) {}

    const std::function<void(std::int64_t)>& run;
    std::int64_t num_chunks;
    std::atomic<std::int64_t> next{0};
    int num_helpers = 0;           // pool threads inside work(); guarded by the pool's mutex
    std::exception_ptr exception;  // guarded by the pool's mutex
};

class Pool {
  public:
    explicit Pool(int num_threads) : num_threads_(num_threads), shared_(std::make_shared<Shared>()) {
        // Detached threads own the shared state with the pool: a process may end, or fork, at any
        // moment without waiting for threads that another library or the fork has already removed.
        for (int i = 1; i < num_threads; ++i) std::thread(help, shared_).detach();
    }

    int num_threads() const { return num_threads_; }

    void run(std::int64_t num_chunks, const std::function<void(std::int64_t)>& run) {
        Job job(num_chunks, run);
        std::unique_lock<std::mutex> lock(shared_->mutex);
        const auto entry = shared_->jobs.insert(shared_->jobs.end(), &job);
        lock.unlock();
        shared_->wake.notify_all();
        work(*shared_, job);
        lock.lock();
        shared_->jobs.erase(entry);  // from here on no thread joins
        shared_->done.wait(lock, [&] { return job.num_helpers == 0; });
        if (job.exception) std::rethrow_exception(job.exception);
    }

  private:
    struct Shared {
        std::mutex mutex;
        std::condition_variable wake, done;
        std::list<Job*> jobs;  // borrowed from the stacks of the callers, who outlive their entry
    };

    static void work(Shared& shared, Job& job) {
        for (;;) {
            const std::int64_t chunk = job.next.fetch_add(1);
            if (chunk >= job.num_chunks) return;
            try {
                job.run(chunk);
            } catch (...) {
                job.next.store(job.num_chunks);
                const std::lock_guard<std::mutex> lock(shared.mutex);
                if (!job.exception) job.exception = std::current_exception();
            }
        }
    }

    static void help(const std::shared_ptr<Shared>& shared) {
        std::unique_lock<std::mutex> lock(shared->mutex);
        for (;;) {
            const auto unfinished =
                std::find_if(shared->jobs.begin(), shared->jobs.end(),
                             [](const Job* job) { return job->next.load() < job->num_chunks; });
            if (unfinished == shared->jobs.end()) {
                shared->wake.wait(lock);
                continue;
            }
            Job& job = **unfinished;
            ++job.num_helpers;
            lock.unlock();
            work(*shared, job);
            lock.lock();
            if (--job.num_helpers == 0) shared->done.notify_all();
        }
    }

    int num_threads_;
    std::shared_ptr<Shared> shared_;
};

Pool& pool() {
    static Pool instance(requested_num_threads());
    return instance;
}

}  // namespace

int num_threads() { return pool().num_threads(); }

void parallel_for(std::int64_t num_chunks, const std::function<void(std::int64_t)>& run) {
    if (num_chunks <= 1 || pool().num_threads() == 1) {
        for (std::int64_t chunk = 0; chunk < num_chunks; ++chunk) run(chunk);
        return;
    }
    pool().run(num_chunks, run);
}

}  // namespace jiff
