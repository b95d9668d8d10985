//! Decoding and encoding of the two messages every device sends all day: `device.status` (1.2 KB) and `stream.stats`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Value;
use strata_proto::control::{AgentMessage, Envelope, RawEnvelope};

const DEVICE_STATUS: &str =
    include_str!("../../strata-proto/vectors/control/valid/agent/device.status/document_example.json");
const STREAM_STATS: &str =
    include_str!("../../strata-proto/vectors/control/valid/agent/stream.stats/document_example.json");

/// The golden message as it goes over the wire: on one line, with a session token of the usual size.
fn on_the_wire(vector: &str) -> String {
    let mut message: Value = serde_json::from_str(vector).expect("a golden vector is JSON");
    message["token"] = Value::from("e".repeat(220));
    message.to_string()
}

fn envelope(c: &mut Criterion) {
    for (name, vector) in [("device.status", DEVICE_STATUS), ("stream.stats", STREAM_STATS)] {
        let text = on_the_wire(vector);
        let message = Envelope::<AgentMessage>::decode(&text).expect("a golden vector decodes");
        let broken = text.replacen("\"uptime_s\":", "\"uptime_z\":", 1);
        let mut group = c.benchmark_group(format!("{name} ({} B)", text.len()));
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function("decode envelope", |b| b.iter(|| RawEnvelope::decode(black_box(&text)).is_ok()));
        group.bench_function("decode", |b| {
            b.iter(|| Envelope::<AgentMessage>::decode(black_box(&text)).is_ok());
        });
        group.bench_function("encode", |b| b.iter(|| black_box(&message).encode().is_ok()));
        group.bench_function("decode, field missing", |b| {
            b.iter(|| Envelope::<AgentMessage>::decode(black_box(&broken)).is_err());
        });
        group.finish();
    }
}

criterion_group!(benches, envelope);
criterion_main!(benches);
