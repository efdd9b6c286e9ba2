//! Who asks. Each engine makes its own form of context of a person, once, before anything is measured.

/// A person with the attributes that an application usually sends.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: String,
    pub country: &'static str,
    pub plan: &'static str,
    pub seats: i64,
    pub email: String,
}

impl Person {
    /// One to whom the conditions of the job apply.
    pub fn inside(number: usize) -> Self {
        let country = ["FR", "DE", "AT"][number % 3];
        Self { id: id(number), country, plan: "pro", seats: 25, email: format!("person-{number}@example.com") }
    }

    /// One from a country that the rule does not name.
    pub fn elsewhere(number: usize) -> Self {
        Self { country: "US", ..Self::inside(number) }
    }

    /// One with too few seats.
    pub fn small(number: usize) -> Self {
        Self { seats: 9, ..Self::inside(number) }
    }
}

/// Ids of one length.
pub fn id(number: usize) -> String {
    format!("user-{number:07}")
}
