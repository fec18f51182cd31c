//! What the samples say, for people: a table, and a file with all of them.

use std::fmt::Write as _;
use std::time::Duration;

use crate::sample::{Sample, names};

/// Columns between start and end stand so far apart.
const STEP: Duration = Duration::from_mins(10);

/// Growth per hour by a line that fits the later half of the samples best (least squares).
pub(crate) fn slope(samples: &[Sample], name: &str) -> f64 {
    let points: Vec<(f64, f64)> = later_half(samples)
        .iter()
        .map(|sample| (sample.at.as_secs_f64() / 3_600.0, sample.value(name)))
        .filter(|(_, value)| value.is_finite())
        .collect();
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| {
        (x + point.0 / count, y + point.1 / count)
    });
    let (above, below) = points.iter().fold((0.0, 0.0), |(above, below), point| {
        let from_mean = point.0 - x;
        (
            above + from_mean * (point.1 - y),
            below + from_mean * from_mean,
        )
    });
    if below > 0.0 { above / below } else { 0.0 }
}

/// The mean over the later half of the samples.
pub(crate) fn mean(samples: &[Sample], name: &str) -> f64 {
    let values: Vec<f64> = later_half(samples)
        .iter()
        .map(|sample| sample.value(name))
        .filter(|value| value.is_finite())
        .collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

pub(crate) fn later_half(samples: &[Sample]) -> &[Sample] {
    &samples[samples.len() / 2..]
}

/// The table: at rest, under load from its start to its end, and at rest again.
pub(crate) fn table(rest: &Sample, samples: &[Sample], settled: &Sample) -> String {
    let mut columns = vec![("rest".to_owned(), rest)];
    let mut next = Duration::ZERO;
    for sample in samples {
        if sample.at >= next {
            columns.push((format!("{} min", sample.at.as_secs() / 60), sample));
            next = STEP * (sample.at.as_secs() / STEP.as_secs() + 1) as u32;
        }
    }
    if let Some(last) = samples.last() {
        columns.push(("end".to_owned(), last));
    }
    columns.push(("settled".to_owned(), settled));
    let mut text = format!("{:<24}", "");
    for (title, _) in &columns {
        write!(text, "{title:>10}").expect("text");
    }
    text += &format!("{:>12}\n", "per hour");
    for name in names() {
        write!(text, "{name:<24}").expect("text");
        for (_, sample) in &columns {
            write!(text, "{:>10}", number(sample.value(name))).expect("text");
        }
        writeln!(text, "{:>12}", signed(slope(samples, name))).expect("text");
    }
    text
}

/// All samples as comma-separated values.
pub(crate) fn csv(samples: &[Sample]) -> String {
    let mut text = "seconds".to_owned();
    for name in names() {
        write!(text, ",\"{name}\"").expect("text");
    }
    for sample in samples {
        write!(text, "\n{}", sample.at.as_secs()).expect("text");
        for value in &sample.values {
            write!(text, ",{value}").expect("text");
        }
    }
    text + "\n"
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "-".to_owned()
    } else if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

fn signed(value: f64) -> String {
    if value.abs() < 10.0 {
        format!("{value:+.1}")
    } else {
        format!("{value:+.0}")
    }
}
