//! An engine that has shown that it does its job, ready to be measured with the very call that was checked.

use std::hint::black_box;

use crate::engines::Engine;
use crate::job::{Job, PEOPLE_MEASURED};

pub struct Case {
    pub job: Job,
    pub engine: &'static str,
    pub call: &'static str,
    /// Evaluates so many times.
    pub batch: Box<dyn FnMut(usize)>,
    /// Nanoseconds an evaluation, by round; `None` where the case sat out.
    pub samples_ns: Vec<Option<f64>>,
}

impl Case {
    pub fn new<E: Engine + 'static>(job: Job, mut engine: E) -> Self {
        job.check(&mut engine);
        let contexts: Vec<E::Context> = job.people().iter().map(|person| engine.context(person)).collect();
        let batch = move |evaluations| {
            for number in 0..evaluations {
                black_box(engine.answer(black_box(&contexts[number % PEOPLE_MEASURED])));
            }
        };
        Self { job, engine: E::NAME, call: E::CALL, batch: Box::new(batch), samples_ns: Vec::new() }
    }
}
