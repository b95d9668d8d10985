//! The transport stream's own evidence of loss: sync bytes and continuity counters (ISO/IEC 13818-1, 2.4.3).

use std::collections::BTreeMap;

/// Bytes of a packet.
pub const PACKET: usize = 188;

const SYNC: u8 = 0x47;
/// Stuffing, whose counter means nothing.
const NULL_PID: u16 = 0x1FFF;

/// A hole in a transport stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hole {
    /// A counter did not follow the one before it.
    Gap {
        /// Which part of the stream.
        pid: u16,
        /// Where the packet starts in the file, bytes.
        offset: u64,
        /// The counter that should have come.
        expected: u8,
        /// The counter that came.
        found: u8,
    },
    /// A packet does not start with the sync byte.
    NoSync {
        /// Where it starts in the file, bytes.
        offset: u64,
    },
    /// A packet is marked as damaged (`transport_error_indicator`).
    Damaged {
        /// Where it starts in the file, bytes.
        offset: u64,
    },
    /// The file does not end with a whole packet.
    Tail {
        /// Bytes of the last packet that are there.
        bytes: u64,
    },
}

/// Checks packets one after the other.
#[derive(Debug, Default)]
pub struct Continuity {
    offset: u64,
    pids: BTreeMap<u16, Pid>,
}

#[derive(Debug)]
struct Pid {
    counter: u8,
    repeated: bool,
}

impl Continuity {
    /// A check that starts `offset` bytes into the file.
    #[must_use]
    pub fn at(offset: u64) -> Self {
        Self { offset, pids: BTreeMap::new() }
    }

    /// Looks at the next packet.
    pub fn push(&mut self, packet: &[u8; PACKET]) -> Option<Hole> {
        let offset = self.offset;
        self.offset += PACKET as u64;
        if packet[0] != SYNC {
            return Some(Hole::NoSync { offset });
        }
        if packet[1] & 0x80 != 0 {
            return Some(Hole::Damaged { offset });
        }
        let pid = pid(packet);
        let (has_adaptation, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        if pid == NULL_PID {
            return None;
        }
        let found = packet[3] & 0x0F;
        let announced = has_adaptation && packet[4] > 0 && packet[5] & 0x80 != 0;
        let Some(last) = self.pids.get_mut(&pid) else {
            self.pids.insert(pid, Pid { counter: found, repeated: false });
            return None;
        };
        let expected = if has_payload { (last.counter + 1) & 0x0F } else { last.counter };
        // A packet with payload may come twice, not more often.
        let repeated = has_payload && found == last.counter && !last.repeated;
        *last = Pid { counter: found, repeated };
        (found != expected && !repeated && !announced).then_some(Hole::Gap { pid, offset, expected, found })
    }

    /// Parts of the stream seen so far.
    #[must_use]
    pub fn pids(&self) -> Vec<u16> {
        self.pids.keys().copied().collect()
    }
}

/// Which part of the stream a packet belongs to.
#[must_use]
pub fn pid(packet: &[u8; PACKET]) -> u16 {
    u16::from(packet[1] & 0x1F) << 8 | u16::from(packet[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(pid: u16, counter: u8) -> [u8; PACKET] {
        let mut packet = [0xFF; PACKET];
        let [high, low] = pid.to_be_bytes();
        packet[..4].copy_from_slice(&[SYNC, high, low, 0x10 | counter]);
        packet
    }

    fn check(packets: &[[u8; PACKET]]) -> Vec<Hole> {
        let mut continuity = Continuity::default();
        packets.iter().filter_map(|packet| continuity.push(packet)).collect()
    }

    #[test]
    fn counters_that_follow_are_whole_each_pid_by_itself() {
        let packets: Vec<_> =
            (0..40).flat_map(|n| [packet(0x100, n % 16), packet(0x101, (n + 5) % 16)]).collect();
        assert_eq!(check(&packets), []);
    }

    #[test]
    fn a_missing_packet_is_a_gap_where_the_next_one_starts() {
        let gap = Hole::Gap { pid: 0x100, offset: 188, expected: 4, found: 5 };
        assert_eq!(check(&[packet(0x100, 3), packet(0x100, 5), packet(0x100, 6)]), [gap]);
    }

    #[test]
    fn a_packet_may_come_twice_but_not_three_times() {
        assert_eq!(check(&[packet(0x100, 3), packet(0x100, 3), packet(0x100, 4)]), []);
        let packets = [packet(0x100, 3), packet(0x100, 3), packet(0x100, 3)];
        assert_eq!(check(&packets).len(), 1);
    }

    #[test]
    fn packets_without_payload_do_not_count() {
        let mut clock_only = packet(0x100, 3);
        clock_only[3] = 0x20 | 3;
        clock_only[4] = 183;
        clock_only[5] = 0x10;
        assert_eq!(check(&[packet(0x100, 3), clock_only, packet(0x100, 4)]), []);
    }

    #[test]
    fn an_announced_jump_is_no_gap() {
        let mut jump = packet(0x100, 9);
        jump[3] |= 0x20;
        jump[4] = 1;
        jump[5] = 0x80;
        assert_eq!(check(&[packet(0x100, 3), jump, packet(0x100, 10)]), []);
    }

    #[test]
    fn stuffing_is_not_looked_at_and_damage_is_seen() {
        let mut damaged = packet(0x100, 4);
        damaged[1] |= 0x80;
        let mut shifted = packet(0x100, 4);
        shifted[0] = 0;
        let packets = [packet(NULL_PID, 3), packet(NULL_PID, 9), damaged, shifted];
        assert_eq!(check(&packets), [Hole::Damaged { offset: 376 }, Hole::NoSync { offset: 564 }]);
    }
}
