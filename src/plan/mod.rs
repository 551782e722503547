//! From what the user wrote to what will be done. Pure: no file, network, clock or environment.

pub mod build;
pub mod duration;
pub mod graph;
pub mod model;
pub mod suggest;
pub mod template;
pub mod timezone;
