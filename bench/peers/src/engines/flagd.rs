//! The evaluation engine of flagd's Rust provider. Its only call takes the rule as text and compiles it every time.

use std::hint::black_box;

use flagd_evaluation_engine::Operator;
use open_feature::EvaluationContext;

use super::{Engine, datalogic};
use crate::job::FLAG;
use crate::person::Person;

pub struct Flagd {
    operator: Operator,
    rule: String,
}

impl Flagd {
    pub fn new() -> Self {
        Self { operator: Operator::new(), rule: datalogic::rule() }
    }
}

impl Engine for Flagd {
    const NAME: &'static str = "flagd-evaluation-engine 0.1";
    const CALL: &'static str = "Operator::apply";
    type Context = EvaluationContext;

    fn context(&self, person: &Person) -> EvaluationContext {
        EvaluationContext::default()
            .with_targeting_key(&person.id)
            .with_custom_field("country", person.country)
            .with_custom_field("plan", person.plan)
            .with_custom_field("seats", person.seats)
            .with_custom_field("email", person.email.as_str())
    }

    fn answer(&mut self, context: &EvaluationContext) -> bool {
        let answer = self.operator.apply(black_box(FLAG), &self.rule, context);
        answer.is_ok_and(|variant| variant.as_deref() == Some("on"))
    }
}
