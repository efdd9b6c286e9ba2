//! The Parquet engine against the definition, on generated worlds and in every arrangement of files and tail.

use std::sync::Arc;

use liftgate_domain::{SealedBatch, Warehouse};
use liftgate_store::warehouse::ParquetWarehouse;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::comparison::Answers;
use super::stand::Stand;
use super::world::World;

/// One of each size and length.
const WORLDS: u64 = 4;

/// Where the rows are when the question is asked.
#[derive(Copy, Clone, Debug)]
enum Arrangement {
    AllInTheTail,
    FlushedOnce,
    FlushedAfterEachBatch,
    /// Flushed at random, reopened at random without a flush: the node appends what was not durable again.
    Mixed(u64),
}

async fn arrange(stand: &Stand, batches: &[Arc<SealedBatch>], arrangement: Arrangement) -> ParquetWarehouse {
    let mut warehouse = stand.open();
    let mut rng = StdRng::seed_from_u64(match arrangement {
        Arrangement::Mixed(seed) => seed,
        _ => 0,
    });
    for (position, batch) in batches.iter().enumerate() {
        warehouse.append(Arc::clone(batch)).await.unwrap();
        match arrangement {
            Arrangement::FlushedAfterEachBatch => warehouse.flush().await.unwrap(),
            Arrangement::Mixed(_) if rng.random_bool(0.2) => warehouse.flush().await.unwrap(),
            Arrangement::Mixed(_) if rng.random_bool(0.1) => {
                drop(warehouse);
                warehouse = stand.open();
                for again in &batches[..=position] {
                    if again.sequence > warehouse.durable_through(&again.node, again.epoch) {
                        warehouse.append(Arc::clone(again)).await.unwrap();
                    }
                }
            }
            _ => {}
        }
    }
    if matches!(arrangement, Arrangement::FlushedOnce) {
        warehouse.flush().await.unwrap();
    }
    warehouse
}

/// Every float, bit by bit.
fn bits(answers: &Answers) -> Vec<u64> {
    let mut bits = Vec::new();
    for answer in &answers.moments {
        for cell in &answer.cells {
            bits.extend([cell.moments.n, cell.moments.mean.to_bits(), cell.moments.m2.to_bits()]);
            let joint = cell.joint.iter().flat_map(|joint| joint.mean.iter().chain(&joint.co));
            bits.extend(joint.map(|value| value.to_bits()));
        }
        bits.extend(answer.quantiles.iter().map(|quantile| quantile.value.to_bits()));
        bits.extend(
            answer
                .capping
                .iter()
                .flat_map(|capping| [Some(capping.at), capping.denominator_at])
                .flatten()
                .map(f64::to_bits),
        );
    }
    bits
}

#[tokio::test]
async fn answers_as_the_definition_does_and_with_the_same_bits_in_every_arrangement() {
    let (mut cells, mut crossovers, mut surplus) = (0, 0, 0);
    for seed in 0..WORLDS {
        let world = World::full(seed);
        let expected = Answers::expected(&world).await;
        let mut first_bits = None;
        let mut arrangements = vec![Arrangement::AllInTheTail, Arrangement::FlushedOnce, Arrangement::Mixed(seed)];
        if seed == 0 {
            // Longer worlds have files of many days, each of which would be opened for every question.
            arrangements.extend([Arrangement::FlushedAfterEachBatch, Arrangement::Mixed(seed + 1_000)]);
        }
        for arrangement in arrangements {
            let stand = Stand::new();
            let warehouse = arrange(&stand, &world.batches, arrangement).await;
            let actual = Answers::of(&warehouse, &world.questions).await;
            actual.assert_close(&expected, &format!("seed {seed}, {arrangement:?}"));
            let bits = bits(&actual);
            assert_eq!(&bits, first_bits.get_or_insert(bits.clone()), "seed {seed}, {arrangement:?}: bits");
            let again = Answers::of(&warehouse, &world.questions).await;
            assert_eq!(again.moments, actual.moments, "seed {seed}, {arrangement:?}: asked again");
        }
        cells += expected.moments.iter().map(|answer| answer.cells.len()).sum::<usize>();
        crossovers += expected.moments.iter().map(|answer| answer.crossover_units).sum::<u64>();
        surplus += expected.counts[0].surplus;
    }
    // The worlds must contain what they are there for.
    assert!(cells > 10_000 && crossovers > 50 && surplus > 100, "{cells} cells, {crossovers} crossovers, {surplus}");
}

#[tokio::test]
async fn the_order_of_nodes_and_threads_never_changes_a_bit() {
    let world = World::full(77);
    let mut seen = None;
    for seed in 0..6 {
        let mut stand = Stand::new();
        stand.options.threads = 1 + usize::try_from(seed).unwrap() % 3;
        // Any interleaving that keeps each (node, epoch) in order.
        let mut rng = StdRng::seed_from_u64(seed);
        let mut queues: std::collections::BTreeMap<_, std::collections::VecDeque<_>> = Default::default();
        for batch in &world.batches {
            queues.entry((batch.node.clone(), batch.epoch)).or_default().push_back(Arc::clone(batch));
        }
        let warehouse = stand.open();
        while !queues.is_empty() {
            let pick = queues.keys().nth(rng.random_range(0..queues.len())).unwrap().clone();
            let queue = queues.get_mut(&pick).unwrap();
            warehouse.append(queue.pop_front().unwrap()).await.unwrap();
            if queue.is_empty() {
                queues.remove(&pick);
            }
            if rng.random_bool(0.3) {
                warehouse.flush().await.unwrap();
            }
        }
        let bits = bits(&Answers::of(&warehouse, &world.questions).await);
        assert_eq!(&bits, seen.get_or_insert(bits.clone()), "interleaving {seed}");
    }
}

#[tokio::test]
async fn what_is_remembered_never_changes_an_answer() {
    let (mut reused, mut missed) = (0, 0);
    for seed in 0..2 {
        let world = World::full(seed);
        // The log of one source lets no id in twice: with repeats nothing would be remembered.
        let source = (Arc::clone(&world.batches[0].node), world.batches[0].epoch);
        let batches = world.batches.iter().filter(|batch| (Arc::clone(&batch.node), batch.epoch) == source);
        let batches: Vec<_> = batches.cloned().collect();
        let (mut remembering, mut forgetting) = (Stand::new(), Stand::new());
        // The second one is short of memory: entries come and go.
        remembering.options.remembered_bytes = if seed == 0 { 64 << 20 } else { 20_000 };
        forgetting.options.remembered_bytes = 0;
        let (remembering, forgetting) = (remembering.open(), forgetting.open());
        let checks = 5;
        for (position, batch) in batches.iter().enumerate() {
            let is_check = (position + 1) % (batches.len() / checks).max(1) == 0;
            for warehouse in [&remembering, &forgetting] {
                warehouse.append(Arc::clone(batch)).await.unwrap();
                if position % 3 == 0 {
                    warehouse.flush().await.unwrap();
                }
                if is_check && position % 2 == 0 {
                    warehouse.compact().await.unwrap();
                }
            }
            if !is_check {
                continue;
            }
            let expected = Answers::of(&forgetting, &world.questions).await;
            for time in 0..2 {
                let actual = Answers::of(&remembering, &world.questions).await;
                assert_eq!(actual.moments, expected.moments, "seed {seed}, batch {position}, time {time}");
                assert_eq!(bits(&actual), bits(&expected), "seed {seed}, batch {position}, time {time}: bits");
            }
            let remembered = remembering.describe().remembered;
            assert!(remembered.bytes <= if seed == 0 { 64 << 20 } else { 20_000 }, "{remembered:?}");
        }
        reused += remembering.describe().remembered.reused;
        missed += remembering.describe().remembered.missed;
        let nothing = forgetting.describe().remembered;
        assert_eq!((nothing.entries, nothing.reused), (0, 0), "seed {seed}");
    }
    assert!(reused > 100 && missed > 10, "{reused} reused, {missed} missed");
}
