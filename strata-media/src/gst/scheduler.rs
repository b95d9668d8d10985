//! The scheduler's parameters as a `GstStructure`, by the names of `control.md`'s `bonding_config.scheduler`.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;

use super::error::SettingError;
use crate::bond::SchedulerParams;

/// The parameters of a mode, or others, and what is said otherwise, checked as a whole.
///
/// # Errors
/// The field that is not known, of another type, or out of its range.
pub(super) fn params(
    mut params: SchedulerParams,
    given: Option<&gst::StructureRef>,
) -> Result<SchedulerParams, SettingError> {
    for (name, value) in given.into_iter().flat_map(gst::StructureRef::iter) {
        take(&mut params, name.as_str(), value)?;
    }
    params.check()?;
    Ok(params)
}

fn take(params: &mut SchedulerParams, name: &str, value: &glib::SendValue) -> Result<(), SettingError> {
    let read = Read { name, value };
    match name {
        "discard_deadline_ms" => params.discard_deadline = Some(read.ms()?),
        "max_ahead_ms" => params.max_ahead = Some(read.ms()?),
        "redundancy_enabled" => params.redundancy.enabled = read.flag()?,
        "redundancy_spare_ratio" => params.redundancy.spare_ratio = read.ratio()?,
        "redundancy_max_packet_bytes" => params.redundancy.max_packet_bytes = read.count()?,
        "redundancy_target_links" => params.redundancy.target_links = read.count()?,
        "critical_broadcast" => params.critical_broadcast.enabled = read.flag()?,
        "critical_target_links" => params.critical_broadcast.target_links = read.count()?,
        "storm_enabled" => params.storm.enabled = read.flag()?,
        "storm_reliable_weight" => params.storm.reliable_weight = read.ratio()?,
        "storm_unreliable_max_age_ms" => params.storm.unreliable_max_age = read.ms()?,
        "failover_suspect_ms" => params.failover.suspect_after = read.ms()?,
        "failover_readmit_ms" => params.failover.readmit_after = read.ms()?,
        "fec_enabled" => params.fec.enabled = read.flag()?,
        "fec_max_ratio" => params.fec.max_ratio = read.ratio()?,
        _ => return Err(read.fault("there is no such parameter")),
    }
    Ok(())
}

/// A field that is read as what it must be.
struct Read<'a> {
    name: &'a str,
    value: &'a glib::SendValue,
}

impl Read<'_> {
    fn fault(&self, reason: &str) -> SettingError {
        SettingError::Field { field: self.name.to_owned(), reason: reason.to_owned() }
    }

    fn flag(&self) -> Result<bool, SettingError> {
        self.value.get().map_err(|_| self.fault("expected true or false"))
    }

    /// Text gives numbers of 32 bits with a sign, programs any.
    fn whole(&self) -> Option<i64> {
        let value = self.value;
        let small = value.get::<i32>().map(i64::from).or_else(|_| value.get::<u32>().map(i64::from));
        let large = || value.get::<u64>().ok().and_then(|number| number.try_into().ok());
        small.ok().or_else(|| value.get::<i64>().ok()).or_else(large)
    }

    fn count(&self) -> Result<usize, SettingError> {
        let count = self.whole().and_then(|number| usize::try_from(number).ok());
        count.ok_or_else(|| self.fault("expected a whole number, 0 or more"))
    }

    fn ms(&self) -> Result<Duration, SettingError> {
        let ms = self.whole().and_then(|number| u64::try_from(number).ok());
        ms.map(Duration::from_millis).ok_or_else(|| self.fault("expected whole milliseconds"))
    }

    fn ratio(&self) -> Result<f64, SettingError> {
        let number = self.value.get::<f64>().ok().or_else(|| self.whole().map(|number| number as f64));
        number.ok_or_else(|| self.fault("expected a number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bond::Mode;

    fn read(text: &str) -> Result<SchedulerParams, String> {
        gst::init().unwrap();
        let structure: gst::Structure = text.parse().unwrap();
        params(SchedulerParams::new(Mode::Robust), Some(&structure)).map_err(|error| error.to_string())
    }

    #[test]
    fn every_field_finds_its_place() {
        assert_eq!(read("scheduler"), Ok(SchedulerParams::new(Mode::Robust)));
        let ms = Duration::from_millis;
        let mut expected = SchedulerParams::new(Mode::Robust);
        expected.discard_deadline = Some(ms(300));
        expected.max_ahead = Some(ms(20));
        let copies = &mut expected.redundancy;
        (copies.enabled, copies.spare_ratio, copies.max_packet_bytes, copies.target_links) =
            (false, 0.25, 900, 3);
        (expected.critical_broadcast.enabled, expected.critical_broadcast.target_links) = (false, 4);
        let storm = &mut expected.storm;
        (storm.enabled, storm.reliable_weight, storm.unreliable_max_age) = (true, 1.0, ms(150));
        (expected.failover.suspect_after, expected.failover.readmit_after) = (ms(400), ms(900));
        (expected.fec.enabled, expected.fec.max_ratio) = (false, 0.2);
        let text = "scheduler, discard_deadline_ms=300, max_ahead_ms=(uint)20, redundancy_enabled=false, \
                    redundancy_spare_ratio=0.25, redundancy_max_packet_bytes=(gint64)900, redundancy_target_links=3, \
                    critical_broadcast=false, critical_target_links=(guint64)4, storm_enabled=true, \
                    storm_reliable_weight=1, storm_unreliable_max_age_ms=150, failover_suspect_ms=400, \
                    failover_readmit_ms=900, fec_enabled=false, fec_max_ratio=0.2";
        assert_eq!(read(text), Ok(expected));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let cases = [
            ("storm=true", "scheduler: storm: there is no such parameter"),
            ("storm_enabled=maybe", "scheduler: storm_enabled: expected true or false"),
            ("max_ahead_ms=-1", "scheduler: max_ahead_ms: expected whole milliseconds"),
            (
                "redundancy_target_links=many",
                "scheduler: redundancy_target_links: expected a whole number, 0 or more",
            ),
            ("storm_reliable_weight=heavy", "scheduler: storm_reliable_weight: expected a number"),
            (
                "discard_deadline_ms=0",
                "scheduler: invalid discard_deadline_ms: expected 1 to 60000 ms, got 0ns",
            ),
        ];
        for (field, reason) in cases {
            assert_eq!(read(&format!("scheduler, {field}")), Err(reason.to_owned()));
        }
    }
}
