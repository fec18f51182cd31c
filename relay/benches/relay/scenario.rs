//! What is measured.

pub(crate) mod fanout;
pub(crate) mod idle;
pub(crate) mod load;

/// The value that this part of the values is not above.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * part).ceil() as usize;
    sorted.get(at).copied().unwrap_or_default()
}
