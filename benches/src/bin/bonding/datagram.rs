//! The stream: datagrams of seven transport stream packets, each with its datagram's number in it.

/// Payload of one datagram, bytes.
pub(crate) const DATAGRAM_BYTES: usize = 7 * TS_BYTES;
pub(crate) const TS_BYTES: usize = 188;
const PID: u16 = 0x100;

/// Writes datagram `number` into `out`.
pub(crate) fn fill(number: u32, out: &mut [u8; DATAGRAM_BYTES]) {
    for (index, packet) in (0..7).zip(out.as_chunks_mut::<TS_BYTES>().0) {
        let counter = (number.wrapping_mul(7).wrapping_add(index) % 16) as u8;
        packet[..4].copy_from_slice(&[0x47, (PID >> 8) as u8, PID as u8, 0x10 | counter]);
        packet[4..8].copy_from_slice(&number.to_be_bytes());
        packet[8..].fill(counter);
    }
}

/// The datagram's number, if this is one of the stream's packets.
pub(crate) fn number(packet: &[u8; TS_BYTES]) -> Option<u32> {
    let [0x47, high, low, _, a, b, c, d, ..] = *packet else { return None };
    (u16::from_be_bytes([high, low]) & 0x1fff == PID).then(|| u32::from_be_bytes([a, b, c, d]))
}
