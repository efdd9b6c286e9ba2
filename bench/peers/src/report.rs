//! The table: one block a job, the fastest first.

use crate::case::Case;

struct Row<'a> {
    case: &'a Case,
    median_ns: f64,
    /// The median of the ratios of samples that were taken in one round: a machine that slows down slows both.
    ratio: f64,
    low_ns: f64,
    high_ns: f64,
}

pub fn print(cases: &[Case]) {
    for block in cases.chunk_by(|a, b| a.job == b.job) {
        let mut rows: Vec<Row<'_>> = block.iter().map(|case| row(case, &block[0])).collect();
        rows.sort_by(|a, b| a.median_ns.total_cmp(&b.median_ns));
        println!("\n{}", block[0].job.title());
        println!("{:<27} {:<30} {:>12} {:>10}   10 % to 90 % of samples", "engine", "call", "median ns", "ratio");
        for row in rows {
            println!(
                "{:<27} {:<30} {:>12.1} {:>9.2}x   {:.1} to {:.1}",
                row.case.engine, row.case.call, row.median_ns, row.ratio, row.low_ns, row.high_ns
            );
        }
    }
}

fn row<'a>(case: &'a Case, own: &Case) -> Row<'a> {
    let samples = sorted(case.samples_ns.iter().copied().flatten());
    let in_one_round = case.samples_ns.iter().zip(&own.samples_ns);
    let ratios = sorted(in_one_round.filter_map(|(sample, own)| Some((*sample)? / (*own)?)));
    Row {
        case,
        median_ns: quantile(&samples, 0.5),
        ratio: quantile(&ratios, 0.5),
        low_ns: quantile(&samples, 0.1),
        high_ns: quantile(&samples, 0.9),
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}
