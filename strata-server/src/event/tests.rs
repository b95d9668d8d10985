use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::*;

fn user(name: &str) -> UserId {
    format!("usr_{name}").parse().unwrap()
}

fn sender(name: &str) -> Topic {
    Topic::Sender(format!("snd_{name}").parse().unwrap())
}

fn room(events: usize) -> Room {
    Room { events, bytes: 10_000 }
}

fn at() -> Timestamp {
    Timestamp::from_unix_millis(1_000)
}

fn names(subscriber: &mut Subscriber) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(delivery) = subscriber.next().now_or_never() {
        names.push(match delivery {
            Delivery::Event(text) => {
                let value: Value = serde_json::from_slice(&text).unwrap();
                format!("{}:{}", value["seq"], value["event"].as_str().unwrap())
            }
            Delivery::Lagged { missed } => format!("lagged {missed}"),
        });
    }
    names
}

#[test]
fn hears_what_it_asked_for_once_and_only_of_its_account() {
    let events = Events::new();
    let mut mine = events.subscriber(Scope::Account(user("a")), room(8));
    let mut all = events.subscriber(Scope::All, room(8));
    assert_eq!(mine.subscribe(sender("1")), 0);
    mine.subscribe(Topic::AllSenders);
    all.subscribe(Topic::AllSenders);

    events.publish(at(), &user("a"), sender("1"), "one", &json!({}));
    events.publish(at(), &user("b"), sender("2"), "two", &json!({}));
    events.publish(at(), &user("a"), Topic::Stream("str_1".parse().unwrap()), "three", &json!({}));
    assert_eq!(names(&mut mine), ["1:one"]);
    assert_eq!(names(&mut all), ["1:one", "2:two"]);

    mine.unsubscribe(&Topic::AllSenders);
    mine.unsubscribe(&sender("1"));
    events.publish(at(), &user("a"), sender("1"), "four", &json!({}));
    assert!(names(&mut mine).is_empty());
}

#[test]
fn the_frame_is_a_live_event() {
    let events = Events::new();
    let mut subscriber = events.subscriber(Scope::All, room(8));
    subscriber.subscribe(sender("1"));
    events.publish(at(), &user("a"), sender("1"), "sender.presence", &json!({"presence": "online"}));
    let Some(Delivery::Event(text)) = subscriber.next().now_or_never() else { panic!("no event") };
    let frame: strata_proto::control::LiveFrame = serde_json::from_slice(&text).unwrap();
    let strata_proto::control::LiveFrame::Event(event) = frame else { panic!("no event: {frame:?}") };
    assert_eq!((event.seq, event.event.as_str(), event.ts), (1, "sender.presence", at()));
    assert_eq!(event.data["presence"], "online");
}

#[test]
fn a_slow_subscriber_is_told_how_much_it_missed() {
    let events = Events::new();
    let mut subscriber = events.subscriber(Scope::All, room(2));
    subscriber.subscribe(Topic::AllSenders);
    for n in 0..5 {
        events.publish(at(), &user("a"), sender("1"), "tick", &n);
    }
    assert_eq!(names(&mut subscriber), ["lagged 5"]);
    events.publish(at(), &user("a"), sender("1"), "tick", &6);
    assert_eq!(names(&mut subscriber), ["6:tick"]);
}

#[test]
fn what_waits_is_bounded_by_bytes_and_one_event_alone_always_has_room() {
    let events = Events::new();
    let mut subscriber = events.subscriber(Scope::All, Room { events: 8, bytes: 500 });
    subscriber.subscribe(Topic::AllSenders);
    events.publish(at(), &user("a"), sender("1"), "large", &"x".repeat(1000));
    assert_eq!(names(&mut subscriber), ["1:large"]);
    for _ in 0..2 {
        events.publish(at(), &user("a"), sender("1"), "half", &"x".repeat(200));
    }
    assert_eq!(names(&mut subscriber), ["lagged 2"]);
    events.publish(at(), &user("a"), sender("1"), "half", &"x".repeat(200));
    assert_eq!(names(&mut subscriber), ["4:half"]);
}

#[test]
fn a_dropped_subscriber_leaves_nothing_behind() {
    let events = Events::new();
    let mut subscriber = events.subscriber(Scope::All, room(2));
    subscriber.subscribe(Topic::AllSenders);
    drop(subscriber);
    assert!(events.hub.lock().unwrap().index.is_empty());
}
