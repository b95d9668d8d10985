use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::socket;
use super::*;
use crate::bond::{BondStats, Mode, SchedulerParams};
use crate::until::until;

/// Longer than this process is held up.
const LATENCY: Duration = Duration::from_secs(1);

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn receiving(binds: usize) -> (Receiver, ReceiverDriver) {
    let mut config = ReceiverConfig::new(vec![loopback(); binds]);
    config.latency = LATENCY;
    receiver(config).unwrap()
}

#[tokio::test]
async fn a_stream_over_two_links_arrives_in_order() {
    let (mut received, driver) = receiving(2);
    let receiving = tokio::spawn(driver.run());
    let remotes = received.local_addrs().iter().enumerate();
    let links = remotes.map(|(id, &remote)| LinkConfig::new(id as u32, remote)).collect();
    let mut config = SenderConfig::new(links);
    config.latency = LATENCY;
    let (handle, driver) = sender(config).unwrap();
    let sending = tokio::spawn(driver.run());
    for i in 0..500u32 {
        handle.send(Bytes::copy_from_slice(&i.to_be_bytes())).await.unwrap();
    }
    for i in 0..500u32 {
        let packet = received.recv().await.unwrap();
        assert_eq!((packet.payload.as_ref(), packet.lost_before), (i.to_be_bytes().as_ref(), 0));
    }
    handle.finish().await.unwrap();
    let stats = handle.stats();
    assert_eq!((stats.packets, stats.links.len()), (500, 2));
    assert!(stats.links.iter().all(|link| link.rtt_ms > Some(0.0) && link.error.is_none()), "{stats:?}");
    drop(handle);
    sending.await.unwrap().unwrap();
    drop(received);
    receiving.await.unwrap().unwrap();
}

fn psk(secret: &str) -> Option<Psk> {
    Some(Psk::new(Passphrase::new(secret).unwrap()))
}

/// Sends ten payloads by the Main Profile, over as many links as there are addresses.
async fn send_by_tunnels(remotes: &[SocketAddr], psk: Option<Psk>) -> Sender {
    let links = remotes.iter().enumerate().map(|(id, &remote)| LinkConfig::new(id as u32, remote)).collect();
    let mut config = SenderConfig::new(links);
    config.latency = LATENCY;
    (config.profile, config.psk) = (Profile::Main, psk);
    let (handle, driver) = sender(config).unwrap();
    tokio::spawn(driver.run());
    for i in 0..10u32 {
        handle.send(Bytes::copy_from_slice(&i.to_be_bytes())).await.unwrap();
    }
    handle
}

/// The receiver is told nothing of the profile.
#[tokio::test]
async fn tunnels_are_recognized_and_carry_a_stream_over_two_links() {
    for psk in [None, psk("secret")] {
        let mut config = ReceiverConfig::new(vec![loopback(); 2]);
        (config.latency, config.psk) = (LATENCY, psk.clone());
        let (mut received, driver) = receiver(config).unwrap();
        tokio::spawn(driver.run());
        let handle = send_by_tunnels(received.local_addrs(), psk).await;
        for i in 0..10u32 {
            let packet = received.recv().await.unwrap();
            assert_eq!((packet.payload.as_ref(), packet.lost_before), (i.to_be_bytes().as_ref(), 0));
        }
        handle.finish().await.unwrap();
        let (stats, back) = (received.stats(), handle.tunnel_stats());
        assert!(stats.tunnel.taken > 10 && stats.tunnel.keep_alives >= 6, "{stats:?}");
        assert!(stats.paths.len() == 2 && stats.paths.iter().all(|path| path.rtcp_packets > 0), "{stats:?}");
        assert!(back.taken > 0 && back.keep_alives >= 2, "{back:?}");
        assert!(handle.stats().links.iter().all(|link| link.rtt_ms > Some(0.0)), "{:?}", handle.stats());
    }
}

/// Another passphrase, none, and the Simple Profile: refused and counted, while who has the key is served.
#[tokio::test]
async fn with_a_key_nothing_else_is_taken() {
    let mut config = ReceiverConfig::new(vec![loopback()]);
    (config.latency, config.psk) = (LATENCY, psk("secret"));
    let (mut received, driver) = receiver(config).unwrap();
    tokio::spawn(driver.run());
    let addrs = received.local_addrs().to_vec();
    let (handle, driver) = sender(SenderConfig::new(vec![LinkConfig::new(0, addrs[0])])).unwrap();
    tokio::spawn(driver.run());
    handle.send(Bytes::from_static(b"by the Simple Profile")).await.unwrap();
    let others = [send_by_tunnels(&addrs, psk("other")).await, send_by_tunnels(&addrs, None).await];
    for other in others.iter().chain([&handle]) {
        other.finish().await.unwrap();
    }
    let sender = send_by_tunnels(&addrs, psk("secret")).await;
    for i in 0..10u32 {
        assert_eq!(received.recv().await.unwrap().payload.as_ref(), i.to_be_bytes());
    }
    sender.finish().await.unwrap();
    let tunnel = received.stats().tunnel;
    assert!(tunnel.undecryptable > 10 && tunnel.unencrypted > 10, "{tunnel:?}");
}

#[tokio::test]
async fn a_link_that_cannot_be_opened_says_so_and_the_others_go_on() {
    let (mut received, driver) = receiving(1);
    tokio::spawn(driver.run());
    let mut broken = LinkConfig::new(7, received.local_addrs()[0]);
    broken.interface = Some("nosuchif0".to_owned());
    let links = vec![broken, LinkConfig::new(8, received.local_addrs()[0])];
    let (handle, driver) = sender(SenderConfig::new(links)).unwrap();
    tokio::spawn(driver.run());
    handle.send(Bytes::from_static(b"payload")).await.unwrap();
    assert_eq!(received.recv().await.unwrap().payload, "payload");
    handle.finish().await.unwrap();
    let stats = handle.stats();
    assert_eq!((stats.links[0].state, stats.links[1].error.clone()), (crate::bond::LinkState::Dead, None));
    assert!(stats.links[0].error.as_ref().unwrap().contains("No such device"), "{stats:?}");
}

#[test]
fn no_link_that_can_be_opened_is_an_error() {
    let mut link = LinkConfig::new(3, SocketAddr::from(([127, 0, 0, 1], 5000)));
    link.interface = Some("nosuchif0".to_owned());
    let error = sender(SenderConfig::new(vec![link])).unwrap_err();
    let said = "no link could be opened: link 3: interface nosuchif0: No such device (os error 19)";
    assert_eq!(error.to_string(), said);
}

#[test]
fn errors_name_the_field() {
    let remote = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let field = |links: Vec<LinkConfig>| match sender(SenderConfig::new(links)) {
        Err(NetError::Config { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(Vec::new()), "links");
    assert_eq!(field(vec![LinkConfig::new(0, remote(5001))]), "links[0].remote");
    assert_eq!(
        field(vec![LinkConfig::new(0, remote(5000)), LinkConfig::new(0, remote(5000))]),
        "links[1].id"
    );
    let error = receiver(ReceiverConfig::new(vec![remote(0), remote(7001)])).unwrap_err();
    assert!(error.to_string().starts_with("invalid binds[1]: the port of RTP must be even"), "{error}");
    let (taken, _driver) = receiver(ReceiverConfig::new(vec![remote(0)])).unwrap();
    let error = receiver(ReceiverConfig::new(vec![taken.local_addrs()[0]])).unwrap_err();
    assert!(matches!(error, NetError::Bind { addr, .. } if addr == taken.local_addrs()[0]));
}

#[test]
fn what_only_the_main_profile_knows_is_refused_without_it() {
    let remote = SocketAddr::from(([127, 0, 0, 1], 5001));
    let refused = |change: fn(&mut SenderConfig)| {
        let mut config =
            SenderConfig::new(vec![LinkConfig::new(0, SocketAddr::from(([127, 0, 0, 1], 5000)))]);
        change(&mut config);
        sender(config).unwrap_err().to_string()
    };
    assert!(refused(|c| c.psk = psk("secret")).starts_with("invalid psk: only with the profile Main"));
    assert!(
        refused(|c| c.null_packet_deletion = true).starts_with("invalid null_packet_deletion: only with")
    );
    assert!(refused(|c| c.sequence_extension = true).starts_with("invalid sequence_extension: only with"));
    assert!(refused(|c| c.full_datagrams = true).starts_with("invalid full_datagrams: only with"));
    assert!(
        refused(|c| c.credentials = Credentials::new("name", "password"))
            .starts_with("invalid credentials: only")
    );
    let too_often = |c: &mut SenderConfig| {
        let key_rotation = Some(Psk::MIN_KEY_ROTATION - 1);
        (c.profile, c.psk) = (Profile::Main, psk("secret").map(|psk| Psk { key_rotation, ..psk }));
    };
    let error = refused(too_often);
    assert!(error.starts_with("invalid psk.key_rotation: a new key every 499 datagrams"), "{error}");
    // One port of any number is enough for a tunnel.
    let mut config = SenderConfig::new(vec![LinkConfig::new(0, remote)]);
    config.profile = Profile::Main;
    config.psk = psk("secret").map(|psk| Psk { key_rotation: Some(Psk::MIN_KEY_ROTATION), ..psk });
    assert!(sender(config).is_ok());
}

#[tokio::test]
async fn payloads_that_do_not_fit_are_refused() {
    let links = vec![LinkConfig::new(0, SocketAddr::from(([127, 0, 0, 1], 5000)))];
    let (handle, driver) = sender(SenderConfig::new(links)).unwrap();
    assert!(matches!(handle.send(Bytes::new()).await, Err(NetError::PayloadSize { len: 0, max: 1440 })));
    let long = handle.send(Bytes::from(vec![0; 1441])).await;
    assert!(matches!(long, Err(NetError::PayloadSize { len: 1441, max: 1440 })));
    drop(driver);
    assert!(matches!(handle.send(Bytes::from_static(b"x")).await, Err(NetError::Closed)));
}

#[test]
fn parameters_are_checked_at_the_start_and_later() {
    let link = || vec![LinkConfig::new(0, SocketAddr::from(([127, 0, 0, 1], 5000)))];
    let mut config = SenderConfig::new(link());
    config.scheduler.redundancy.spare_ratio = 1.5;
    let error = sender(config.clone()).unwrap_err();
    assert_eq!(error.to_string(), "invalid scheduler.redundancy_spare_ratio: expected 0 to 1, got 1.5");
    let (handle, _driver) = sender(SenderConfig::new(link())).unwrap();
    let update = SenderUpdate { scheduler: Some(config.scheduler), ..SenderUpdate::default() };
    assert_eq!(handle.update(update).unwrap_err().to_string(), error.to_string());
    let robust = Some(SchedulerParams::new(Mode::Robust));
    handle.update(SenderUpdate { scheduler: robust, ..SenderUpdate::default() }).unwrap();
}

/// Two senders of the Simple Profile and one of the Main Profile over two links: each is a stream of its own.
#[tokio::test]
async fn a_listener_serves_several_senders() {
    let mut config = ReceiverConfig::new(vec![loopback(); 2]);
    config.latency = Duration::from_millis(1000);
    let (mut listener, driver) = listener(config, 3).unwrap();
    tokio::spawn(driver.run());
    let addrs = listener.local_addrs().to_vec();
    let mut senders = Vec::new();
    for (index, links) in [1, 1, 2].into_iter().enumerate() {
        let links = (0..links).map(|id| LinkConfig::new(id as u32, addrs[id])).collect();
        let mut config = SenderConfig::new(links);
        config.latency = Duration::from_millis(1000);
        if index == 2 {
            config = config.with_virtual_port(2000);
        }
        let (handle, driver) = sender(config).unwrap();
        tokio::spawn(driver.run());
        for number in 0..100 {
            handle.send(Bytes::copy_from_slice(&[index as u8, number])).await.unwrap();
        }
        senders.push(handle);
    }
    let mut seen = Vec::new();
    for _ in 0..3 {
        let mut accepted = listener.accept().await.unwrap();
        let first = accepted.receiver.recv().await.unwrap();
        let index = first.payload[0];
        assert_eq!(first.payload[1], 0);
        for number in 1..100 {
            let packet = accepted.receiver.recv().await.unwrap();
            assert_eq!((packet.payload.as_ref(), packet.lost_before), ([index, number].as_ref(), 0));
        }
        seen.push((index, accepted));
    }
    seen.sort_by_key(|(index, _)| *index);
    drop(senders);
    for (expected, (index, mut accepted)) in seen.into_iter().enumerate() {
        assert_eq!(usize::from(index), expected);
        assert_eq!(accepted.virtual_port, (expected == 2).then_some(2000));
        assert!(accepted.receiver.recv().await.is_none(), "the sender said goodbye");
        assert_eq!(accepted.receiver.stats().ssrc, Some(accepted.ssrc));
    }
    // What is of nobody is told.
    #[expect(clippy::disallowed_types, reason = "nothing here would send that")]
    let stranger = tokio::net::UdpSocket::bind(loopback()).await.unwrap();
    stranger.send_to(&[0x80, 0, 1], listener.local_addrs()[0]).await.unwrap();
    until(|| listener.stats().rejected_datagrams > 0).await;
    assert_eq!(listener.stats().tunnel.crowded, 0);
    let error = super::listener(ReceiverConfig::new(vec![loopback()]), 0).unwrap_err();
    assert!(error.to_string().starts_with("invalid max_streams: 0 streams, 1 to 256"), "{error}");
}

/// Of two streams at the same ports, one is wanted a keyframe of.
#[tokio::test]
async fn a_wish_for_a_keyframe_reaches_the_sender_of_its_stream() {
    let mut config = ReceiverConfig::new(vec![loopback()]);
    config.latency = LATENCY;
    let (mut listener, driver) = listener(config, 2).unwrap();
    tokio::spawn(driver.run());
    let payload = || Bytes::from_static(&[0x47; 188]);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut config = SenderConfig::new(vec![LinkConfig::new(0, listener.local_addrs()[0])]);
        (config.latency, config.keyframes) = (LATENCY, true);
        let (handle, driver) = sender(config).unwrap();
        tokio::spawn(driver.run());
        handle.send(payload()).await.unwrap();
        handle.send(payload()).await.unwrap();
        streams.push((handle, listener.accept().await.unwrap().receiver));
    }
    let [(other, _), (asked, receiver)] = &streams[..] else { unreachable!("two") };
    let mut timer = tokio::time::interval(Duration::from_millis(20));
    loop {
        // Not before the ends know each other.
        receiver.request_keyframe();
        tokio::select! {
            () = asked.keyframe_wanted() => break,
            _ = timer.tick() => asked.send(payload()).await.unwrap(),
        }
    }
    assert!(asked.stats().keyframe_requests > 0);
    assert_eq!(other.stats().keyframe_requests, 0);
}

/// Sends and receives until the sender's statistics are as wanted; everything arrives in order, without a gap.
async fn stream_until(
    handle: &Sender,
    received: &mut Receiver,
    next: &mut u32,
    wanted: impl Fn(&crate::bond::BondStats) -> bool,
) {
    while !wanted(&handle.stats()) {
        handle.send(Bytes::copy_from_slice(&next.to_be_bytes())).await.unwrap();
        let packet = received.recv().await.unwrap();
        assert_eq!((packet.payload.as_ref(), packet.lost_before), (next.to_be_bytes().as_ref(), 0));
        *next += 1;
    }
}

/// What waits together goes out together: of what is taken at a time a system call for 48, and one for the rest.
#[tokio::test]
async fn a_driver_sends_many_datagrams_by_a_system_call() {
    const PAYLOADS: usize = 128;
    for profile in [Profile::Simple, Profile::Main] {
        let rtp = socket::listen(loopback()).unwrap().rtp;
        let to = Channel::register(rtp).unwrap();
        let mut config = SenderConfig::new(vec![LinkConfig::new(0, to.local_addr().unwrap())]);
        config.profile = profile;
        // Nobody answers: all may be under way.
        config.scheduler.max_ahead = Some(LATENCY);
        let (handle, driver) = sender(config).unwrap();
        for _ in 0..PAYLOADS {
            handle.send(Bytes::from_static(&[0x47; 1316])).await.unwrap();
        }
        tokio::spawn(driver.run());
        let (mut datagrams, mut calls) = (0, 0);
        while datagrams < PAYLOADS {
            // Others are RTCP, and what tunnels say themselves.
            for (count, _) in to.sent_together().await.into_iter().filter(|(_, len)| *len > 1316) {
                datagrams += count;
                calls += 1;
            }
        }
        assert!(calls <= 2 * PAYLOADS.div_ceil(64), "{profile:?}: {datagrams} datagrams by {calls} calls");
    }
}

/// A payload lies where the system wrote it, behind those that were read with it: none has memory of its own.
#[tokio::test]
async fn payloads_that_are_received_share_what_they_were_read_into() {
    const PAYLOADS: usize = 48;
    // An allocator would put less between two of them.
    const LEN: usize = 1000;
    for profile in [Profile::Simple, Profile::Main] {
        let (mut received, driver) = receiver(ReceiverConfig::new(vec![loopback()])).unwrap();
        tokio::spawn(driver.run());
        let mut config = SenderConfig::new(vec![LinkConfig::new(0, received.local_addrs()[0])]);
        config.profile = profile;
        // All may be under way before anybody answers.
        config.scheduler.max_ahead = Some(LATENCY);
        let (handle, driver) = sender(config).unwrap();
        for _ in 0..PAYLOADS {
            handle.send(Bytes::from_static(&[0x47; LEN])).await.unwrap();
        }
        tokio::spawn(driver.run());
        let mut packets = Vec::new();
        while packets.len() < PAYLOADS {
            packets.push(received.recv().await.unwrap().payload.as_ptr().addr());
        }
        let between = |pair: &[usize]| pair[1].wrapping_sub(pair[0]);
        // RTP has 12 bytes, a tunnel at least 8 more.
        let headers = if profile == Profile::Simple { 12..=12 } else { 20..=28 };
        let beside =
            packets.windows(2).filter(|pair| headers.contains(&between(pair).wrapping_sub(LEN))).count();
        // They came by two system calls, or by one: the first one was sent more than once.
        assert!(beside >= PAYLOADS - 3, "{profile:?}: {beside}, {packets:?}");
    }
}

/// By both profiles: a link comes, another one goes, one moves, and one cannot be opened.
#[tokio::test]
async fn links_come_go_and_move_while_the_stream_runs() {
    for profile in [Profile::Simple, Profile::Main] {
        let mut config = ReceiverConfig::new(vec![loopback(); 3]);
        config.latency = Duration::from_millis(50);
        let (mut received, driver) = receiver(config).unwrap();
        tokio::spawn(driver.run());
        let addrs = received.local_addrs().to_vec();
        let mut config = SenderConfig::new(vec![LinkConfig::new(4, addrs[0])]);
        (config.profile, config.latency) = (profile, Duration::from_millis(50));
        // However long this process stands still, nothing that is given is given up.
        let (handle, driver) = sender(config.with_waiting_source()).unwrap();
        tokio::spawn(driver.run());
        let change = |links: Vec<LinkConfig>, remove: Vec<u32>| {
            handle.update(SenderUpdate { links, remove, ..SenderUpdate::default() }).unwrap();
        };
        let mut next = 0;
        let known = |link: &crate::bond::LinkStats| link.rtt_ms > Some(0.0) && link.sent_packets > 2;
        stream_until(&handle, &mut received, &mut next, |stats| stats.links.iter().any(known)).await;
        change(vec![LinkConfig::new(5, addrs[1])], vec![]);
        stream_until(&handle, &mut received, &mut next, |s| s.links.len() == 2 && s.links.iter().all(known))
            .await;
        change(vec![], vec![4]);
        stream_until(&handle, &mut received, &mut next, |s| s.links.len() == 1 && s.links[0].id == 5).await;
        // The place of the one is another one's, which cannot be opened; the other moves.
        let mut broken = LinkConfig::new(6, addrs[0]);
        broken.interface = Some("nosuchif0".to_owned());
        change(vec![broken, LinkConfig::new(5, addrs[2])], vec![]);
        stream_until(&handle, &mut received, &mut next, |stats| {
            stats.links.len() == 2 && stats.links[0].error.is_some() && stats.links[1].rtt_ms > Some(0.0)
        })
        .await;
        assert!(handle.stats().links[0].error.as_ref().unwrap().contains("No such device"));
        // The receiver's statistics are up to 100 ms older.
        until(|| received.stats().paths[2].packets > 0).await;
        handle.finish().await.unwrap();
    }
}

/// With a first sender's count too, and a stream that goes on by another link meanwhile.
#[tokio::test]
async fn a_link_that_comes_again_has_what_is_left_of_its_cap() {
    let mut config = ReceiverConfig::new(vec![loopback(); 2]);
    config.latency = Duration::from_millis(50);
    let (mut received, driver) = receiver(config).unwrap();
    tokio::spawn(driver.run());
    let addrs = received.local_addrs().to_vec();
    let mut capped = LinkConfig::new(7, addrs[1]);
    (capped.cap_bytes, capped.spent_bytes) = (Some(1 << 30), 5_000_000);
    let mut config = SenderConfig::new(vec![LinkConfig::new(4, addrs[0]), capped.clone()]);
    config.latency = Duration::from_millis(50);
    let (handle, driver) = sender(config.with_waiting_source()).unwrap();
    tokio::spawn(driver.run());
    let spent = |stats: &BondStats| stats.links.iter().find(|link| link.id == 7).map(|link| link.spent_bytes);
    let mut next = 0;
    stream_until(&handle, &mut received, &mut next, |stats| spent(stats) > Some(5_010_000)).await;
    let before = spent(&handle.stats()).unwrap();
    handle.update(SenderUpdate { remove: vec![7], ..SenderUpdate::default() }).unwrap();
    stream_until(&handle, &mut received, &mut next, |stats| spent(stats).is_none()).await;
    capped.spent_bytes = 0;
    handle.update(SenderUpdate { links: vec![capped], ..SenderUpdate::default() }).unwrap();
    stream_until(&handle, &mut received, &mut next, |stats| spent(stats).is_some()).await;
    assert!(spent(&handle.stats()).unwrap() >= before);
    handle.finish().await.unwrap();
}

/// All that comes from a link, and of what it gets so many datagrams as were sent to it, as their bytes are billed.
async fn is_billed(ip: std::net::IpAddr, headers: u64, profile: Profile, psk: Option<Psk>) {
    #[expect(clippy::disallowed_types, reason = "nothing here would count that")]
    let peer = tokio::net::UdpSocket::bind((ip, 0)).await.unwrap();
    let mut config =
        SenderConfig::new(vec![LinkConfig::new(0, peer.local_addr().unwrap()).with_cap(1 << 30)]);
    (config.profile, config.psk) = (profile, psk);
    let (handle, driver) = sender(config).unwrap();
    tokio::spawn(driver.run());
    let (mut buffer, mut sent, mut totals) = ([0; 2048], 0, vec![0]);
    let mut timer = tokio::time::interval(Duration::from_millis(5));
    let noise = [0; 100];
    // Statistics are those of a moment, between two datagrams.
    loop {
        tokio::select! {
            taken = peer.recv_from(&mut buffer) => {
                let (len, from) = taken.unwrap();
                totals.push(totals.last().unwrap() + len as u64 + headers);
                if sent < 5 {
                    peer.send_to(&noise, from).await.unwrap();
                    sent += 1;
                }
            }
            _ = timer.tick() => handle.send(Bytes::from_static(&[0x47; 188])).await.unwrap(),
        }
        let back = 5 * (noise.len() as u64 + headers);
        let spent = handle.stats().links[0].spent_bytes;
        if totals.len() > 50
            && spent.checked_sub(back).is_some_and(|spent| spent > 0 && totals.contains(&spent))
        {
            return;
        }
    }
}

#[tokio::test]
async fn what_a_link_carries_is_counted_as_it_is_billed() {
    is_billed([127, 0, 0, 1].into(), 28, Profile::Main, None).await;
    is_billed(std::net::Ipv6Addr::LOCALHOST.into(), 48, Profile::Main, psk("secret")).await;
}

#[tokio::test]
async fn links_are_checked_as_a_whole_before_any_changes() {
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let (handle, _driver) = sender(SenderConfig::new(vec![LinkConfig::new(0, at(5000))])).unwrap();
    let refused = |links: Vec<LinkConfig>, remove: Vec<u32>| {
        handle.update(SenderUpdate { links, remove, ..SenderUpdate::default() }).unwrap_err().to_string()
    };
    let good = LinkConfig::new(1, at(5002));
    assert!(refused(vec![good.clone(), LinkConfig::new(2, at(5005))], vec![]).contains("links[1].remote"));
    assert!(refused(vec![good.clone(), good.clone()], vec![]).contains("links[1].id"));
    assert_eq!(refused(vec![], vec![1]), "invalid remove[0]: there is no link 1");
    assert_eq!(refused(vec![], vec![0]), "invalid links: 1 to 16 links are expected");
    let many = (1..=16).map(|id| LinkConfig::new(id, at(5000)));
    assert_eq!(refused(many.collect(), vec![]), "invalid links: 1 to 16 links are expected");
    handle.update(SenderUpdate { links: vec![good], remove: vec![0], ..SenderUpdate::default() }).unwrap();
    // What was said before counts, also before the driver has seen it.
    assert_eq!(refused(vec![], vec![0]), "invalid remove[0]: there is no link 0");
}

#[test]
fn an_update_with_a_latency_or_a_link_that_cannot_be_is_refused() {
    let at = SocketAddr::from(([127, 0, 0, 1], 5000));
    let (handle, _driver) = sender(SenderConfig::new(vec![LinkConfig::new(0, at)])).unwrap();
    for latency in [Duration::ZERO, Duration::from_secs(61)] {
        let update = SenderUpdate { latency: Some(latency), ..SenderUpdate::default() };
        let error = handle.update(update).unwrap_err().to_string();
        assert_eq!(error, "invalid latency: 1 ms to 60 s are expected");
    }
    let enabled = vec![(0, true), (3, false)];
    let error = handle.update(SenderUpdate { enabled, ..SenderUpdate::default() }).unwrap_err().to_string();
    assert_eq!(error, "invalid enabled[1]: there is no link 3");
}

/// With users, who has no password or another one is not heard.
#[tokio::test]
async fn only_who_knows_the_password_is_let_in() {
    let user = |password| Credentials::new("field", password).unwrap();
    let mut config = ReceiverConfig::new(vec![loopback()]);
    config.latency = Duration::from_millis(1000);
    config.users = Some(Verifiers::of(&user("right"), [5; 32]));
    let (mut received, driver) = receiver(config).unwrap();
    tokio::spawn(driver.run());
    let mut handles = Vec::new();
    for (text, credentials) in [("no", None), ("wrong", Some(user("wrong"))), ("right", Some(user("right")))]
    {
        let mut config = SenderConfig::new(vec![LinkConfig::new(0, received.local_addrs()[0])]);
        (config.profile, config.credentials) = (Profile::Main, credentials);
        config.latency = Duration::from_millis(1000);
        let (handle, driver) = sender(config).unwrap();
        tokio::spawn(driver.run());
        handle.send(Bytes::from_static(text.as_bytes())).await.unwrap();
        handles.push(handle);
    }
    // What was sent before the exchange was over is sent again.
    let packet = received.recv().await.unwrap();
    assert_eq!((packet.payload.as_ref(), packet.lost_before), (&b"right"[..], 0));
    assert!(received.stats().tunnel.unauthenticated > 0, "{:?}", received.stats().tunnel);
}

/// A receiver says goodbye: its link rests at once, and is there again when it speaks.
#[tokio::test]
#[expect(clippy::disallowed_types, reason = "its peer is a test")]
async fn a_receiver_that_leaves_is_sent_nothing() {
    use crate::rist::rtcp::Writer;
    use crate::rist::tunnel::{Config, Input, Output, Role, Session};
    use tokio::net::UdpSocket;

    let socket = UdpSocket::bind(loopback()).await.unwrap();
    let link = LinkConfig::new(0, socket.local_addr().unwrap());
    let mut config = SenderConfig::new(vec![link]);
    config.profile = Profile::Main;
    let (handle, driver) = sender(config).unwrap();
    tokio::spawn(driver.run());
    let mut buffer = [0; 2048];
    let (_, from) = socket.recv_from(&mut buffer).await.unwrap();
    let now = tokio::time::Instant::now().into_std();
    let mut writer = Writer::new();
    writer.receiver_report(2, None);
    writer.source_description(2, "test");
    let mut report = Vec::new();
    let mut server = Session::new(now, &Config::default(), Role::Server, 1);
    server.rtcp(&writer.finish(), &mut report);
    let mut farewells = Vec::new();
    server.handle_input(now, Input::Close);
    while let Output::Transmit(datagram) = server.poll_output() {
        farewells.push(datagram);
    }
    for (datagrams, error) in
        [(vec![report.clone()], None), (farewells, Some(links::LEFT)), (vec![report], None)]
    {
        for datagram in datagrams {
            socket.send_to(&datagram, from).await.unwrap();
        }
        let heard = handle.tunnel_stats();
        while handle.tunnel_stats() == heard || handle.stats().links[0].error.as_deref() != error {
            socket.recv_from(&mut buffer).await.unwrap();
        }
    }
}

/// Media and reports alike come from the address that the link's user, or its URL, says.
#[tokio::test]
#[expect(clippy::disallowed_types, reason = "its peer is a test")]
async fn a_link_sends_from_its_source() {
    for by_url in [false, true] {
        let socket = tokio::net::UdpSocket::bind(loopback()).await.unwrap();
        let to = socket.local_addr().unwrap();
        let source = [127, 55, 0, 9].into();
        let config = if by_url {
            let urls: RistUrls = format!("rist://{to}?source={source}").parse().unwrap();
            urls.sender().unwrap().with_profile(Profile::Main)
        } else {
            let link = LinkConfig { source: Some(source), ..LinkConfig::new(0, to) };
            SenderConfig::new(vec![link]).with_profile(Profile::Main)
        };
        let (handle, driver) = sender(config).unwrap();
        tokio::spawn(driver.run());
        handle.send(Bytes::from_static(b"payload")).await.unwrap();
        for _ in 0..3 {
            let (_, from) = socket.recv_from(&mut [0; 2048]).await.unwrap();
            assert_eq!(from.ip(), source, "by its URL: {by_url}");
        }
    }
}

/// The system passes on what comes from where a link leads, and nothing else; by the Main Profile too.
#[tokio::test]
#[expect(clippy::disallowed_types, reason = "its peers are a test")]
async fn who_calls_hears_no_other_address() {
    use crate::rist::rtcp::Writer;
    use crate::rist::tunnel::{Config, Role, Session};
    use tokio::net::UdpSocket;

    let mut writer = Writer::new();
    writer.receiver_report(2, None);
    writer.source_description(2, "test");
    let report = writer.finish();
    let [.., high, low] = std::process::id().to_be_bytes();
    let at = |port: u16| SocketAddr::from(([127, 66, low, high], port));
    for (profile, to, port) in [(Profile::Simple, 5000, 5001), (Profile::Main, 5002, 5002)] {
        let (peer, other) = (UdpSocket::bind(at(port)).await.unwrap(), UdpSocket::bind(at(0)).await.unwrap());
        let config = SenderConfig::new(vec![LinkConfig::new(0, at(to))]).with_profile(profile);
        let (handle, driver) = sender(config).unwrap();
        tokio::spawn(driver.run());
        let mut buffer = [0; 2048];
        let (_, from) = peer.recv_from(&mut buffer).await.unwrap();
        let mut datagram = report.to_vec();
        if profile == Profile::Main {
            let now = tokio::time::Instant::now().into_std();
            Session::new(now, &Config::default(), Role::Server, 1).rtcp(&report, &mut datagram);
        }
        for _ in 0..10 {
            other.send_to(&datagram, from).await.unwrap();
        }
        // It comes after those.
        peer.send_to(&datagram, from).await.unwrap();
        while handle.stats().rtcp_datagrams == 0 {
            peer.recv_from(&mut buffer).await.unwrap();
        }
        assert_eq!(handle.stats().rtcp_datagrams, 1, "{profile:?}");
    }
}
