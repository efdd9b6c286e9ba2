"""The statistics beside gbstats, in the same run: microseconds a comparison, and the ratio.

`make bench-stats`, or: python bench/stats/compare.py --speed PATH_OF_THE_EXAMPLE
"""

import argparse
import json
import statistics
import subprocess
import time

from gbstats.bayesian.tests import EffectBayesianABTest, EffectBayesianConfig
from gbstats.frequentist.tests import FrequentistConfig, SequentialConfig, SequentialTwoSidedTTest, TwoSidedTTest
from gbstats.models.statistics import ProportionStatistic, RatioStatistic, RegressionAdjustedStatistic, SampleMeanStatistic

COMPARISONS = 300
ROUNDS = 7
TARGET_MS = 20.0
TARGET_MILLION_VALUES = 50.0


def mean_arm(i):
    n, w = 3000 + i % 1013, (i % 97) / 97
    mean, squares = 2 + w, n * (4 + w)
    return SampleMeanStatistic(n=n, sum=mean * n, sum_squares=squares + mean * mean * n)


def covariate_arm(i):
    n, w = 3000 + i % 1013, (i % 97) / 97
    pre_mean = 3 + w
    pre = SampleMeanStatistic(n=n, sum=pre_mean * n, sum_squares=n * (4 + w) + pre_mean**2 * n)
    post = mean_arm(i)
    product = 2 * n + (2 + w) * pre_mean * n
    return RegressionAdjustedStatistic(n=n, post_statistic=post, pre_statistic=pre, post_pre_sum_of_products=product, theta=0.5)


def ratio_arm(i):
    n, w = 3000 + i % 1013, (i % 97) / 97
    d_mean = 3 + w
    d = SampleMeanStatistic(n=n, sum=d_mean * n, sum_squares=n * (4 + w) + d_mean**2 * n)
    product = 2 * n + (2 + w) * d_mean * n
    return RatioStatistic(n=n, m_statistic=mean_arm(i), d_statistic=d, m_d_sum_of_products=product)


def count_arm(i, base):
    return ProportionStatistic(n=5000 + i % 1013, sum=base + i % 89)


def fixed(a, b):
    TwoSidedTTest(a, b, FrequentistConfig(difference_type="absolute")).compute_result()
    TwoSidedTTest(a, b, FrequentistConfig(difference_type="relative")).compute_result()


def sequential(a, b):
    SequentialTwoSidedTTest(a, b, SequentialConfig(difference_type="absolute")).compute_result()
    SequentialTwoSidedTTest(a, b, SequentialConfig(difference_type="relative")).compute_result()


def bayesian(a, b):
    EffectBayesianABTest(a, b, EffectBayesianConfig(difference_type="relative")).compute_result()


CASES = {
    "mean": (fixed, lambda i, t: mean_arm(i)),
    "proportion": (fixed, lambda i, t: count_arm(i, 290 if t else 250)),
    "ratio": (fixed, lambda i, t: ratio_arm(i)),
    "mean_cuped": (fixed, lambda i, t: covariate_arm(i)),
    "mean_sequential": (sequential, lambda i, t: mean_arm(i)),
    "mean_bayesian": (bayesian, lambda i, t: mean_arm(i)),
}


def one_argument(test):
    """gbstats has changed between a pair of arms and a list of pairs."""
    def run(a, b):
        try:
            test(a, b)
        except TypeError as error:
            raise SystemExit(f"gbstats has another interface than 0.8.0: {error}") from error
    return run


def measure(test, arm):
    arms = [(arm(i, False), arm(i + 31, True)) for i in range(COMPARISONS)]
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for a, b in arms:
            test(a, b)
        times.append((time.perf_counter() - start) / COMPARISONS * 1e6)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", required=True, help="the built example `speed` of liftgate-stats")
    arguments = parser.parse_args()
    lines = subprocess.run([arguments.speed], check=True, capture_output=True, text=True).stdout.splitlines()
    ours = {row["case"]: row for row in map(json.loads, lines)}
    print(f"{'case':<24} {'ours us':>9} {'12 000 in ms':>13} {'gbstats us':>11} {'ratio':>8}   target {TARGET_MS} ms a 12 000")
    for name, row in ours.items():
        if "each_us" not in row:
            continue
        theirs = ""
        if name in CASES:
            test, arm = CASES[name]
            us = measure(one_argument(test), arm)
            theirs = f"{us:>11.1f} {us / row['each_us']:>7.0f}x"
        verdict = "" if not name.startswith(("mean", "proportion", "ratio")) else "met" if row["batch_ms"] <= TARGET_MS else "MISSED"
        print(f"{name:<24} {row['each_us']:>9.3f} {row['batch_ms']:>13.2f} {theirs:<20}   {verdict}")
    rate = ours["moments"]["million_values_per_s"]
    verdict = "met" if rate >= TARGET_MILLION_VALUES else "MISSED"
    print(f"moments: {rate} million values/s a core, target {TARGET_MILLION_VALUES}: {verdict}")
    print("gbstats gives the absolute and the relative interval in two calls, both are counted; ours gives both in one.")


if __name__ == "__main__":
    main()
