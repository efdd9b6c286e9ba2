//! The anytime-valid closed forms against the published multipliers, mpmath at 60 digits, and their own laws.

use liftgate_stats::anytime::{
    Tuning, ln_e_value, ln_e_value_one_sided, multiplier, multiplier_one_sided, p_value, p_value_one_sided,
};
use proptest::prelude::*;

use crate::oracle::assert_close;

#[test]
fn the_multipliers_of_a_mixture_tuned_to_5000_units_are_reproduced() {
    let tuning = Tuning::two_sided(0.05, 5_000.0).expect("a tuning");
    for (units, expected) in [
        (100.0, 6.694_388_6),
        (500.0, 3.855_054_6),
        (1_000.0, 3.363_887_7),
        (2_500.0, 3.083_568_7),
        (5_000.0, 3.035_209),
        (10_000.0, 3.061_477_2),
        (50_000.0, 3.241_723_1),
        (100_000.0, 3.336_857_5),
        (500_000.0, 3.561_641),
        (5_000_000.0, 3.869_452_3),
    ] {
        let found = multiplier(tuning.information(units), 0.05);
        assert!((found - expected).abs() <= 1e-7, "{units}: {found}");
    }
    let one_sided = Tuning::one_sided(0.05, 5_000.0).expect("a tuning");
    assert!((one_sided.information(5_000.0) - 6.328_860).abs() < 1e-6);
    let found = multiplier_one_sided(one_sided.information(5_000.0), 0.05);
    assert!((found - 2.779).abs() <= 5e-4, "{found}");
}

#[test]
fn multipliers_keep_their_digits_at_every_information_and_level() {
    for (x, alpha, two_sided, one_sided) in [
        (1e-06, 0.5, 1_177.411_035_881_162_4, 1_177.410_823_550_796_3),
        (1e-06, 0.05, 2_447.748_258_823_409, 2_189.930_649_696_166),
        (1e-06, 1e-10, 6_786.143_891_164_059, 6_683.221_765_329_131),
        (1e-06, 1e-300, 37_169.240_486_556_67, 37_150.587_378_937_49),
        (0.001, 0.5, 37.265_012_482_413_41, 37.258_300_657_675_1),
        (0.001, 0.05, 77.449_703_107_813_82, 69.292_827_205_301_58),
        (0.001, 1e-10, 214.706_204_059_347_6, 211.449_931_204_749_73),
        (0.001, 1e-300, 1_175.981_975_776_864_1, 1_175.391_818_372_314_7),
        (1.0, 0.5, 2.039_333_980_337_618, 1.877_629_981_673_218_7),
        (1.0, 0.05, 3.656_394_871_363_848_3, 3.296_956_958_428_247_7),
        (1.0, 1e-10, 9.669_007_088_676_775, 9.524_552_974_245_438),
        (1.0, 1e-300, 52.578_402_466_735_09, 52.552_029_620_479_31),
        (8.0, 0.5, 2.007_849_298_568_775_7, 1.766_115_033_773_212),
        (8.0, 0.05, 3.035_173_020_603_558, 2.779_653_073_693_114_4),
        (8.0, 1e-10, 7.367_499_049_329_377_5, 7.260_885_695_681_995),
        (8.0, 1e-300, 39.455_250_796_573_125, 39.435_481_920_019_996),
        (1000000.0, 0.5, 3.898_951_284_754_605, 3.717_193_077_463_356_6),
        (1000000.0, 0.05, 4.450_505_129_987_815, 4.291_957_613_343_156),
        (1000000.0, 1e-10, 7.737_394_476_505_519, 7.647_285_632_016_386),
        (1000000.0, 1e-300, 37.354_624_382_008_694, 37.336_063_892_348_7),
        (1000000000000.0, 0.5, 5.386_772_268_908_206, 5.256_521_959_999_423),
        (1000000000000.0, 0.05, 5.798_489_946_794_006, 5.677_692_445_170_825),
        (1000000000000.0, 1e-10, 8.583_864_105_161_739, 8.502_730_656_369_334),
        (1000000000000.0, 1e-300, 37.539_074_001_815_31, 37.520_604_773_279_51),
    ] {
        assert_close(multiplier(x, alpha), two_sided, 1e-14, &format!("c({x:e}, {alpha:e})"));
        assert_close(multiplier_one_sided(x, alpha), one_sided, 1e-14, &format!("one-sided c({x:e}, {alpha:e})"));
    }
}

#[test]
fn the_half_normal_mixture_keeps_its_digits_in_both_tails() {
    for (z, x, expected) in [
        (0.0, 1.0, -0.346_573_590_279_972_64),
        (2.5, 8.0, 2.363_058_922_791_165),
        (-2.5, 8.0, -2.315_037_377_314_468),
        (40.0, 1000.0, 796.439_568_991_701_5),
        (-40.0, 1000.0, -7.369_173_095_739_798),
        (-1000000.0, 1000000000.0, -24.402_934_829_083_208),
        (3.0, 1e-06, 0.002_394_788_676_668_922),
        (1.0, 1000000000000.0, -12.795_117_156_428_923),
    ] {
        let found = ln_e_value_one_sided(z, x);
        assert!((found - expected).abs() <= 1e-13 * (1.0 + expected.abs()), "({z:e}, {x:e}): {found:e}");
    }
    assert!(ln_e_value_one_sided(-1e150, 8.0).is_finite());
}

#[test]
fn what_has_no_answer_is_infinite_or_not_a_number_and_nothing_panics() {
    assert_eq!(multiplier(0.0, 0.05), f64::INFINITY);
    assert_eq!(multiplier_one_sided(0.0, 0.05), f64::INFINITY);
    assert_eq!(p_value(5.0, 0.0), 1.0);
    assert_eq!(p_value_one_sided(-5.0, 8.0), 1.0);
    for alpha in [0.0, 1.0, -0.5, f64::NAN, f64::INFINITY] {
        assert!(multiplier(1.0, alpha).is_nan());
        assert!(multiplier_one_sided(1.0, alpha).is_nan());
        assert_eq!(Tuning::two_sided(alpha, 5_000.0), None);
    }
    for information in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(multiplier(information, 0.05).is_nan());
    }
    for units in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(Tuning::two_sided(0.05, units), None);
    }
    assert_eq!(Tuning::one_sided(0.5, 5_000.0), None);
}

proptest! {
    #[test]
    fn p_is_below_alpha_exactly_when_zero_is_outside_the_interval(
        log_x in -6.0..12.0_f64, log_alpha in -300.0..-0.1_f64, stretch in 0.5..1.5_f64,
    ) {
        let (x, alpha) = (10_f64.powf(log_x), 10_f64.powf(log_alpha));
        prop_assume!((stretch - 1.0).abs() > 1e-9);
        let z = stretch * multiplier(x, alpha);
        prop_assert_eq!(stretch > 1.0, ln_e_value(z, x) > -alpha.ln());
        prop_assert_eq!(ln_e_value(z, x), ln_e_value(-z, x));
    }

    #[test]
    fn the_two_half_normal_mixtures_average_to_the_normal_one(log_x in -6.0..12.0_f64, z in -20.0..20.0_f64) {
        let x = 10_f64.powf(log_x);
        let (up, down) = (ln_e_value_one_sided(z, x), ln_e_value_one_sided(-z, x));
        let average = up.max(down) + (-(up - down).abs()).exp().ln_1p() - 2_f64.ln();
        prop_assert!((average - ln_e_value(z, x)).abs() <= 1e-11 * (1.0 + average.abs()));
    }

    #[test]
    fn the_half_normal_mixture_is_sharper_than_the_closed_one_sided_bound(
        log_x in -6.0..12.0_f64, log_alpha in -30.0..-0.5_f64,
    ) {
        let (x, alpha) = (10_f64.powf(log_x), 10_f64.powf(log_alpha));
        let z = multiplier_one_sided(x, alpha);
        prop_assert!(ln_e_value_one_sided(z, x) >= -alpha.ln() - 1e-9);
    }

    #[test]
    fn the_multiplier_is_near_its_smallest_at_the_tuned_size(log_alpha in -30.0..-0.5_f64, factor in 0.01..100.0_f64) {
        let alpha = 10_f64.powf(log_alpha);
        let tuned = Tuning::two_sided(alpha, 5_000.0).expect("a tuning");
        let other = Tuning::two_sided(alpha, 5_000.0 * factor).expect("a tuning");
        let at = |tuning: Tuning| multiplier(tuning.information(5_000.0), alpha);
        prop_assert!(at(tuned) <= at(other) * 1.01, "{} {}", at(tuned), at(other));
    }
}
