//! Special functions against tables made with mpmath.

use liftgate_stats::special::{
    beta_tails, chi_square_sf, gamma_tails, ln_beta, ln_gamma, ln_normal_cdf, normal_cdf, normal_quantile, normal_sf,
    t_cdf, t_quantile, t_sf,
};

use crate::oracle::{Tables, check_rows, tables};

fn references() -> Tables {
    tables(include_str!("../fixtures/special.json"))
}

const TIGHT: f64 = 1e-12;
const EXTREME: f64 = 1e-10;

#[test]
fn the_normal_distribution_keeps_twelve_digits() {
    let tables = references();
    check_rows(&tables, "normal_cdf", |_| TIGHT, |x| normal_cdf(x[0]));
    check_rows(&tables, "normal_sf", |_| TIGHT, |x| normal_sf(x[0]));
    check_rows(&tables, "ln_normal_cdf", |_| TIGHT, |x| ln_normal_cdf(x[0]));
    check_rows(&tables, "normal_quantile", |_| TIGHT, |x| normal_quantile(x[0]));
}

#[test]
fn the_t_distribution_keeps_twelve_digits_up_to_a_trillion_degrees_of_freedom() {
    let tables = references();
    let tolerance = |x: &[f64]| if x[0].abs() > 10.0 || x[0] < 1e-50 { EXTREME } else { TIGHT };
    check_rows(&tables, "t_sf", tolerance, |x| t_sf(x[0], x[1]));
    check_rows(&tables, "t_sf", tolerance, |x| t_cdf(-x[0], x[1]));
    check_rows(&tables, "t_quantile", tolerance, |x| t_quantile(x[0], x[1]));
}

#[test]
fn gamma_and_beta_keep_their_digits_at_small_and_large_shapes() {
    let tables = references();
    let by_shape = |x: &[f64]| if x[0] >= 1e3 { EXTREME } else { TIGHT };
    check_rows(&tables, "ln_gamma", |_| TIGHT, |x| ln_gamma(x[0]));
    check_rows(&tables, "ln_beta", |_| TIGHT, |x| ln_beta(x[0], x[1]));
    check_rows(&tables, "gamma_lower", by_shape, |x| gamma_tails(x[0], x[1]).lower);
    check_rows(&tables, "gamma_upper", by_shape, |x| gamma_tails(x[0], x[1]).upper);
    check_rows(&tables, "chi_square_sf", |_| TIGHT, |x| chi_square_sf(x[0], x[1]));
    check_rows(&tables, "beta_lower", by_shape, |x| beta_tails(x[0], x[1], x[2]).lower);
    check_rows(&tables, "beta_upper", by_shape, |x| beta_tails(x[0], x[1], x[2]).upper);
}

#[test]
fn quantiles_at_the_ends_and_in_the_middle_are_exact() {
    assert_eq!(t_quantile(0.5, 7.0), 0.0);
    assert_eq!(t_quantile(1.0, 7.0), f64::INFINITY);
    assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
}

#[test]
fn arguments_outside_the_domain_give_nan() {
    let values = [
        normal_quantile(-0.1),
        normal_quantile(f64::NAN),
        t_sf(1.0, 0.5),
        t_sf(1.0, f64::INFINITY),
        t_quantile(1.1, 3.0),
        ln_gamma(-1.0),
        ln_beta(0.0, 1.0),
        chi_square_sf(-1.0, 2.0),
        chi_square_sf(1.0, 0.0),
        beta_tails(1.0, 2.0, 1.5).lower,
    ];
    assert!(values.iter().all(|value| value.is_nan()), "{values:?}");
}
