//! What an engine is asked to do, and what it has to answer to be measured at all.

use crate::engines::Engine;
use crate::person::{self, Person};

/// The flag that is asked for.
pub const FLAG: &str = "new-checkout";
/// Other flags beside it, without rules.
pub const OTHER_FLAGS: usize = 100;
/// What the split is salted with.
pub const SALT: &str = "01hzx3k9";
pub const COUNTRIES: [&str; 3] = ["FR", "DE", "AT"];
pub const SEATS_MIN: i64 = 10;

pub const SEGMENT_SMALL: usize = 10;
pub const SEGMENT_LARGE: usize = 100_000;

/// People that the answers of a split are counted over; a half of them must be in, give or take two in a hundred.
const PEOPLE_CHECKED: usize = 20_000;
const SPLIT_TOLERANCE: f64 = 0.02;
/// People of whom nobody may be in.
const STRANGERS_CHECKED: usize = 1_000;
/// Contexts that a measurement goes round.
pub const PEOPLE_MEASURED: usize = 64;

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// `country in [FR, DE, AT]` and `seats >= 10`, then on for a half, by hash of the id.
    Split,
    /// A flag that is on for everybody.
    NoRules,
    /// On for the members of a list of ids.
    Segment { units: usize },
}

impl Job {
    pub fn title(self) -> String {
        match self {
            Self::Split => "two attribute conditions and a 50/50 split".to_owned(),
            Self::NoRules => "a flag without rules".to_owned(),
            Self::Segment { units } => format!("a list of {units} ids, half of the people in it"),
        }
    }

    /// The ids of the list.
    pub fn members(self) -> Vec<String> {
        match self {
            Self::Split | Self::NoRules => Vec::new(),
            Self::Segment { units } => (0..units).map(person::id).collect(),
        }
    }

    /// The people that a measurement goes round.
    pub fn people(self) -> Vec<Person> {
        match self {
            Self::Split | Self::NoRules => {
                (0..PEOPLE_MEASURED).map(|number| Person::inside(1_234_000 + number)).collect()
            }
            Self::Segment { units } => (0..PEOPLE_MEASURED)
                .map(|number| {
                    // By turns a stranger, and a member from anywhere in the list.
                    let member = number * units / PEOPLE_MEASURED;
                    Person::inside(if number % 2 == 0 { member } else { units + number })
                })
                .collect(),
        }
    }

    /// Panics with the reason when the engine does not do this job: a default is answered fast.
    pub fn check<E: Engine>(self, engine: &mut E) {
        let mut count = |people: &mut dyn Iterator<Item = Person>| {
            let contexts: Vec<E::Context> = people.map(|person| engine.context(&person)).collect();
            contexts.iter().filter(|context| engine.answer(context)).count()
        };
        match self {
            Self::Split => {
                let share = count(&mut (0..PEOPLE_CHECKED).map(Person::inside)) as f64 / PEOPLE_CHECKED as f64;
                assert!((share - 0.5).abs() < SPLIT_TOLERANCE, "{}: {share} of those inside are in", E::NAME);
                let elsewhere = count(&mut (0..STRANGERS_CHECKED).map(Person::elsewhere));
                let small = count(&mut (0..STRANGERS_CHECKED).map(Person::small));
                assert_eq!((elsewhere, small), (0, 0), "{}: of those outside, nobody is in", E::NAME);
            }
            Self::NoRules => {
                let on = count(&mut (0..STRANGERS_CHECKED).map(Person::elsewhere));
                assert_eq!(on, STRANGERS_CHECKED, "{}: the flag is on for everybody", E::NAME);
            }
            Self::Segment { units } => {
                let members = units.min(STRANGERS_CHECKED);
                let first_and_last = (0..members).chain(units - members..units);
                assert_eq!(count(&mut first_and_last.map(Person::inside)), 2 * members, "{}: members are in", E::NAME);
                let strangers = count(&mut (units..units + STRANGERS_CHECKED).map(Person::inside));
                assert_eq!(strangers, 0, "{}: strangers are not", E::NAME);
            }
        }
    }
}
