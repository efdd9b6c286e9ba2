//! The two-sided sequential readout, read all the time while both arms are alike: how often does it show an effect?

use liftgate_stats::Model;
use rand::rngs::SmallRng;

use crate::report::Bound;
use crate::session::Session;
use crate::simulation::chance::{coin, lognormal, negative_binomial, normal, zero_inflated};
use crate::simulation::clustered::{Part, errors_of_views};
use crate::simulation::past::{errors_with_past, value_with_past};
use crate::simulation::readout::is_effect_shown;
use crate::simulation::verdict::ALPHA;
use crate::simulation::{events, strata};

/// 20 000 units.
const PAIRS: u64 = 10_000;
/// Fewest units an arm, and looks at a quantile.
const BURN_IN: u64 = 50;
const QUANTILE_LOOKS: u32 = 60;

pub fn run(session: &mut Session) {
    session.open(
        "readout",
        "two-sided sequential comparison of equal arms, alpha .05, to 20 000 units; a look after every unit pair to the \
         1000th, then after every tenth",
    );
    session.table();
    case(session, "normal, sd a quarter of the mean", Model::Mean, |rng| [300.0 + 75.0 * normal(rng)]);
    for base in [0.1, 0.01, 0.001] {
        let name = format!("{} % have the event", 100.0 * base);
        case(session, &name, Model::Proportion, move |rng| [coin(rng, base)]);
    }
    case(session, "lognormal, sigma 1", Model::Mean, |rng| [lognormal(rng, 1.0)]);
    case(session, "zero-inflated: 95 % zeros, else lognormal 1.5", Model::Mean, |rng| [zero_inflated(rng)]);
    case(session, "negative-binomial counts, mean 2, shape .5", Model::Mean, |rng| {
        [f64::from(negative_binomial(rng, 2.0, 0.5))]
    });
    for rate in [0.1, 0.01] {
        let name = format!("ratio: {} % of the page views fail", 100.0 * rate);
        case(session, &name, Model::Ratio, move |rng| {
            let Part { numerator, denominator } = errors_of_views(rng, rate);
            [numerator, denominator]
        });
    }
    case(session, "mean with a covariate, correlation .7", Model::Mean, |rng| value_with_past(rng, 10.0));
    case(session, "ratio with its past as covariate", Model::Ratio, |rng| errors_with_past(rng, 1.0));
    let at_most = Bound::AtMost(ALPHA);
    session
        .rate("strata of 60, 37 and 3 % at levels 10, 30 and 100", at_most, |rng| strata::is_effect_shown(rng, PAIRS));
    for probability in [0.95, 0.99] {
        let name = format!("p{} of clustered latencies, {QUANTILE_LOOKS} looks", 100.0 * probability);
        session.rate(&name, at_most, |rng| events::is_effect_shown(rng, probability, [BURN_IN, PAIRS], QUANTILE_LOOKS));
    }
}

fn case<const VARIABLES: usize>(
    session: &mut Session,
    name: &str,
    model: Model,
    unit: impl Fn(&mut SmallRng) -> [f64; VARIABLES] + Sync,
) {
    session.rate(name, Bound::AtMost(ALPHA), |rng| is_effect_shown(rng, model, PAIRS, &unit));
}
