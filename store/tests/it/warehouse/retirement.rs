//! Nodes that are gone for good: for engines that one node writes to.

use liftgate_domain::Warehouse;
use liftgate_evaluator::TREATMENT;
use liftgate_store::warehouse::MemoryWarehouse;

use super::engine::append_all;
use super::examples::*;

#[tokio::test]
async fn a_retired_node_no_longer_holds_the_watermark_back() {
    let batches = [
        batch("gone", 1, 1, 1_000, vec![exposure("x", "u", TREATMENT, 500)]),
        batch("here", 1, 1, 30_000, vec![event("e", "u", 2.0, 600)]),
    ];
    let check = async |warehouse: &dyn Warehouse| {
        let mut evidence = warehouse.evidence();
        assert_eq!(evidence.borrow_and_update().time(), Some(at(1_000)));
        warehouse.retire_other_nodes("unheard-of");
        assert!(!evidence.has_changed().unwrap(), "the watermark is never without a mark");
        warehouse.retire_other_nodes("here");
        assert!(evidence.has_changed().unwrap());
        assert_eq!(evidence.borrow_and_update().time(), Some(at(30_000)));
        let answer = warehouse.moments(&question()).await.unwrap();
        assert_eq!(answer.watermark, *evidence.borrow());
        assert_eq!(total(&answer, "revenue", TREATMENT), Some((1, 2.0)), "its rows stay");
    };
    let memory = MemoryWarehouse::new();
    append_all(&memory, &batches).await;
    check(&memory).await;
    #[cfg(feature = "parquet")]
    for is_flushed_before in [false, true] {
        let stand = super::stand::Stand::new();
        let warehouse = stand.open();
        append_all(&warehouse, &batches).await;
        if is_flushed_before {
            warehouse.flush().await.unwrap();
        }
        check(&warehouse).await;
        warehouse.flush().await.unwrap();
        drop(warehouse);
        let again = stand.open();
        assert_eq!(again.evidence().borrow().time(), Some(at(30_000)), "it does not come back");
        assert!(again.is_durable("gone", 1, 1));
    }
}
