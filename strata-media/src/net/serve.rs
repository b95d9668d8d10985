//! The loop of a receiving end, whatever machine is behind its front.
#![expect(clippy::disallowed_methods, reason = "a driver reads the clock and waits")]

use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};

use super::front::Front;
use super::news::News;
use crate::rist::receiver::Input;

/// A wake-up that is due so soon is not preceded by another one.
const COALESCE: Duration = Duration::from_millis(1);
/// How often statistics are published.
const STATS_INTERVAL: Duration = Duration::from_millis(100);

/// What stands behind a [`Front`].
pub(super) trait Machine {
    /// Takes what happened.
    fn handle_input(&mut self, now: Instant, input: Input<'_>);

    /// Does what it wants; until when it wants nothing more.
    fn perform(&mut self, front: &mut Front) -> Instant;

    /// Makes its statistics known.
    fn publish(&mut self, now: Instant, front: &Front);

    /// Who is notified when somebody has a [`Wish`](super::wish::Wish).
    fn wished(&self) -> &Notify;

    /// Takes such wishes.
    fn take_wishes(&mut self, now: Instant);

    /// Waits until nobody wants what it gives.
    fn closed(&self) -> impl Future<Output = ()> + Send;
}

/// Runs a machine until nobody wants what it gives.
pub(super) async fn serve(mut front: Front, mut machine: impl Machine) {
    let (mut next_stats, mut news) = (Instant::now(), News::default());
    let mut timer = pin!(sleep(Duration::ZERO));
    loop {
        let due = perform(&mut front, &mut machine);
        let now = Instant::now();
        if now >= next_stats {
            next_stats = now + STATS_INTERVAL;
            news.tunnel(&front.counters());
            machine.publish(now, &front);
        }
        let soon = wait_until(timer.as_mut(), now, due.min(next_stats));
        front.mute(soon);
        tokio::select! {
            biased;
            () = machine.closed() => return,
            () = machine.wished().notified() => machine.take_wishes(Instant::now()),
            () = timer.as_mut() => {
                receive(&mut front, &mut machine);
                let now = Instant::now();
                front.timeout(now);
                machine.handle_input(now, Input::Timeout);
            }
            () = front.readable(), if !soon => receive(&mut front, &mut machine),
        }
    }
}

fn receive(front: &mut Front, machine: &mut impl Machine) {
    let now = Instant::now();
    front.receive(now, |input| machine.handle_input(now, input));
}

/// Does what the front and the machine want; until when they want nothing more.
fn perform(front: &mut Front, machine: &mut impl Machine) -> Instant {
    let now = Instant::now();
    let due = front.drain(now, |input| machine.handle_input(now, input));
    let due = due.min(machine.perform(front));
    front.flush();
    due
}

/// Sets the timer; whether it goes off so soon that sockets need not be looked at before: what comes until then is taken
/// then, with one wake-up for both.
fn wait_until(mut timer: Pin<&mut Sleep>, now: Instant, due: Instant) -> bool {
    let due = tokio::time::Instant::from(due);
    if timer.deadline() != due || timer.is_elapsed() {
        timer.as_mut().reset(due);
    }
    due.duration_since(now.into()) <= COALESCE
}
