//! One continuous time line from a file that is played over and over.
//!
//! Every pass of the reader starts at zero. The video of the next pass goes on exactly where the video of this one ends,
//! and sound is laid under it sample by sample: what is too much is cut at the start of the next pass, what is missing
//! is silence.

/// Samples per second of all sound.
pub(super) const RATE: i64 = 48_000;

const SECOND: i64 = 1_000_000_000;
/// Sound that is off by less is taken as it comes; decoders round.
const TOLERANCE: i64 = RATE / 50;
/// Sound that is this much behind the pictures is not waited for.
const PATIENCE: i64 = 2 * SECOND;
/// Sound that outlasts the pictures by more than this makes the pass longer.
const OVERHANG: i64 = SECOND / 2;

/// What to do with a buffer of sound: this much silence first, then all but the first `skip` samples of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Laid {
    /// Number of the first sample that is written, silence included.
    pub(super) at: i64,
    /// Samples of silence before it.
    pub(super) silence: i64,
    /// Samples of it to leave out.
    pub(super) skip: i64,
}

/// Where everything goes. Times are running time in ns, and may be negative before a pass's start.
#[derive(Debug)]
pub(super) struct Timeline {
    /// Where this pass starts.
    start: i64,
    /// First and last point of this pass's video, from its start.
    video: Option<(i64, i64)>,
    /// Length of the last frame.
    frame: i64,
    /// The same of sound.
    audio: Option<(i64, i64)>,
    /// Samples that lie on the line, once there are some.
    written: Option<i64>,
    /// No sound of this pass has been laid yet: it is aligned to the sample.
    aligning: bool,
}

impl Timeline {
    /// A line that starts at `start` ns, which leaves room for decoding times before the first picture.
    pub(super) fn new(start: i64) -> Self {
        Self { start, video: None, frame: 0, audio: None, written: None, aligning: true }
    }

    /// Where a frame goes that the reader gives at `time` for `duration`, in pictures of a constant `rate` (numerator and
    /// denominator per second) if they have one: containers round their times, and a time line should not.
    pub(super) fn video(&mut self, time: i64, duration: i64, rate: Option<(i64, i64)>) -> i64 {
        let first = self.video.map_or(time, |(first, _)| first);
        let (time, end) = rate
            .and_then(|rate| on_grid(time - first, rate))
            .map_or((time, time + duration), |(from, to)| (first + from, first + to));
        self.video = Some(self.video.map_or((time, end), |(first, last)| (first.min(time), last.max(end))));
        self.frame = end - time;
        self.start + time
    }

    /// Where a decoding time goes.
    pub(super) fn place(&self, time: i64) -> i64 {
        self.start + time
    }

    /// Where `samples` of sound go that the reader gives at `time`.
    pub(super) fn audio(&mut self, time: i64, samples: i64) -> Laid {
        let end = time + samples * SECOND / RATE;
        self.audio = Some(self.audio.map_or((time, end), |(first, last)| (first.min(time), last.max(end))));
        let place = to_samples(self.start + time);
        let at = *self.written.get_or_insert(place.max(0));
        let off = place - at;
        let (silence, skip) = match off {
            _ if !self.aligning && off.abs() < TOLERANCE => (0, 0),
            0.. => (off, 0),
            _ => (0, (-off).min(samples)),
        };
        self.aligning = skip == samples;
        self.written = Some(at + silence + samples - skip);
        Laid { at, silence, skip }
    }

    /// Silence to lay because the pictures are at `place` and no sound came for long: first sample and number.
    pub(super) fn overdue(&mut self, place: i64) -> Option<(i64, i64)> {
        let begin = self.start + self.video.map_or(0, |v| v.0);
        let at = *self.written.get_or_insert(to_samples(begin).max(0));
        if at >= to_samples(place - PATIENCE) {
            return None;
        }
        let samples = to_samples(place - PATIENCE / 2) - at;
        self.written = Some(at + samples);
        Some((at, samples))
    }

    /// Whether this pass had anything in it.
    pub(super) fn is_empty(&self) -> bool {
        self.length() <= 0
    }

    /// Ends a pass; the next starts where it ended.
    pub(super) fn next_pass(&mut self) {
        self.start += self.length();
        (self.video, self.audio, self.aligning) = (None, None, true);
    }

    fn length(&self) -> i64 {
        match (self.video, self.audio) {
            (Some((first, last)), Some((_, sound))) if sound > last + OVERHANG && self.frame > 0 => {
                (last - first) + (sound - last).div_euclid(self.frame) * self.frame + self.frame
            }
            (Some((first, last)), _) | (None, Some((first, last))) => last - first,
            (None, None) => 0,
        }
    }
}

/// Start and end of the frame that lies nearest to `time` at a constant rate, unless that is a quarter of a frame away.
fn on_grid(time: i64, (numer, denom): (i64, i64)) -> Option<(i64, i64)> {
    let (numer, frame) = (i128::from(numer), i128::from(denom) * i128::from(SECOND));
    if numer <= 0 || frame <= 0 {
        return None;
    }
    let number = (i128::from(time) * numer + frame / 2).div_euclid(frame);
    let (from, to) = (number * frame / numer, (number + 1) * frame / numer);
    let near = (i128::from(time) - from).abs() * 4 <= frame / numer;
    near.then(|| Some((i64::try_from(from).ok()?, i64::try_from(to).ok()?))).flatten()
}

/// The sample nearest to a time.
fn to_samples(time: i64) -> i64 {
    let samples =
        (i128::from(time) * i128::from(RATE) + i128::from(SECOND) / 2).div_euclid(i128::from(SECOND));
    i64::try_from(samples).unwrap_or(i64::MAX)
}

/// The time of a sample.
pub(super) fn to_time(sample: i64) -> i64 {
    let time = i128::from(sample) * i128::from(SECOND) / i128::from(RATE);
    i64::try_from(time).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// Plays passes of `frames` at 40 ms and `samples` of sound in buffers of 1024; gives frame times and written samples.
    fn play(passes: usize, frames: i64, samples: i64) -> (Vec<i64>, Vec<(i64, i64)>) {
        let (mut line, mut times, mut written) = (Timeline::new(0), Vec::new(), Vec::new());
        for _ in 0..passes {
            let mut done = 0;
            for n in 0..frames {
                let place = line.video(n * 40 * MS, 40 * MS, None);
                times.push(place);
                written.extend(line.overdue(place));
                while done < samples && to_time(done) <= n * 40 * MS {
                    let count = (samples - done).min(1024);
                    let laid = line.audio(to_time(done), count);
                    written.push((laid.at, laid.silence + count - laid.skip));
                    done += count;
                }
            }
            while done < samples {
                let count = (samples - done).min(1024);
                let laid = line.audio(to_time(done), count);
                written.push((laid.at, laid.silence + count - laid.skip));
                done += count;
            }
            line.next_pass();
        }
        (times, written)
    }

    fn contiguous(written: &[(i64, i64)]) -> bool {
        written.windows(2).all(|w| w[0].0 + w[0].1 == w[1].0)
    }

    #[test]
    fn frames_are_uniform_over_the_seam_whatever_the_sound_does() {
        for samples in [0, 10_000, 253_440, 253_439, 254_976, 250_000, 270_000] {
            let (times, written) = play(4, 132, samples);
            assert!(times.windows(2).all(|w| w[1] - w[0] == 40 * MS), "{samples}");
            assert!(contiguous(&written), "{samples}");
            if samples > 240_000 {
                let end = written.last().map(|w| w.0 + w.1).unwrap_or(0);
                let expected = 3 * 253_440 + samples;
                assert!((end - expected).abs() <= RATE * 2, "{samples}: {end} instead of {expected}");
            }
        }
    }

    #[test]
    fn rounded_times_are_set_right_and_varying_ones_left_alone() {
        let (mut line, rate) = (Timeline::new(0), Some((30_000, 1001)));
        let exact = |n: i64| n * 1001 * SECOND / 30_000;
        // Two passes as Matroska writes them: whole milliseconds, the first off by some.
        for pass in 0..2 {
            for n in 0..90 {
                let rounded = (exact(n) + MS / 2) / MS * MS + if n == 0 { 0 } else { 3 * MS };
                assert_eq!(line.video(rounded, 33 * MS, rate), exact(pass * 90) + exact(n), "{pass} {n}");
            }
            line.next_pass();
        }
        let mut line = Timeline::new(0);
        for time in [0, 33 * MS, 50 * MS, 113 * MS] {
            let placed = line.video(time, 33 * MS, rate);
            assert!(placed == time || (placed - time).abs() < 9 * MS);
        }
        assert_eq!(line.video(150 * MS, 10 * MS, rate), 150 * MS);
    }

    #[test]
    fn sound_stays_with_its_pictures() {
        let (_, written) = play(100, 132, 254_976);
        let end = written.last().map(|w| w.0 + w.1);
        assert_eq!(end, Some(99 * 253_440 + 254_976));
    }

    #[test]
    fn much_longer_sound_makes_the_pass_longer_by_whole_frames() {
        let (times, written) = play(2, 10, 96_000);
        assert_eq!(times[10], 2040 * MS);
        assert!(contiguous(&written));
    }

    #[test]
    fn small_errors_of_a_decoder_are_not_followed() {
        let mut line = Timeline::new(0);
        assert_eq!(line.audio(0, 1024), Laid { at: 0, silence: 0, skip: 0 });
        let later = to_time(1024) + 5 * MS;
        assert_eq!(line.audio(later, 1024), Laid { at: 1024, silence: 0, skip: 0 });
        assert_eq!(line.audio(later + 100 * MS, 1024).silence, to_samples(later + 100 * MS) - 2048);
    }

    #[test]
    fn missing_sound_becomes_silence_before_it_holds_up_the_pictures() {
        let (_, written) = play(1, 200, 0);
        assert!(contiguous(&written));
        let end = written.last().map(|w| to_time(w.0 + w.1)).unwrap_or(0);
        assert!(end >= 200 * 40 * MS - PATIENCE - 40 * MS);
    }

    #[test]
    fn an_empty_pass_is_seen() {
        let mut line = Timeline::new(0);
        assert!(line.is_empty());
        line.video(0, 40 * MS, None);
        assert!(!line.is_empty());
    }
}
