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
