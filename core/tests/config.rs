//! The configuration as an operator meets it: what wins over what, and what mistakes read like.

#[path = "config/documentation.rs"]
mod documentation;
#[path = "config/errors.rs"]
mod errors;
#[path = "config/layers.rs"]
mod layers;
#[path = "config/rendering.rs"]
mod rendering;
#[path = "config/sample.rs"]
mod sample;
