//! A page of samples in the Prometheus text format.

use std::fmt::{Display, Write as _};

/// The page, written sample by sample.
#[derive(Default)]
pub struct Page(String);

impl Page {
    /// Something that only grows.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "counter");
        self.line(name, "", value);
    }

    /// One counter for each set of labels. Values of labels are keys, which need no escapes.
    pub fn counters<const N: usize>(&mut self, name: &str, help: &str, values: &[([(&str, &str); N], u64)]) {
        self.head(name, help, "counter");
        for (labels, value) in values {
            let labels: Vec<String> = labels.iter().map(|(label, text)| format!("{label}=\"{text}\"")).collect();
            self.line(name, &format!("{{{}}}", labels.join(",")), value);
        }
    }

    /// Something that rises and falls.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "gauge");
        self.line(name, "", value);
    }

    /// One of several states, as 0 or 1 each.
    pub fn state(&mut self, name: &str, help: &str, label: &str, states: &[(&str, bool)]) {
        self.head(name, help, "gauge");
        for (state, holds) in states {
            self.line(name, &format!("{{{label}=\"{state}\"}}"), u8::from(*holds));
        }
    }

    /// How long something took, in seconds: `bounds_us` are inclusive ends of `buckets`, the last of which has none.
    pub fn histogram(&mut self, name: &str, help: &str, bounds_us: &[u64], buckets: &[u64], sum_us: u64) {
        self.head(name, help, "histogram");
        let mut count = 0;
        for (index, bucket) in buckets.iter().enumerate() {
            count += bucket;
            let end = bounds_us.get(index).map_or_else(|| "+Inf".to_owned(), |bound| seconds(*bound).to_string());
            self.line(&format!("{name}_bucket"), &format!("{{le=\"{end}\"}}"), count);
        }
        self.line(&format!("{name}_sum"), "", seconds(sum_us));
        self.line(&format!("{name}_count"), "", count);
    }

    /// The text.
    pub fn finish(self) -> String {
        self.0
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of less than 285 years are exact")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_up_to_its_last_bucket() {
        let mut page = Page::default();
        page.histogram("sync", "Syncs.", &[250, 1_000], &[2, 1, 4], 2_500_000);
        let lines: Vec<String> = page.finish().lines().skip(2).map(str::to_owned).collect();
        let expected = [
            "sync_bucket{le=\"0.00025\"} 2",
            "sync_bucket{le=\"0.001\"} 3",
            "sync_bucket{le=\"+Inf\"} 7",
            "sync_sum 2.5",
            "sync_count 7",
        ];
        assert_eq!(lines, expected);
    }
}
