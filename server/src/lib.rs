//! Liftgate: the composition of the rooms into one binary.
//!
//! | module | what it is |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`config`] | settings, each with where its value came from |
//! | [`serve`], [`bootstrap`] | opens the stores, wires the rooms, serves, stops in order |
//! | [`warehouse`], [`retention`] | the engine that was chosen, and how long it keeps events |
//! | [`app`], [`rulesets`], [`access`], [`body`], [`problem`] | what request handlers share |
//! | [`http`], [`manage`] | the routes |
//! | [`live`], [`usage`] | streams of updates; how often applications look at flags |
//! | [`table`] | small tables as CSV, Arrow and Parquet |
//! | [`demo`] | the whole loop with simulated shoppers |
//! | [`entropy`] | the operating system's randomness |

pub mod access;
pub mod app;
pub mod body;
pub mod bootstrap;
pub mod cli;
pub mod config;
pub mod demo;
pub mod entropy;
pub mod http;
pub mod live;
pub mod manage;
pub mod problem;
pub mod retention;
pub mod rulesets;
pub mod serve;
pub mod table;
pub mod usage;
pub mod warehouse;
