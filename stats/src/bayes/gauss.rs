//! Gauss-Legendre quadrature on [-1, 1] with 16 nodes, and integrals up to a point inside.
//!
//! Nodes by Newton on the Legendre polynomial P_16, as in Press et al. (2007, 4.6). A function known at the nodes is the
//! sum of c_k P_k with c_k = (2k+1)/2 sum w_j P_k(x_j) f_j, and P_k integrates to (P_k+1 - P_k-1)/(2k+1).

use std::f64::consts::PI;

/// Nodes: exact for polynomials of degree 31.
pub(super) const NODES: usize = 16;
/// Newton steps for a node; four are used.
const NEWTON_STEPS_MAX: u32 = 20;

/// Values at the nodes.
pub(super) type Values = [f64; NODES];

/// Nodes and weights.
pub(super) struct Rule {
    pub(super) nodes: Values,
    pub(super) weights: Values,
    /// (2k+1)/2 w_j P_k(x_j), by k.
    to_coefficients: [Values; NODES],
}

impl Rule {
    pub(super) fn new() -> Self {
        let mut rule = Self { nodes: [0.0; NODES], weights: [0.0; NODES], to_coefficients: [[0.0; NODES]; NODES] };
        for index in 0..NODES {
            let mut x = -libm::cos(PI * (index as f64 + 0.75) / (NODES as f64 + 0.5));
            let mut slope = 1.0;
            for _ in 0..NEWTON_STEPS_MAX {
                let p = legendre(x);
                slope = NODES as f64 * (x * p[NODES] - p[NODES - 1]) / (x * x - 1.0);
                let step = p[NODES] / slope;
                x -= step;
                if step.abs() < f64::EPSILON {
                    break;
                }
            }
            rule.nodes[index] = x;
            rule.weights[index] = 2.0 / ((1.0 - x * x) * slope * slope);
            let p = legendre(x);
            for (k, row) in rule.to_coefficients.iter_mut().enumerate() {
                row[index] = (k as f64 + 0.5) * rule.weights[index] * p[k];
            }
        }
        rule
    }

    /// Integral over the whole of [-1, 1].
    pub(super) fn integral(&self, values: &Values) -> f64 {
        self.weights.iter().zip(values).map(|(weight, value)| weight * value).sum()
    }

    /// Legendre coefficients of the polynomial through the values.
    pub(super) fn coefficients(&self, values: &Values) -> Values {
        self.to_coefficients.map(|row| row.iter().zip(values).map(|(weight, value)| weight * value).sum())
    }
}

/// Integral from -1 to x of the polynomial with these coefficients.
pub(super) fn integral_to(x: f64, coefficients: &Values) -> f64 {
    let p = legendre(x);
    let first = coefficients[0] * (1.0 + x);
    (1..NODES).map(|k| coefficients[k] * (p[k + 1] - p[k - 1]) / (2 * k + 1) as f64).sum::<f64>() + first
}

/// P_0(x) to P_16(x).
fn legendre(x: f64) -> [f64; NODES + 1] {
    let mut p = [1.0; NODES + 1];
    p[1] = x;
    for k in 1..NODES {
        let degree = k as f64;
        p[k + 1] = ((2.0 * degree + 1.0) * x * p[k] - degree * p[k - 1]) / (degree + 1.0);
    }
    p
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integrates_whole_and_partial_exponentials() {
        let rule = Rule::new();
        let values = rule.nodes.map(|x| libm::exp(2.0 * x));
        let exact = |x: f64| (libm::exp(2.0 * x) - libm::exp(-2.0)) / 2.0;
        assert!((rule.integral(&values) / exact(1.0) - 1.0).abs() < 1e-14);
        let coefficients = rule.coefficients(&values);
        for x in [-1.0, -0.9, -0.2, 0.5, 1.0] {
            assert!((integral_to(x, &coefficients) - exact(x)).abs() < 1e-12, "{x}");
        }
    }
}
