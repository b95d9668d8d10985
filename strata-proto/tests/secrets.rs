//! What must not be shown is not shown.
#![cfg(feature = "control")]

use serde_json::json;
use strata_proto::control::{ConfigUpdate, StreamStart};

#[test]
fn debug_shows_no_parameters_of_links() {
    let uri = "rist://topsecret@gate:15000?secret=topsecret&password=topsecret&buffer=500";
    let links = json!([{"id": 3, "uri": uri, "interface": "wwan0"}]);
    let start: StreamStart = serde_json::from_value(json!({
        "stream_id": "str_1", "source": {"mode": "test"}, "destinations": [uri, "rist://gate:2&secret=topsecret"],
        "bonding_config": {"version": 1, "links": links},
    }))
    .unwrap();
    let update: ConfigUpdate = serde_json::from_value(json!({"links": links})).unwrap();
    for shown in [format!("{start:?}"), format!("{update:?}")] {
        assert!(!shown.contains("topsecret"), "{shown}");
        assert!(shown.contains("gate:15000") && shown.contains("wwan0"), "{shown}");
    }
    let sent = serde_json::to_value(&update).unwrap();
    assert_eq!(sent["links"][0]["uri"], uri, "who is told it needs all of it");
}
