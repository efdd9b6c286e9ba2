//! The warehouse on a real ClickHouse: every case of the port, and the definition's answers in generated worlds.

use liftgate_domain::Warehouse;

use super::clickhouse_server::{Server, connect, fresh_database};
use super::comparison::check_world;
use super::engine::Engine;
use super::world::World;

/// One of each size and length.
const WORLDS: usize = 4;
/// Each world is asked every eighth question: they are many, and the server thinks long about each.
const EVERY: usize = 8;

/// Databases of one server, one for each check.
struct ClickHouse(&'static Server);

impl Engine for ClickHouse {
    async fn on_empty(&self, check: impl AsyncFnOnce(&dyn Warehouse)) {
        check(&connect(self.0, &fresh_database()).await).await;
    }
}

#[tokio::test]
async fn answers_every_case_of_the_port() {
    super::check_all(&ClickHouse(Server::shared())).await;
}

#[tokio::test]
async fn answers_as_the_definition_does() {
    for seed in 0..WORLDS {
        let mut world = World::full(seed as u64);
        let mut position = 0;
        world.questions.retain(|_| {
            position += 1;
            position % EVERY == seed
        });
        assert!(!world.questions.is_empty());
        check_world(&ClickHouse(Server::shared()), &world, &format!("seed {seed}")).await;
    }
}
