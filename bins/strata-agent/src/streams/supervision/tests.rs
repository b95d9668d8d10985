use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use strata_agent_protocol::interfaces::Preference;
use strata_agent_protocol::stream::MOST_SPENT;

use super::*;

/// The machine in virtual time.
struct Bench {
    machine: Supervision,
    now: Instant,
    begun: Instant,
}

impl Bench {
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "an Instant can only be made from the clock")]
        let now = Instant::now();
        Self { machine: Supervision::default(), now, begun: now }
    }

    /// Feeds one input; what comes out, without `Changed`.
    fn feed(&mut self, input: Input) -> Vec<Output> {
        self.machine.handle_input(self.now, input);
        let mut outputs = Vec::new();
        loop {
            match self.machine.poll_output() {
                Output::Timeout(_) => return outputs,
                Output::Changed => {}
                output => outputs.push(output),
            }
        }
    }

    fn said(&mut self, event: PipelineEvent) -> Vec<Output> {
        self.feed(Input::Said(self.machine.generation, event))
    }

    fn crash(&mut self) -> Vec<Output> {
        self.feed(Input::Gone(self.machine.generation, "signal 9".to_owned()))
    }

    /// Goes to the machine's next deadline.
    fn wait(&mut self) -> (Duration, Vec<Output>) {
        let Output::Timeout(Some(at)) = self.machine.poll_output() else { panic!("nothing to wait for") };
        let waited = at - self.now;
        self.now = at;
        (waited, self.feed(Input::Timeout))
    }

    fn live() -> Self {
        let mut bench = Self::new();
        bench.feed(Input::Start(config()));
        assert_eq!(bench.said(PipelineEvent::Started), [Output::Started(Ok(()))]);
        bench
    }
}

fn config() -> Box<PipelineConfig> {
    serde_json::from_value(json!({
        "stream_id": "str_1", "source": {"mode": "test"}, "encoder": {}, "latency_ms": 1000,
        "bonding": {"version": 1, "links": []}, "stats_interval_ms": 1000, "parent": 1, "log": "info",
    }))
    .unwrap()
}

fn stats(sent_bytes: u64) -> StreamStats {
    serde_json::from_value(json!({
        "stream_id": "str_1", "uptime_s": 1, "encoder_bitrate_kbps": 1000, "links": [{
            "id": 0, "state": "Live", "rtt_ms": 1.0, "loss_rate": 0.0, "capacity_bps": 1,
            "sent_bytes": sent_bytes, "lost_packets": 1}],
    }))
    .unwrap()
}

fn ended(outputs: &[Output]) -> &StreamEnded {
    match outputs {
        [.., Output::Ended(ended)] => ended,
        other => panic!("not ended: {other:?}"),
    }
}

#[test]
fn start_live_stop() {
    let mut bench = Bench::new();
    assert_eq!(bench.machine.state(), StreamState::Idle);
    assert_eq!(bench.feed(Input::Start(config())), [Output::Spawn(1, config())]);
    assert_eq!(bench.machine.state(), StreamState::Starting);
    assert_eq!(bench.said(PipelineEvent::Started), [Output::Started(Ok(()))]);
    assert_eq!(bench.machine.state(), StreamState::Streaming);
    bench.now += Duration::from_secs(7);
    let [Output::Stats(stats)] = &bench.said(PipelineEvent::Stats(stats(500)))[..] else { panic!() };
    assert_eq!(stats.uptime_s, 7, "the stream's, not the child's");
    assert_eq!(bench.feed(Input::Stop(EndReason::ControlPlaneStop)), [Output::Tell(PipelineCommand::Stop)]);
    assert_eq!(bench.machine.state(), StreamState::Stopping);
    let outputs = bench.said(PipelineEvent::Ended { total_bytes: 600 });
    let end = ended(&outputs);
    assert_eq!((end.reason, end.duration_s, end.total_bytes), (EndReason::ControlPlaneStop, 7, 600));
    assert_eq!(end.error, None);
    assert_eq!(bench.machine.state(), StreamState::Idle);
    assert!(bench.crash().is_empty(), "the child's exit after its end is no crash");
}

#[test]
fn a_first_start_that_fails_is_answered_and_not_retried() {
    let mut bench = Bench::new();
    bench.feed(Input::Start(config()));
    assert!(bench.said(PipelineEvent::Failed { message: "no camera".to_owned() }).is_empty());
    assert_eq!(bench.crash(), [Output::Started(Err("no camera".to_owned()))]);
    assert_eq!(bench.machine.state(), StreamState::Idle);
}

#[test]
fn a_first_start_that_hangs_is_killed_and_answered() {
    let mut bench = Bench::new();
    bench.feed(Input::Start(config()));
    assert_eq!(bench.wait(), (START_LIMIT, vec![Output::Kill]));
    let [Output::Started(Err(words))] = &bench.crash()[..] else { panic!() };
    assert!(words.contains("did not start"), "{words}");
}

#[test]
fn a_crash_is_retried_three_times_with_backoff_and_then_reported() {
    let mut bench = Bench::live();
    for delay in [2, 4, 8] {
        assert!(bench.crash().is_empty());
        assert_eq!(bench.machine.state(), StreamState::Starting);
        assert!(bench.machine.running().is_some(), "still the control plane's stream");
        let (waited, outputs) = bench.wait();
        assert_eq!(waited, Duration::from_secs(delay));
        assert!(matches!(outputs[..], [Output::Spawn(..)]));
        assert!(bench.said(PipelineEvent::Started).is_empty(), "the order was answered long ago");
        assert_eq!(bench.machine.state(), StreamState::Streaming);
    }
    let outputs = bench.crash();
    let end = ended(&outputs);
    assert_eq!((end.reason, end.duration_s), (EndReason::PipelineCrash, 14));
    assert!(end.error.as_ref().unwrap().contains("signal 9"));
    assert_eq!(bench.machine.state(), StreamState::Idle);
}

#[test]
fn a_failure_with_words_ends_as_an_error() {
    let mut bench = Bench::live();
    for _ in 0..3 {
        bench.said(PipelineEvent::Failed { message: "camera unplugged".to_owned() });
        bench.crash();
        bench.wait();
    }
    bench.said(PipelineEvent::Failed { message: "camera unplugged".to_owned() });
    let outputs = bench.crash();
    let end = ended(&outputs);
    assert_eq!((end.reason, end.error.as_deref()), (EndReason::Error, Some("camera unplugged")));
}

#[test]
fn a_child_that_ran_for_a_minute_starts_the_count_anew() {
    let mut bench = Bench::live();
    for _ in 0..10 {
        for _ in 0..31 {
            bench.now += Duration::from_secs(2);
            bench.said(PipelineEvent::Stats(stats(1)));
        }
        bench.crash();
        assert_eq!(bench.wait().0, Duration::from_secs(2));
        bench.said(PipelineEvent::Started);
    }
}

#[test]
fn counters_go_on_over_a_crash() {
    let mut bench = Bench::live();
    bench.said(PipelineEvent::Stats(stats(500)));
    bench.crash();
    bench.wait();
    bench.said(PipelineEvent::Started);
    let [Output::Stats(now)] = &bench.said(PipelineEvent::Stats(stats(40)))[..] else { panic!() };
    assert_eq!((now.links[0].sent_bytes, now.links[0].lost_packets), (540, Some(2)));
    bench.feed(Input::Stop(EndReason::UserStop));
    assert_eq!(ended(&bench.said(PipelineEvent::Ended { total_bytes: 50 })).total_bytes, 550);
}

#[test]
fn silence_is_a_crash() {
    let mut bench = Bench::live();
    let (waited, outputs) = bench.wait();
    assert_eq!((waited, outputs), (Duration::from_secs(10), vec![Output::Kill]));
    assert!(bench.crash().is_empty());
    assert_eq!(bench.wait().0, FIRST_RETRY);
}

#[test]
fn a_stop_that_hangs_is_killed_after_five_seconds() {
    let mut bench = Bench::live();
    bench.feed(Input::Stop(EndReason::UserStop));
    assert_eq!(bench.wait(), (Duration::from_secs(5), vec![Output::Kill]));
    let outputs = bench.crash();
    assert_eq!(ended(&outputs).reason, EndReason::UserStop);
    assert!(ended(&outputs).error.as_ref().unwrap().contains("did not stop"));
}

#[test]
fn a_child_that_cannot_be_killed_is_not_waited_for() {
    let mut bench = Bench::live();
    bench.feed(Input::Stop(EndReason::UserStop));
    bench.wait();
    let (waited, outputs) = bench.wait();
    assert_eq!((waited, ended(&outputs).reason), (KILL_LIMIT, EndReason::UserStop));
}

#[test]
fn a_stop_ends_waiting_and_starting() {
    let mut bench = Bench::live();
    bench.crash();
    assert_eq!(ended(&bench.feed(Input::Stop(EndReason::AgentShutdown))).reason, EndReason::AgentShutdown);

    let mut bench = Bench::new();
    bench.feed(Input::Start(config()));
    assert_eq!(bench.feed(Input::Stop(EndReason::UserStop)), [Output::Tell(PipelineCommand::Stop)]);
    let outputs = bench.crash();
    assert!(matches!(&outputs[..], [Output::Started(Err(_)), Output::Ended(_)]), "{outputs:?}");
}

#[test]
fn a_file_that_was_played_once_is_no_error() {
    let mut bench = Bench::live();
    let outputs = bench.said(PipelineEvent::Ended { total_bytes: 9 });
    assert_eq!((ended(&outputs).reason, &ended(&outputs).error), (EndReason::UserStop, &None));
}

#[test]
fn words_of_a_dead_child_change_nothing() {
    let mut bench = Bench::live();
    let old = bench.machine.generation;
    bench.crash();
    bench.wait();
    assert!(bench.feed(Input::Said(old, PipelineEvent::Started)).is_empty());
    assert!(bench.feed(Input::Gone(old, "late".to_owned())).is_empty());
    assert_eq!(bench.machine.state(), StreamState::Starting);
}

#[test]
fn an_update_is_answered_by_the_child_and_kept_for_the_next_one() {
    let mut bench = Bench::live();
    let update: ConfigUpdate = serde_json::from_value(json!({
        "encoder": {"bitrate_kbps": 900}, "scheduler": {"discard_deadline_ms": 300},
        "links": [{"id": 3, "uri": "rist://127.0.0.1:15000?buffer=700", "weight": 5}],
    }))
    .unwrap();
    let outputs = bench.feed(Input::Update(update.clone()));
    assert_eq!(outputs, [Output::Tell(PipelineCommand::Update { update: update.clone() })]);
    assert!(
        matches!(bench.feed(Input::Update(update.clone()))[..], [Output::Updated(Err(_))]),
        "one at a time"
    );
    assert_eq!(bench.said(PipelineEvent::Updated { error: None }), [Output::Updated(Ok(()))]);
    bench.crash();
    assert!(matches!(bench.feed(Input::Update(update.clone()))[..], [Output::Updated(Err(_))]), "not live");
    let (_, outputs) = bench.wait();
    let [Output::Spawn(_, config)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(config.encoder.bitrate_kbps, Some(900));
    assert_eq!(config.bonding.scheduler.discard_deadline_ms, Some(300));
    assert_eq!((Some(&config.bonding.links), config.latency_ms), (update.links.as_ref(), 700));
    assert!(bench.begun < bench.now);
}

#[test]
fn what_is_said_of_interfaces_holds_for_the_next_child_too() {
    let mut bench = Bench::live();
    let rules = Rules {
        disabled: BTreeSet::from(["wwan0".to_owned()]),
        preferences: BTreeMap::from([("wwan1".to_owned(), Preference::Backup)]),
    };
    let outputs = bench.feed(Input::Rules(rules.clone()));
    assert_eq!(outputs, [Output::Tell(PipelineCommand::Rules { rules: rules.clone() })]);
    bench.crash();
    assert!(bench.feed(Input::Rules(rules.clone())).is_empty(), "nobody to tell");
    let (_, outputs) = bench.wait();
    let [Output::Spawn(_, config)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(config.rules, rules);
}

#[test]
fn only_one_stream_at_once() {
    let mut bench = Bench::live();
    assert!(matches!(bench.feed(Input::Start(config()))[..], [Output::Started(Err(_))]));
    assert_eq!(bench.machine.state(), StreamState::Streaming);
}

#[test]
fn an_update_dies_with_its_child() {
    let mut bench = Bench::live();
    bench.feed(Input::Update(ConfigUpdate::default()));
    assert!(matches!(&bench.crash()[..], [Output::Updated(Err(words))] if words.contains("signal 9")));
}

#[test]
fn an_update_that_the_child_refuses_or_never_answers_is_not_for_the_next_one() {
    let update: ConfigUpdate = serde_json::from_value(json!({"encoder": {"bitrate_kbps": 900}})).unwrap();
    let mut bench = Bench::live();
    bench.feed(Input::Update(update.clone()));
    let refused = bench.said(PipelineEvent::Updated { error: Some("no such encoder".to_owned()) });
    assert_eq!(refused, [Output::Updated(Err("no such encoder".to_owned()))]);
    bench.crash();
    assert_eq!(bench.wait().1, [Output::Spawn(2, config())]);

    bench.said(PipelineEvent::Started);
    bench.feed(Input::Update(update));
    bench.crash();
    assert_eq!(bench.wait().1, [Output::Spawn(3, config())]);
}

#[test]
fn a_mode_is_laid_over_before_the_parameters_beside_it() {
    let mut bench = Bench::live();
    for scheduler in [
        json!({"redundancy_spare_ratio": 0.3, "redundancy_enabled": true, "critical_broadcast": true, "fec_enabled": false,
            "critical_target_links": 3}),
        json!({"mode": "robust", "critical_broadcast": false}),
        json!({"discard_deadline_ms": 300, "max_ahead_ms": 20}),
    ] {
        bench.feed(Input::Update(serde_json::from_value(json!({"scheduler": scheduler})).unwrap()));
        assert_eq!(bench.said(PipelineEvent::Updated { error: None }), [Output::Updated(Ok(()))]);
    }
    let kept = &bench.machine.running().unwrap().bonding.scheduler;
    let expected = json!({"mode": "robust", "critical_broadcast": false, "discard_deadline_ms": 300, "fec_enabled": false,
        "max_ahead_ms": 20});
    assert_eq!(serde_json::to_value(kept).unwrap(), expected);
    let later = json!({"scheduler": {"critical_target_links": 2}});
    bench.feed(Input::Update(serde_json::from_value(later).unwrap()));
    bench.said(PipelineEvent::Updated { error: None });
    let kept = &bench.machine.running().unwrap().bonding.scheduler;
    assert_eq!(kept.critical_target_links, Some(2));
}

/// A retry has what is left of the caps, however often; a link that is gone and comes again too.
#[test]
fn what_links_have_spent_holds_for_the_next_child_too() {
    let mut bench = Bench::live();
    for (said, kept) in [
        (vec![(0, 500), (1, 70)], vec![(0, 500), (1, 70)]),
        (vec![(0, 800)], vec![(0, 800), (1, 70)]),
        (vec![(0, 900), (1, 90)], vec![(0, 900), (1, 90)]),
    ] {
        assert!(bench.said(PipelineEvent::Spent { links: said }).is_empty());
        bench.crash();
        let (_, outputs) = bench.wait();
        let [Output::Spawn(_, config)] = &outputs[..] else { panic!("{outputs:?}") };
        assert_eq!(config.spent, BTreeMap::from_iter(kept));
        bench.said(PipelineEvent::Started);
    }
    let line = serde_json::to_string(bench.machine.running().unwrap()).unwrap();
    assert_eq!(serde_json::from_str::<PipelineConfig>(&line).unwrap(), *bench.machine.running().unwrap());
    let said = PipelineEvent::Spent { links: vec![(1, 2)] };
    let line = serde_json::to_string(&said).unwrap();
    assert_eq!(serde_json::from_str::<PipelineEvent>(&line).unwrap(), said, "{line}");
    // However many have come and gone, those are kept that carried most.
    let last = MOST_SPENT as u32;
    bench.said(PipelineEvent::Spent { links: (2..=last).map(|id| (id, 1000 + u64::from(id))).collect() });
    let kept = &bench.machine.running().unwrap().spent;
    assert_eq!((kept.len(), kept.get(&0), kept.get(&1)), (MOST_SPENT, Some(&900), None));
}
