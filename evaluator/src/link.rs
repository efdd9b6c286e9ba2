//! Connects flags to the flags they need. Circles, chains that are too long and whatever needs a broken flag are
//! broken, each in its own slot, with the reason by name; all the others are served.

use std::collections::HashMap;

use crate::FlagSource;
use crate::prerequisites::{Need, Prerequisites, STEPS_MAX, Step};
use crate::problem::{Problem, Problems, one_line};

/// How many flags may need each other in a row: more is hard to follow for people.
const CHAIN_MAX: usize = 16;
/// How many keys of a circle are named.
const CIRCLE_NAMED_MAX: usize = 16;
/// How much of the reason of a broken flag those that need it repeat.
const REASON_CHARS_MAX: usize = 200;

/// One slot of the ruleset, before it is connected.
pub(crate) struct Node<'s> {
    /// `None` when the key is declared more than once.
    pub(crate) source: Option<&'s FlagSource>,
    /// The key of the flag.
    pub(crate) key: &'s str,
    /// Why the flag is broken already.
    pub(crate) broken: Option<&'s str>,
}

/// What a flag needs, or everything that is wrong with that; by slot. Flags that are broken already have no new
/// problems.
pub(crate) fn link(nodes: &[Node<'_>]) -> Vec<Result<Option<Box<Prerequisites>>, Vec<Problem>>> {
    if nodes.iter().all(|node| node.source.is_none_or(|source| source.state.prerequisites.is_empty())) {
        return nodes.iter().map(|_| Ok(None)).collect();
    }
    let by_key: HashMap<&str, usize> = nodes.iter().enumerate().map(|(slot, node)| (node.key, slot)).collect();
    let mut needs = Vec::with_capacity(nodes.len());
    let mut problems = Vec::with_capacity(nodes.len());
    for node in nodes {
        let (found, wrong) = needs_of(node, nodes, &by_key);
        needs.push(found);
        problems.push(wrong);
    }
    let (order, circles) = walk(nodes, &needs);
    let mut linker = Linker { nodes, needs, linked: nodes.iter().map(|_| Linked::default()).collect() };
    for (rank, slot) in order.into_iter().enumerate() {
        linker.connect(slot, rank, problems[slot].split_off(0), circles.get(&slot));
    }
    linker.linked.into_iter().map(|linked| linked.outcome).collect()
}

/// A flag that is needed, and the variations that will do.
struct Edge {
    slot: usize,
    variations: Box<[usize]>,
}

fn needs_of(node: &Node<'_>, nodes: &[Node<'_>], by_key: &HashMap<&str, usize>) -> (Vec<Edge>, Vec<Problem>) {
    let mut problems = Problems::default();
    let mut needs = Vec::new();
    let Some(source) = node.source.filter(|_| node.broken.is_none()) else {
        return (needs, Vec::new());
    };
    for (index, prerequisite) in source.state.prerequisites.iter().enumerate() {
        let path = format!("prerequisites[{index}]");
        let Some(slot) = by_key.get(prerequisite.flag.as_str()).copied() else {
            problems.add(format!("{path}.flag"), format!("flag `{}` is not known", prerequisite.flag));
            continue;
        };
        let mut variations = Vec::new();
        // Of a flag that is declared twice nobody knows the variations: it is broken, which is said instead.
        if let Some(needed) = nodes[slot].source {
            for (place, key) in prerequisite.variations.iter().enumerate() {
                match needed.flag.variations.iter().position(|variation| variation.key == *key) {
                    Some(variation) => variations.push(variation),
                    None => {
                        let message = format!("`{key}` is not a variation of flag `{}`", prerequisite.flag);
                        problems.add(format!("{path}.variations[{place}]"), message);
                    }
                }
            }
        }
        needs.push(Edge { slot, variations: variations.into() });
    }
    (needs, problems.into_vec())
}

#[derive(Copy, Clone, PartialEq)]
enum Colour {
    Unseen,
    /// On the way from where the walk began to where it is.
    Open,
    Done,
}

/// All slots in an order in which each comes after those it needs, and the circles, named, by the slots on them.
fn walk(nodes: &[Node<'_>], needs: &[Vec<Edge>]) -> (Vec<usize>, HashMap<usize, String>) {
    let mut colours = vec![Colour::Unseen; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    let mut circles = HashMap::new();
    for start in 0..nodes.len() {
        if colours[start] != Colour::Unseen {
            continue;
        }
        colours[start] = Colour::Open;
        let mut way = vec![(start, 0)];
        while let Some((slot, next)) = way.last_mut() {
            let Some(edge) = needs[*slot].get(*next) else {
                colours[*slot] = Colour::Done;
                order.push(*slot);
                way.pop();
                continue;
            };
            *next += 1;
            match colours[edge.slot] {
                Colour::Unseen => {
                    colours[edge.slot] = Colour::Open;
                    way.push((edge.slot, 0));
                }
                Colour::Open => {
                    let circle: Vec<usize> =
                        way.iter().map(|(slot, _)| *slot).skip_while(|slot| *slot != edge.slot).collect();
                    let name = name_circle(nodes, &circle);
                    for slot in circle {
                        circles.entry(slot).or_insert_with(|| name.clone());
                    }
                }
                Colour::Done => {}
            }
        }
    }
    (order, circles)
}

fn name_circle(nodes: &[Node<'_>], circle: &[usize]) -> String {
    let mut names: Vec<&str> = circle.iter().take(CIRCLE_NAMED_MAX).map(|slot| nodes[*slot].key).collect();
    if circle.len() > CIRCLE_NAMED_MAX {
        names.push("...");
    }
    names.extend(circle.first().map(|slot| nodes[*slot].key));
    format!("flags need each other in a circle: {}", names.join(" -> "))
}

struct Linker<'n, 's> {
    nodes: &'n [Node<'s>],
    needs: Vec<Vec<Edge>>,
    linked: Vec<Linked>,
}

struct Linked {
    outcome: Result<Option<Box<Prerequisites>>, Vec<Problem>>,
    /// Why it cannot be used, for those that need it: the cause at the root, not the way to it.
    reason: Option<String>,
    /// How many flags in a row there are from here on.
    chain: usize,
    rank: usize,
    /// Every flag it needs, directly or through others, in the order of their ranks.
    closure: Vec<usize>,
}

impl Default for Linked {
    fn default() -> Self {
        Self { outcome: Ok(None), reason: None, chain: 1, rank: 0, closure: Vec::new() }
    }
}

impl Linker<'_, '_> {
    /// Settles one slot; those it needs are settled, unless they are on a circle with it.
    fn connect(&mut self, slot: usize, rank: usize, mut problems: Vec<Problem>, circle: Option<&String>) {
        let mut linked = Linked { rank, ..Linked::default() };
        if let Some(why) = self.nodes[slot].broken {
            linked.reason = Some(short(why));
            self.linked[slot] = linked;
            return;
        }
        let add = |problems: &mut Vec<Problem>, path: String, message: String| problems.push(Problem { path, message });
        if let Some(circle) = circle {
            add(&mut problems, "prerequisites".to_owned(), circle.clone());
            linked.reason = Some(circle.clone());
        } else {
            for edge in &self.needs[slot] {
                if let Some(reason) = &self.linked[edge.slot].reason {
                    let index = self.place_of(slot, edge.slot);
                    let message = format!("flag `{}` is broken: {reason}", self.nodes[edge.slot].key);
                    add(&mut problems, format!("prerequisites[{index}].flag"), message);
                    linked.reason.get_or_insert_with(|| reason.clone());
                }
            }
        }
        if problems.is_empty() {
            linked.chain += self.needs[slot].iter().map(|edge| self.linked[edge.slot].chain).max().unwrap_or(0);
            linked.closure = self.closure(slot);
            if linked.chain > CHAIN_MAX {
                let message = format!("more than {CHAIN_MAX} flags need each other in a row");
                add(&mut problems, "prerequisites".to_owned(), message);
            } else if linked.closure.len() > STEPS_MAX {
                let message = format!("the flag needs more than {STEPS_MAX} others, directly and through them");
                add(&mut problems, "prerequisites".to_owned(), message);
            }
        }
        if problems.is_empty() {
            linked.outcome = Ok(self.prerequisites(slot, &linked.closure));
        } else {
            linked.reason.get_or_insert_with(|| short(&one_line(&problems)));
            linked.outcome = Err(problems);
        }
        self.linked[slot] = linked;
    }

    /// The place of a needed flag in the list of the flag that needs it.
    fn place_of(&self, slot: usize, needed: usize) -> usize {
        let listed = self.nodes[slot].source.map_or(&[][..], |source| &source.state.prerequisites);
        listed.iter().position(|prerequisite| prerequisite.flag.as_str() == self.nodes[needed].key).unwrap_or(0)
    }

    fn closure(&self, slot: usize) -> Vec<usize> {
        let mut closure = Vec::new();
        for edge in &self.needs[slot] {
            closure.extend_from_slice(&self.linked[edge.slot].closure);
            closure.push(edge.slot);
        }
        closure.sort_unstable_by_key(|needed| self.linked[*needed].rank);
        closure.dedup();
        closure
    }

    fn prerequisites(&self, slot: usize, closure: &[usize]) -> Option<Box<Prerequisites>> {
        if closure.is_empty() {
            return None;
        }
        let needs = |slot: usize| -> Box<[Need]> {
            let need = |edge: &Edge| Need {
                step: closure
                    .iter()
                    .position(|needed| *needed == edge.slot)
                    .expect("a closure has what its members need"),
                variations: edge.variations.clone(),
            };
            self.needs[slot].iter().map(need).collect()
        };
        let steps = closure.iter().map(|slot| Step { slot: *slot, needs: needs(*slot) }).collect();
        Some(Box::new(Prerequisites { steps, needs: needs(slot) }))
    }
}

fn short(reason: &str) -> String {
    match reason.char_indices().nth(REASON_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &reason[..end]),
        None => reason.to_owned(),
    }
}
