//! Random numbers by simple formulas, from one seeded generator.

use rand::Rng;
use rand::rngs::SmallRng;

/// Largest count a Poisson draw gives; far above every mean used here.
const POISSON_MAX: u32 = 10_000;

/// 1 with probability `rate`, else 0.
pub fn coin(rng: &mut SmallRng, rate: f64) -> f64 {
    f64::from(u8::from(rng.random::<f64>() < rate))
}

/// A standard normal by Box and Muller (1958).
pub fn normal(rng: &mut SmallRng) -> f64 {
    (-2.0 * uniform_above_zero(rng).ln()).sqrt() * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

/// exp of a normal with mean 0 and standard deviation `sigma`.
pub fn lognormal(rng: &mut SmallRng, sigma: f64) -> f64 {
    (sigma * normal(rng)).exp()
}

/// 95 % zeros, else lognormal: like revenue a visitor.
pub fn zero_inflated(rng: &mut SmallRng) -> f64 {
    if rng.random::<f64>() < 0.05 { lognormal(rng, 1.5) } else { 0.0 }
}

/// A gamma of scale 1 by Marsaglia and Tsang (2000).
pub fn gamma(rng: &mut SmallRng, shape: f64) -> f64 {
    if shape < 1.0 {
        return gamma(rng, shape + 1.0) * uniform_above_zero(rng).powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let v = (1.0 + c * x).powi(3);
        // Accepts more than 95 % of the proposals at any shape.
        if v > 0.0 && uniform_above_zero(rng).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

/// A beta by two gammas.
pub fn beta(rng: &mut SmallRng, a: f64, b: f64) -> f64 {
    let (a, b) = (gamma(rng, a), gamma(rng, b));
    if a + b > 0.0 { a / (a + b) } else { 0.5 }
}

/// A Poisson count by products of uniforms (Knuth 1969), for small means.
pub fn poisson(rng: &mut SmallRng, mean: f64) -> u32 {
    let floor = (-mean).exp();
    let mut product = rng.random::<f64>();
    let mut count = 0;
    while product > floor && count < POISSON_MAX {
        product *= rng.random::<f64>();
        count += 1;
    }
    count
}

/// A negative-binomial count: variance mean + mean^2/shape.
pub fn negative_binomial(rng: &mut SmallRng, mean: f64, shape: f64) -> u32 {
    let rate = mean / shape * gamma(rng, shape);
    poisson(rng, rate)
}

/// How many of `tries` succeed.
pub fn binomial(rng: &mut SmallRng, tries: u32, rate: f64) -> u32 {
    (0..tries).map(|_| u32::from(rng.random::<f64>() < rate)).sum()
}

fn uniform_above_zero(rng: &mut SmallRng) -> f64 {
    1.0 - rng.random::<f64>()
}
