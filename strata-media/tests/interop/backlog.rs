//! What the system has no room for waits: an interface that is slower than what is sent by it.

use std::net::UdpSocket;

use strata_media::net::{Channel, Inbox};

use crate::namespace::{own_network, run};

#[tokio::test]
async fn what_the_system_has_no_room_for_waits() {
    if !own_network("backlog::what_the_system_has_no_room_for_waits") {
        return;
    }
    run("tc qdisc add dev lo root tbf rate 40mbit burst 16k limit 32m");
    let bind = || Channel::register(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
    let (mut from, to) = (bind(), bind());
    let addr = to.local_addr().unwrap();
    let (mut inbox, mut came, mut held_up) = (Inbox::default(), 0, 0);
    // More than twice what the system is asked to take, as each datagram counts for more than its bytes.
    for _ in 0..400 {
        (0..20).for_each(|_| from.send_to(&[&[0x47; 1316]], addr));
        from.flush();
        while from.is_held_up() {
            held_up += 1;
            to.readable().await;
            came += inbox.receive(&to).count();
            from.flush();
        }
    }
    while came < 8000 {
        to.readable().await;
        came += inbox.receive(&to).count();
    }
    assert!(held_up > 0);
    assert_eq!((came, from.refused()), (8000, 0));
}
