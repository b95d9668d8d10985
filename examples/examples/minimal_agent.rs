//! The smallest useful agent: it joins a control plane, reports its real state, and lists its
//! network interfaces when asked. Give it the enrolment string of a new sender (`make demo
//! SECONDS=0` prints one), and the next time nothing but the same string, or the directory it left:
//!
//! ```sh
//! cargo run -p strata-examples --example minimal_agent -- 'strata://enroll?url=…&token=…&ca=…' [DIRECTORY]
//! ```

use std::fs;

use async_trait::async_trait;
use strata_client::role::agent::{self, Agent, Context, Event};
use strata_client::{Config, Identity};
use strata_proto::control::{
    CommandKind, DeviceStatus, Fault, InterfaceState, InterfaceType, InterfacesScan, InterfacesScanResult,
    NetworkInterface,
};
use strata_proto::token::EnrollUri;

struct Minimal;

#[async_trait]
impl Agent for Minimal {
    // Only what is really implemented: the control plane refuses the rest before sending it.
    fn capabilities(&self) -> Vec<CommandKind> {
        vec![CommandKind::InterfacesScan]
    }

    async fn status(&self) -> Option<DeviceStatus> {
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let uptime = uptime.split('.').next().and_then(|seconds| seconds.parse().ok());
        Some(DeviceStatus {
            network_interfaces: interfaces(),
            uptime_s: uptime.unwrap_or_default(),
            ..DeviceStatus::default()
        })
    }

    async fn interfaces_scan(&self, _: Context, _: InterfacesScan) -> Result<InterfacesScanResult, Fault> {
        Ok(InterfacesScanResult { network_interfaces: interfaces() })
    }
}

/// What `/sys/class/net` knows.
fn interfaces() -> Vec<NetworkInterface> {
    let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let interface = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let state = fs::read_to_string(entry.path().join("operstate")).unwrap_or_default();
        let value = serde_json::json!({
            "name": name,
            "type": if name == "lo" { InterfaceType::Loopback } else { InterfaceType::Ethernet },
            "state": match state.trim() {
                "up" | "unknown" => InterfaceState::Connected,
                _ => InterfaceState::Disconnected,
            },
        });
        serde_json::from_value(value).ok()
    };
    entries.filter_map(interface).collect()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().init();
    let mut arguments = std::env::args().skip(1);
    let uri: EnrollUri = arguments.next().unwrap_or_default().parse()?;
    let directory = arguments.next().unwrap_or_else(|| "minimal-agent".into());
    // The key is made at the first start; the token is not needed again after it.
    let identity = Identity::load_or_create(directory)?;
    let (handle, driver) = agent::connect(Config::from(uri), identity, Minimal)?;
    let mut events = handle.events();
    let driver = tokio::spawn(driver.run());
    loop {
        tokio::select! {
            Some(event) = events.next() => match event {
                Event::LoggedIn { sender_id, .. } => println!("online as {sender_id}"),
                other => println!("{other:?}"),
            },
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    handle.shutdown().await;
    Ok(driver.await?)
}
