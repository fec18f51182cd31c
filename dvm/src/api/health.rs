//! Whether the node is alive, and whether it does its work: for orchestrators.

use bigbrotr_core::health::HealthBoard;
use serde_json::json;

use super::answer::Answer;

/// The process is there, or it could not say so.
pub(super) fn live() -> Answer {
    Answer::momentary(200, json!({ "live": true }).to_string())
}

/// Every part of the node does its work (200), or which ones do not (503).
pub(super) fn ready(board: &HealthBoard) -> Answer {
    let status = if board.is_ready() { 200 } else { 503 };
    Answer::momentary(status, board.to_json().to_string())
}
