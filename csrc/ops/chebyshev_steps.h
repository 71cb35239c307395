// Chebyshev's iteration over Jacobi's steps, which need no order: any number of threads gives one result.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace jiff {

// A step is `of_last` of the step before and `of_missing` of Jacobi's.
struct ChebyshevStep {
    float of_last, of_missing;
};

// Until `rest` of the difference from the solution is left, where the system's numbers, seen by Jacobi's
// steps, lie between `least` and 2 - least (Golub and Van Loan, Matrix Computations, Sec. 11.2).
inline std::vector<ChebyshevStep> chebyshev_steps(double least, double rest) {
    constexpr double kMostSteps = 1000;
    const double spread = 1.0 - least;
    const double num_steps = std::ceil(std::acosh(1.0 / rest) / std::acosh(1.0 / spread));
    std::vector<ChebyshevStep> steps{{0.0f, 1.0f}};
    double ratio = spread;
    for (int i = 1; i < std::min(num_steps, kMostSteps); ++i) {
        const double next = 1.0 / (2.0 / spread - ratio);
        steps.push_back({static_cast<float>(next * ratio), static_cast<float>(2.0 * next / spread)});
        ratio = next;
    }
    return steps;
}

}  // namespace jiff
