//! The standard normal distribution: both tails by `erfc`, the log of the lower one, the quantile.
//!
//! Quantile: Wichura (1988), algorithm AS 241 (PPND16), polished by one Halley step.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Below this the cdf nears the smallest doubles and its logarithm is taken from the asymptotic series.
const ASYMPTOTIC_BELOW: f64 = -20.0;
/// Below this probability `exp(x * x / 2)` of the Halley step nears overflow; AS 241 stands alone.
const HALLEY_ABOVE: f64 = 1e-290;

/// P(Z <= z).
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}

/// P(Z > z), accurate to the smallest doubles.
pub fn normal_sf(z: f64) -> f64 {
    normal_cdf(-z)
}

/// ln P(Z <= z), finite for every finite z.
pub fn ln_normal_cdf(z: f64) -> f64 {
    if z > 0.0 {
        return libm::log1p(-normal_sf(z));
    }
    if z >= ASYMPTOTIC_BELOW || z.is_nan() {
        return libm::log(normal_cdf(z));
    }
    -0.5 * z * z + ln_scaled_tail(z)
}

/// ln P(Z <= z) + z^2/2 for z <= 0: what is left of a far lower tail once the normal density's square is taken
/// out. Finite for every finite z; for z > 0 it is the plain sum.
pub fn ln_scaled_normal_cdf(z: f64) -> f64 {
    if z >= ASYMPTOTIC_BELOW || z.is_nan() { ln_normal_cdf(z) + 0.5 * z * z } else { ln_scaled_tail(z) }
}

/// Mills ratio: Phi(z) = phi(z)/|z| (1 - 1/z^2 + 3/z^4 - 15/z^6 + ...), alternating with error below the first term
/// left out (2e-15 at z = -20).
fn ln_scaled_tail(z: f64) -> f64 {
    let u = 1.0 / (z * z);
    let series = -u * (1.0 - u * (3.0 - u * (15.0 - u * (105.0 - u * (945.0 - u * 10_395.0)))));
    -libm::log(-z) - 0.5 * libm::log(2.0 * PI) + libm::log1p(series)
}

/// z with P(Z <= z) = p; -inf at 0, +inf at 1, NaN outside.
pub fn normal_quantile(p: f64) -> f64 {
    if p.is_nan() || !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p > 0.5 {
        // 1 - p is exact here, and the lower tail keeps its digits.
        return -lower_quantile(1.0 - p);
    }
    lower_quantile(p)
}

fn lower_quantile(p: f64) -> f64 {
    if p == 0.0 {
        return f64::NEG_INFINITY;
    }
    let x = as241(p);
    if p < HALLEY_ABOVE {
        return x;
    }
    let step = (normal_cdf(x) - p) * libm::sqrt(2.0 * PI) * libm::exp(0.5 * x * x);
    x - step / (1.0 + 0.5 * x * step)
}

fn as241(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180625 - q * q;
        return q * ratio(&CENTRAL_NUMERATOR, &CENTRAL_DENOMINATOR, r);
    }
    let r = libm::sqrt(-libm::log(p));
    if r <= 5.0 {
        -ratio(&MIDDLE_NUMERATOR, &MIDDLE_DENOMINATOR, r - 1.6)
    } else {
        -ratio(&TAIL_NUMERATOR, &TAIL_DENOMINATOR, r - 5.0)
    }
}

fn ratio(numerator: &[f64; 8], denominator: &[f64; 8], x: f64) -> f64 {
    let polynomial = |coefficients: &[f64; 8]| coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c);
    polynomial(numerator) / polynomial(denominator)
}

const CENTRAL_NUMERATOR: [f64; 8] = [
    3.387_132_872_796_366_5,
    1.331_416_678_917_843_8e2,
    1.971_590_950_306_551_3e3,
    1.373_169_376_550_946e4,
    4.592_195_393_154_987e4,
    6.726_577_092_700_87e4,
    3.343_057_558_358_813e4,
    2.509_080_928_730_122_7e3,
];
const CENTRAL_DENOMINATOR: [f64; 8] = [
    1.0,
    4.231_333_070_160_091e1,
    6.871_870_074_920_579e2,
    5.394_196_021_424_751e3,
    2.121_379_430_158_659_7e4,
    3.930_789_580_009_271e4,
    2.872_908_573_572_194_3e4,
    5.226_495_278_852_545e3,
];
const MIDDLE_NUMERATOR: [f64; 8] = [
    1.423_437_110_749_683_5,
    4.630_337_846_156_546,
    5.769_497_221_460_691,
    3.647_848_324_763_204_5,
    1.270_458_252_452_368_4,
    2.417_807_251_774_506e-1,
    2.272_384_498_926_918_4e-2,
    7.745_450_142_783_414e-4,
];
const MIDDLE_DENOMINATOR: [f64; 8] = [
    1.0,
    2.053_191_626_637_759,
    1.676_384_830_183_803_8,
    6.897_673_349_851e-1,
    1.481_039_764_274_800_8e-1,
    1.519_866_656_361_645_7e-2,
    5.475_938_084_995_345e-4,
    1.050_750_071_644_416_9e-9,
];
const TAIL_NUMERATOR: [f64; 8] = [
    6.657_904_643_501_103,
    5.463_784_911_164_114,
    1.784_826_539_917_291_3,
    2.965_605_718_285_048_7e-1,
    2.653_218_952_657_612_4e-2,
    1.242_660_947_388_078_4e-3,
    2.711_555_568_743_487_6e-5,
    2.010_334_399_292_288_1e-7,
];
const TAIL_DENOMINATOR: [f64; 8] = [
    1.0,
    5.998_322_065_558_88e-1,
    1.369_298_809_227_358e-1,
    1.487_536_129_085_061_5e-2,
    7.868_691_311_456_133e-4,
    1.846_318_317_510_054_8e-5,
    1.421_511_758_316_446e-7,
    2.044_263_103_389_939_8e-15,
];
