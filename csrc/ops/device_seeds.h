// The CUDA twin of surface_seeds.h: no step of it waits for the host.
#pragma once

#include <cstdint>
#include <vector>

#include "core/cuda.h"
#include "ops/surface_extraction.h"

namespace jiff::cuda {

class Asking;
struct LatticeView;
struct SeedView;

// A stretch of a lattice line whose ends lie on different sides of the surface, in device memory.
struct SeedBracket {
    std::uint32_t first;           // packed
    std::uint8_t axis, is_inside;  // of the first
};

// How many there are; above what there is room for: something was lost.
struct SeedCounts {
    std::int32_t num_brackets, num_uncertain, num_next;
};

class SeedSearch {
  public:
    // `room` times as much as a person takes is set aside.
    SeedSearch(const ExtractionOptions& options, std::int64_t room, const Stream& stream);

    // Points that one call of the field may be asked for.
    std::int64_t max_points() const;
    std::int64_t num_coarse_points() const { return side_; }  // along a side
    const float* coarse_values() const { return coarse_values_.data(); }

    // Enqueues the search. The crossed cells become the next wave: in `cells`, their number in
    // lattice.counts. The lattice, whose coarse values are those above, is empty.
    void enqueue(const LatticeView& lattice, Asking& asking, std::uint32_t* cells, std::int64_t max_cells);

    bool has_overflowed() const;  // waits

  private:
    SeedView view();
    void find_coarse_brackets(const LatticeView& lattice, Asking& asking);
    void halve(const LatticeView& lattice, Asking& asking, int half, float band);
    void add_given_cells(const LatticeView& lattice, Asking& asking, std::uint32_t* cells,
                         std::int64_t max_cells);

    const Stream& stream_;
    int stride_, side_;
    float band_;
    std::int32_t max_brackets_, max_uncertain_;
    std::vector<std::uint32_t> given_;  // cells that meet in the options' seeds
    Buffer<float> coarse_values_;
    Buffer<std::uint8_t> is_explained_;  // coarse points at crossed edges
    Buffer<SeedBracket> brackets_;
    Buffer<std::uint32_t> uncertain_, next_uncertain_;
    Buffer<SeedCounts> counts_;
};

}  // namespace jiff::cuda
