//! From `bonding_config` to what the engine takes. Pure.

use std::time::Duration;

use strata_agent_protocol::stream::PipelineConfig;
use strata_media::bond::{Mode, SchedulerParams};
use strata_media::net::SenderConfig;
use strata_proto::control::Scheduler;

use crate::links::{self, Addresses};

/// The bond as the engine takes it.
///
/// # Errors
/// When the address of a link is not known, or the engine refuses the links or the scheduler.
pub(crate) fn sender_config(config: &PipelineConfig, addresses: &Addresses) -> anyhow::Result<SenderConfig> {
    let mut sender = links::sender(config, addresses)?;
    sender.latency = Duration::from_millis(config.latency_ms.into());
    sender.scheduler = scheduler(&config.bonding.scheduler)?;
    Ok(sender)
}

/// The scheduler as the engine takes it: absent fields as in its mode, which is economy when it is absent too.
///
/// # Errors
/// The field that the engine refuses.
pub(crate) fn scheduler(given: &Scheduler) -> anyhow::Result<SchedulerParams> {
    let mode = given.mode.map_or(Ok(Mode::Economy), |mode| mode.name().parse())?;
    let mut params = SchedulerParams::new(mode);
    let ms = |ms: u32| Duration::from_millis(ms.into());
    params.discard_deadline = given.discard_deadline_ms.map(ms);
    params.max_ahead = given.max_ahead_ms.map(ms);
    let copies = &mut params.redundancy;
    take(&mut copies.enabled, given.redundancy_enabled);
    take(&mut copies.spare_ratio, given.redundancy_spare_ratio);
    take(&mut copies.max_packet_bytes, given.redundancy_max_packet_bytes.map(|bytes| bytes as usize));
    take(&mut copies.target_links, given.redundancy_target_links.map(|links| links as usize));
    let critical = &mut params.critical_broadcast;
    take(&mut critical.enabled, given.critical_broadcast);
    take(&mut critical.target_links, given.critical_target_links.map(|links| links as usize));
    let storm = &mut params.storm;
    take(&mut storm.enabled, given.storm_enabled);
    take(&mut storm.reliable_weight, given.storm_reliable_weight);
    take(&mut storm.unreliable_max_age, given.storm_unreliable_max_age_ms.map(ms));
    take(&mut params.failover.suspect_after, given.failover_suspect_ms.map(ms));
    take(&mut params.failover.readmit_after, given.failover_readmit_ms.map(ms));
    take(&mut params.fec.enabled, given.fec_enabled);
    take(&mut params.fec.max_ratio, given.fec_max_ratio);
    params.check()?;
    Ok(params)
}

fn take<T>(have: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *have = given;
    }
}

#[cfg(test)]
mod tests {
    use strata_proto::control::BondingMode;

    use super::*;

    #[test]
    fn every_field_finds_its_place() {
        let nothing = scheduler(&Scheduler::default()).unwrap();
        assert_eq!(nothing, SchedulerParams::new(Mode::Economy));
        let given = Scheduler {
            mode: Some(BondingMode::Robust),
            storm_enabled: Some(true),
            storm_reliable_weight: Some(0.7),
            storm_unreliable_max_age_ms: Some(150),
            discard_deadline_ms: Some(200),
            max_ahead_ms: Some(20),
            redundancy_enabled: Some(true),
            redundancy_spare_ratio: Some(0.4),
            redundancy_max_packet_bytes: Some(1000),
            redundancy_target_links: Some(3),
            critical_broadcast: Some(true),
            critical_target_links: Some(4),
            failover_suspect_ms: Some(300),
            failover_readmit_ms: Some(900),
            fec_enabled: Some(false),
            fec_max_ratio: Some(0.2),
        };
        let params = scheduler(&given).unwrap();
        assert_eq!(params.discard_deadline, Some(Duration::from_millis(200)));
        assert_eq!(params.max_ahead, Some(Duration::from_millis(20)));
        let storm = params.storm;
        assert!(storm.enabled && storm.reliable_weight == 0.7);
        assert_eq!(storm.unreliable_max_age, Duration::from_millis(150));
        let copies = params.redundancy;
        assert!(copies.enabled && copies.spare_ratio == 0.4 && params.critical_broadcast.enabled);
        assert_eq!((copies.max_packet_bytes, copies.target_links), (1000, 3));
        let failover = params.failover;
        let ms = |time: Duration| time.as_millis();
        assert_eq!((ms(failover.suspect_after), ms(failover.readmit_after)), (300, 900));
        assert!(!params.fec.enabled && params.fec.max_ratio == 0.2);
        assert_eq!(params.critical_broadcast.target_links, 4);
    }

    #[test]
    fn a_mode_is_the_engine_s_and_single_parameters_go_before_it() {
        for (given, mode) in [
            (BondingMode::Economy, Mode::Economy),
            (BondingMode::Balanced, Mode::Balanced),
            (BondingMode::Robust, Mode::Robust),
        ] {
            let mut given = Scheduler { mode: Some(given), ..Scheduler::default() };
            assert_eq!(scheduler(&given).unwrap(), SchedulerParams::new(mode));
            given.redundancy_spare_ratio = Some(0.3);
            let mut expected = SchedulerParams::new(mode);
            expected.redundancy.spare_ratio = 0.3;
            assert_eq!(scheduler(&given).unwrap(), expected);
        }
    }

    #[test]
    fn what_the_engine_refuses_is_named() {
        let given = Scheduler { discard_deadline_ms: Some(0), ..Scheduler::default() };
        assert!(scheduler(&given).unwrap_err().to_string().contains("discard_deadline_ms"));
    }
}
