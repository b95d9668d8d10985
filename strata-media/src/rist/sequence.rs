//! Sequence numbers and time stamps beyond their wraps.

/// Where extended numbers start, so that a few before the first one are not negative.
pub(super) const ORIGIN: u64 = 1 << 32;

/// The number nearest to `reference` whose lower 16 bits are `sequence`.
pub(super) fn extend(reference: u64, sequence: u16) -> u64 {
    let ahead = sequence.wrapping_sub(reference as u16) as i16;
    reference.wrapping_add_signed(i64::from(ahead))
}

/// The number nearest to `reference` whose lower 32 bits are `sequence`.
fn extend_long(reference: u64, sequence: u32) -> u64 {
    let ahead = sequence.wrapping_sub(reference as u32) as i32;
    reference.wrapping_add_signed(i64::from(ahead))
}

/// A sequence number as packets tell it: 16 bits, and 16 more with the Main Profile's extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sequence {
    pub(super) lower: u16,
    pub(super) upper: Option<u16>,
}

impl Sequence {
    /// The number nearest to `reference` that it stands for.
    pub(super) fn near(self, reference: u64) -> u64 {
        self.long().map_or_else(|| extend(reference, self.lower), |long| extend_long(reference, long))
    }

    /// The number of a stream that starts with it.
    pub(super) fn first(self) -> u64 {
        ORIGIN + u64::from(self.long().unwrap_or(self.lower.into()))
    }

    /// The one so many packets later.
    pub(super) fn plus(self, count: u16) -> Self {
        match self.long() {
            None => Self { lower: self.lower.wrapping_add(count), upper: None },
            Some(long) => Self::from(long.wrapping_add(count.into())),
        }
    }

    fn long(self) -> Option<u32> {
        self.upper.map(|upper| (u32::from(upper) << 16) | u32::from(self.lower))
    }
}

impl From<u32> for Sequence {
    fn from(long: u32) -> Self {
        Self { lower: long as u16, upper: Some((long >> 16) as u16) }
    }
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
        let long = |lower, upper| Sequence { lower, upper: Some(upper) };
        assert_eq!(long(1, 0).near(ORIGIN + 0xffff_fffe), ORIGIN * 2 + 1);
        assert_eq!(long(0x8000, 3).near(ORIGIN + 0x1_0000), ORIGIN + 0x3_8000, "beyond what 16 bits tell");
        assert_eq!(Sequence { lower: 0x8000, upper: None }.near(ORIGIN + 0x1_0000), ORIGIN + 0x8000);
        assert_eq!((long(7, 2).first(), long(0xffff, 2).plus(2)), (ORIGIN + 0x2_0007, long(1, 3)));
        assert_eq!(extend_timestamp(0xffff_ffff, 3), 0x1_0000_0003);
        assert_eq!(extend_timestamp(0x1_0000_0003, 0xffff_ffff), 0xffff_ffff);
    }
}
