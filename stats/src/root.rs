//! Roots of a function of one variable inside a bracket, in a bounded number of steps.
//! It does not look for the bracket.
//!
//! Method: Chandrupatla (1997), inverse quadratic interpolation that falls back to bisection.

/// More than double precision needs even by pure bisection over the widest bracket in use.
const STEPS_MAX: u32 = 200;

/// A point and the function there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// Where `f` changes sign between two points of opposite sign, to a few units in the last place of x.
/// Infinite function values are allowed; a bracket without a sign change gives one of its ends.
pub(crate) fn root(first: Point, second: Point, f: impl Fn(f64) -> f64) -> f64 {
    let (mut a, mut b) = (first, second);
    let mut fraction = 0.5;
    for _ in 0..STEPS_MAX {
        let x = a.x + fraction * (b.x - a.x);
        let next = Point { x, y: f(x) };
        let previous = if (next.y > 0.0) == (a.y > 0.0) {
            a
        } else {
            let old = b;
            b = a;
            old
        };
        a = next;
        let best = if a.y.abs() < b.y.abs() { a } else { b };
        let tolerance = 2.0 * f64::EPSILON * best.x.abs() + f64::MIN_POSITIVE;
        let limit = tolerance / (b.x - a.x).abs();
        if best.y == 0.0 || limit.is_nan() || limit > 0.5 {
            return best.x;
        }
        fraction = interpolate(a, b, previous).clamp(limit, 1.0 - limit);
    }
    a.x
}

/// Steps of [`nearly_linear_root`] before the bracket is asked for.
const SECANT_STEPS_MAX: u32 = 8;

/// The root of a function that is nearly linear between `from` and the root, by secants from two points near it. They settle
/// in about four steps. `None` when they do not, or leave the open range: then the root is to be bracketed.
pub(crate) fn nearly_linear_root(from: Point, near: Point, range: (f64, f64), f: impl Fn(f64) -> f64) -> Option<f64> {
    let (mut before, mut last) = (from, near);
    for _ in 0..SECANT_STEPS_MAX {
        if last.y == 0.0 {
            return Some(last.x);
        }
        let step = -last.y * (last.x - before.x) / (last.y - before.y);
        let x = last.x + step;
        if !(range.0 < x && x < range.1) {
            return None;
        }
        // The error of a secant step is about the product of the last two errors: after a step this small nothing is left.
        if step.abs() <= 1e-8 * (x - from.x).abs() {
            return Some(x);
        }
        (before, last) = (last, Point { x, y: f(x) });
    }
    None
}

/// The next step as a fraction of the way from a to b.
fn interpolate(a: Point, b: Point, c: Point) -> f64 {
    let xi = (a.x - b.x) / (c.x - b.x);
    let phi = (a.y - b.y) / (c.y - b.y);
    if phi * phi < xi && (1.0 - phi) * (1.0 - phi) < 1.0 - xi {
        let t =
            a.y / (b.y - a.y) * c.y / (b.y - c.y) + (c.x - a.x) / (b.x - a.x) * a.y / (c.y - a.y) * b.y / (c.y - b.y);
        if t.is_finite() { t } else { 0.5 }
    } else {
        0.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn solve(lower: f64, upper: f64, f: impl Fn(f64) -> f64) -> f64 {
        root(Point { x: lower, y: f(lower) }, Point { x: upper, y: f(upper) }, f)
    }

    #[test]
    fn finds_roots_of_steep_flat_and_infinite_functions() {
        let check = |found: f64, expected: f64| assert!((found - expected).abs() <= 4e-15 * expected.abs().max(1e-3));
        check(solve(0.0, 2.0, |x| x * x - 2.0), libm::sqrt(2.0));
        check(solve(-700.0, 700.0, |x| libm::exp(x) - 3.0), libm::log(3.0));
        check(solve(0.0, 1.0, |x| 1.0 / x - 3.0), 1.0 / 3.0);
        check(solve(0.0, 1.0, |x| if x < 0.25 { -1.0 } else { 1.0 }), 0.25);
    }
}
