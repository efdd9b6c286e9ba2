//! A flag that serves one variation whatever it is set to, for the tests of applications.

use std::sync::Arc;

use crate::{Error, Ruleset};

impl Ruleset {
    /// From now on the flag serves this variation to everybody, with the reason [`crate::Reason::Static`], as if it
    /// were enabled and had neither prerequisites nor targets nor rules; flags that need it see that too.
    /// [`Error::Forced`] when there is no such flag or variation, or the flag is broken.
    pub fn force(&mut self, flag: &str, variation: &str) -> Result<(), Error> {
        let refused = |message: String| Error::Forced { flag: flag.to_owned(), message };
        let Some(place) = self.position(flag) else {
            return Err(refused("the flag is not known".to_owned()));
        };
        let slots = self.slots_mut();
        match &mut slots[place].flag {
            Ok(compiled) => Arc::make_mut(compiled).force(variation).map_err(refused)?,
            Err(why) => return Err(refused(format!("the flag is broken: {why}"))),
        }
        slots[place].prerequisites = None;
        slots[place].needs_time = false;
        let needed = slots.iter_mut().filter_map(|slot| slot.prerequisites.as_mut());
        for step in needed.flat_map(|needed| &mut needed.steps).filter(|step| step.slot == place) {
            step.needs = Box::default();
        }
        self.forget_sources();
        Ok(())
    }
}
