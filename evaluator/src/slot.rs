//! The place of one flag in a ruleset: the compiled flag with what it needs, or why it is broken.

use std::sync::Arc;

use crate::compiled_flag::CompiledFlag;
use crate::link::{Node, link};
use crate::parse::Unreadable;
use crate::prerequisites::Prerequisites;
use crate::problem::{Problem, below, one_line};
use crate::ruleset::{FlagSource, UnitTypes};
use crate::segments::Segments;

#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) key: Arc<str>,
    pub(crate) revision: u64,
    pub(crate) flag: Result<Arc<CompiledFlag>, String>,
    pub(crate) prerequisites: Option<Box<Prerequisites>>,
    /// Whether the flag, or one it needs, may serve something else at another time.
    pub(crate) needs_time: bool,
}

/// What there is of one flag before it is compiled.
pub(crate) struct Entry<'s> {
    key: &'s str,
    revision: u64,
    source: Result<&'s Arc<FlagSource>, &'s Problem>,
}

impl<'s> From<&'s Arc<FlagSource>> for Entry<'s> {
    fn from(source: &'s Arc<FlagSource>) -> Self {
        Self { key: source.flag.key.as_str(), revision: source.revision, source: Ok(source) }
    }
}

impl<'s> From<&'s Unreadable> for Entry<'s> {
    fn from(flag: &'s Unreadable) -> Self {
        Self { key: flag.key.as_str(), revision: flag.revision, source: Err(&flag.problem) }
    }
}

/// Finds the slot that was compiled from this very source.
pub(crate) type Known<'k, 's> = dyn Fn(&str, &Arc<FlagSource>) -> Option<&'s Slot> + 'k;

/// Compiles all flags, in the order of their keys, and answers their sources beside them; what is wrong with them joins
/// `problems`. Of a slot that is known only the links to other flags are made anew.
pub(crate) fn compile(
    mut entries: Vec<Entry<'_>>,
    segments: &Segments,
    units: &UnitTypes<'_>,
    known: &Known<'_, '_>,
    problems: &mut Vec<Problem>,
) -> (Vec<Slot>, Vec<Option<Arc<FlagSource>>>) {
    entries.sort_by_key(|entry| entry.key);
    let groups: Vec<&[Entry<'_>]> = entries.chunk_by(|left, right| left.key == right.key).collect();

    let mut broken =
        |key: &str, found: Vec<Problem>| -> String {
            let line = one_line(&found);
            problems.extend(found.into_iter().map(|problem| Problem {
                path: below(&format!("flags.{key}"), &problem.path),
                message: problem.message,
            }));
            line
        };
    let mut slots: Vec<Slot> = Vec::with_capacity(groups.len());
    for group in &groups {
        let known = match group {
            [Entry { key, source: Ok(source), .. }] => known(key, source),
            _ => None,
        };
        if let Some(Slot { key, revision, flag: Ok(flag), .. }) = known {
            let (key, flag) = (Arc::clone(key), Ok(Arc::clone(flag)));
            slots.push(Slot { key, revision: *revision, flag, prerequisites: None, needs_time: false });
            continue;
        }
        let flag = match group {
            [Entry { source: Ok(source), .. }] => CompiledFlag::compile(source, segments, units),
            [Entry { source: Err(problem), .. }] => Err(vec![(*problem).clone()]),
            _ => {
                Err(vec![Problem { path: "key".to_owned(), message: "the key is declared more than once".to_owned() }])
            }
        };
        let Entry { key, revision, .. } = group[0];
        let flag = flag.map(Arc::new).map_err(|found| broken(key, found));
        slots.push(Slot { key: key.into(), revision, flag, prerequisites: None, needs_time: false });
    }

    let linked = {
        let nodes: Vec<Node<'_>> = slots
            .iter()
            .zip(&groups)
            .map(|(slot, group)| Node {
                source: if let [only] = group { only.source.ok().map(Arc::as_ref) } else { None },
                key: &slot.key,
                broken: slot.flag.as_ref().err().map(String::as_str),
            })
            .collect();
        link(&nodes)
    };
    for (slot, linked) in slots.iter_mut().zip(linked) {
        match linked {
            Ok(prerequisites) => slot.prerequisites = prerequisites,
            Err(found) => slot.flag = Err(broken(&slot.key, found)),
        }
    }
    let needs_time: Vec<bool> = slots.iter().map(|slot| needs_time(slot, &slots)).collect();
    for (slot, needs_time) in slots.iter_mut().zip(needs_time) {
        slot.needs_time = needs_time;
    }
    let source_of = |group: &&[Entry<'_>]| if let [only] = group { only.source.ok().map(Arc::clone) } else { None };
    let sources = groups.iter().map(source_of).collect();
    (slots, sources)
}

fn needs_time(slot: &Slot, slots: &[Slot]) -> bool {
    let own = |slot: &Slot| slot.flag.as_ref().is_ok_and(|flag| flag.needs_time());
    let is_enabled = slot.flag.as_ref().is_ok_and(|flag| flag.is_enabled());
    let needed = slot.prerequisites.iter().flat_map(|needed| &needed.steps);
    is_enabled && (own(slot) || needed.map(|step| &slots[step.slot]).any(own))
}
