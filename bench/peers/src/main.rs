//! One flag, the same job, several engines, one run: nanoseconds an evaluation, and how many times what `liftgate` takes.
//! Before anything is measured, each engine has to give the answers that the job asks for.

mod case;
mod engines;
mod job;
mod measure;
mod person;
mod report;

use case::Case;
use engines::{
    Datalogic, DatalogicRule, Eppo, Flagd, GrowthBook, GrowthBookGroup, Liftgate, LiftgateFlagsmith, Unleash,
    UnleashVariant,
};
use job::{Job, SEGMENT_LARGE, SEGMENT_SMALL};

fn main() {
    let mut cases = cases();
    measure::interleaved(&mut cases);
    report::print(&cases);
}

/// What is measured. The first engine of a job is the one that the others are compared with.
fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new(Job::Split, Liftgate::new(Job::Split)),
        Case::new(Job::Split, LiftgateFlagsmith::new()),
        Case::new(Job::Split, Eppo::new(Job::Split)),
        Case::new(Job::Split, GrowthBook::new(Job::Split)),
        Case::new(Job::Split, Unleash::new(Job::Split)),
        Case::new(Job::Split, UnleashVariant::new()),
        Case::new(Job::Split, Flagd::new()),
        Case::new(Job::Split, Datalogic::new()),
        Case::new(Job::Split, DatalogicRule::new()),
        Case::new(Job::NoRules, Liftgate::new(Job::NoRules)),
        Case::new(Job::NoRules, Eppo::new(Job::NoRules)),
        Case::new(Job::NoRules, GrowthBook::new(Job::NoRules)),
        Case::new(Job::NoRules, Unleash::new(Job::NoRules)),
    ];
    for units in [SEGMENT_SMALL, SEGMENT_LARGE] {
        let job = Job::Segment { units };
        cases.push(Case::new(job, Liftgate::new(job)));
        cases.push(Case::new(job, Eppo::new(job)));
        cases.push(Case::new(job, GrowthBook::new(job)));
        cases.push(Case::new(job, GrowthBookGroup::new(job)));
        cases.push(Case::new(job, Unleash::new(job)));
    }
    cases
}
