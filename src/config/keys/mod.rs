//! Every key of the two files.

mod auth;
mod formats;
mod incremental;
mod operator;
mod paging;
mod pipeline;
mod relations;
mod write;

pub use operator::CONFIG;
pub use pipeline::PIPELINE;

use super::spec::Kind;

const TEXT: Kind = Kind::Text;
const TEXTS: Kind = Kind::OneOrMany(&TEXT);
const TEMPLATE: Kind = Kind::Template;
const BOOLEAN: Kind = Kind::Boolean;
const DURATION: Kind = Kind::Duration;
const SIZE: Kind = Kind::Size;
const SCALAR: Kind = Kind::Scalar;
const COUNT: Kind = Kind::Integer { min: 0, max: u64::MAX };
const POSITIVE: Kind = Kind::Integer { min: 1, max: u64::MAX };
const STATUS: Kind = Kind::Integer { min: 100, max: 599 };
