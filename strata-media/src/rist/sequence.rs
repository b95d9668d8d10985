//! Sequence numbers and time stamps beyond their wraps.

/// Where extended numbers start, so that a few before the first one are not negative.
pub(super) const ORIGIN: u64 = 1 << 32;

/// The number nearest to `reference` whose lower 16 bits are `sequence`.
pub(super) fn extend(reference: u64, sequence: u16) -> u64 {
    let ahead = sequence.wrapping_sub(reference as u16) as i16;
    reference.wrapping_add_signed(i64::from(ahead))
}

/// The time stamp nearest to `reference` whose lower 32 bits are `timestamp`.
pub(super) fn extend_timestamp(reference: i64, timestamp: u32) -> i64 {
    let ahead = timestamp.wrapping_sub(reference as u32) as i32;
    reference.wrapping_add(i64::from(ahead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_over_the_wrap() {
        assert_eq!(extend(ORIGIN + 0xfffe, 1), ORIGIN + 0x1_0001);
        assert_eq!(extend(ORIGIN + 1, 0xfffe), ORIGIN - 2);
        assert_eq!(extend(ORIGIN, 0x7fff), ORIGIN + 0x7fff);
        assert_eq!(extend(ORIGIN, 0x8000), ORIGIN - 0x8000);
        assert_eq!(extend_timestamp(0xffff_ffff, 3), 0x1_0000_0003);
        assert_eq!(extend_timestamp(0x1_0000_0003, 0xffff_ffff), 0xffff_ffff);
    }
}
