//! The engines, one file each: the job in the engine's own words, its own context, its own plainest call.

mod datalogic;
mod eppo;
mod flagd;
mod growthbook;
mod liftgate;
mod unleash;

pub use datalogic::{Datalogic, DatalogicRule};
pub use eppo::Eppo;
pub use flagd::Flagd;
pub use growthbook::{GrowthBook, GrowthBookGroup};
pub use liftgate::{Liftgate, LiftgateFlagsmith};
pub use unleash::{Unleash, UnleashVariant};

use crate::person::Person;

pub trait Engine {
    /// The name and version in the table.
    const NAME: &'static str;
    /// What is called.
    const CALL: &'static str;
    /// The engine's own form of a person, made before anything is measured.
    type Context;

    fn context(&self, person: &Person) -> Self::Context;

    /// Whether the flag is on: the call that is checked, and measured.
    fn answer(&mut self, context: &Self::Context) -> bool;
}
