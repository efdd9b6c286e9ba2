//! Both tails of a beta distribution at any point, from one pass over its mesh. A comparison asks for thousands of them.

use super::density::Density;
use super::gauss::{Rule, Values, integral_to};
use crate::special::Tails;

/// A panel: the density as a polynomial, and the mass beside it.
struct Panel {
    low: f64,
    half_width: f64,
    coefficients: Values,
    mass: f64,
    below: f64,
    above: f64,
}

/// The tails, by distance from the mode.
pub(super) struct Table {
    panels: Vec<Panel>,
    /// Integral of the density that is 1 at the mode.
    pub(super) total: f64,
}

impl Table {
    pub(super) fn of(rule: &Rule, density: Density) -> Self {
        let mesh = density.mesh();
        let mut panels: Vec<Panel> = mesh
            .windows(2)
            .map(|ends| {
                let half_width = 0.5 * (ends[1] - ends[0]);
                let values = rule.nodes.map(|x| density.at(ends[0] + half_width * (1.0 + x)));
                let mass = half_width * rule.integral(&values);
                let coefficients = rule.coefficients(&values);
                Panel { low: ends[0], half_width, coefficients, mass, below: 0.0, above: 0.0 }
            })
            .collect();
        let mut total = 0.0;
        for panel in &mut panels {
            panel.below = total;
            total += panel.mass;
        }
        let mut above = 0.0;
        for panel in panels.iter_mut().rev() {
            panel.above = above;
            above += panel.mass;
        }
        Self { panels, total }
    }

    /// The tails at a distance from the mode.
    pub(super) fn tails(&self, distance: f64) -> Tails {
        let index = self.panels.partition_point(|panel| panel.low <= distance);
        let Some(panel) = index.checked_sub(1).and_then(|index| self.panels.get(index)) else {
            return Tails { lower: 0.0, upper: 1.0 };
        };
        let x = (distance - panel.low) / panel.half_width - 1.0;
        if x >= 1.0 {
            return Tails { lower: (panel.below + panel.mass) / self.total, upper: panel.above / self.total };
        }
        let inside = (panel.half_width * integral_to(x, &panel.coefficients)).clamp(0.0, panel.mass);
        Tails { lower: (panel.below + inside) / self.total, upper: (panel.above + (panel.mass - inside)) / self.total }
    }
}
