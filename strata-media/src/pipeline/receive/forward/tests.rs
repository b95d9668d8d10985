use super::*;

/// Encodes so many pictures, 25 in a second with a keyframe each second, and so many frames of sound; payloads of seven
/// packets. Those of pictures have this PID, those of sound the next one.
fn encoded(pictures: u32, sounds: u32, pid: u16) -> Vec<Bytes> {
    super::super::super::init().unwrap();
    let next = pid + 1;
    let pipeline = parse(&format!(
        "videotestsrc num-buffers={pictures} ! video/x-raw,width=64,height=64,framerate=25/1 \
         ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=200 key-int-max=25 ! h264parse ! queue ! mux.sink_{pid} \
         audiotestsrc num-buffers={sounds} ! audio/x-raw,rate=48000,channels=1 ! avenc_aac ! aacparse ! queue ! mux.sink_{next} \
         mpegtsmux name=mux alignment=7 ! appsink name=payloads sync=false"
    ))
    .unwrap();
    let sink: gst_app::AppSink = named(&pipeline, "payloads").unwrap();
    play(&pipeline).unwrap();
    let next = || sink.pull_sample().ok()?.buffer_owned()?.into_mapped_buffer_readable().ok();
    let payloads = std::iter::from_fn(next).map(|buffer| Bytes::copy_from_slice(&buffer)).collect();
    pipeline.set_state(gst::State::Null).unwrap();
    payloads
}

fn stream(seconds: u32) -> Vec<Bytes> {
    encoded(seconds * 25, seconds * 48_000 / 1024, 65)
}

/// Times of pictures and of sound that a server would get of payloads, each given when so much time has passed, ms.
fn forwarded<'a>(payloads: impl IntoIterator<Item = (Duration, &'a Bytes)>) -> [Vec<u32>; 2] {
    #[expect(clippy::disallowed_methods, reason = "times are given as they pass")]
    let begin = Instant::now();
    let pipeline = rtmp::to("appsink name=flv sync=false async=false").unwrap();
    let sink: gst_app::AppSink = named(&pipeline, "flv").unwrap();
    let mut forward = Forward::start(pipeline, Some(Clock::new(begin))).unwrap();
    for (passed, payload) in payloads {
        forward.write(begin + passed, payload).unwrap();
    }
    forward.packets.end_of_stream().unwrap();
    let mut flv = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        flv.extend_from_slice(&sample.buffer().unwrap().map_readable().unwrap());
    }
    let mut times = [Vec::new(), Vec::new()];
    // After a header of 9 bytes: size of the tag before, and a tag (type, size, time, its upper byte, stream, data).
    let mut rest = &flv[9..];
    while let Some((tag, after)) = rest.get(4..).and_then(|rest| rest.split_at_checked(11)) {
        let size = u32::from_be_bytes([0, tag[1], tag[2], tag[3]]) as usize;
        let time = u32::from_be_bytes([tag[7], tag[4], tag[5], tag[6]]);
        // The second byte is 0 for what a decoder is set up by.
        match tag[0] {
            9 if after[1] == 1 => times[0].push(time),
            8 if after[1] == 1 => times[1].push(time),
            _ => {}
        }
        rest = &after[size..];
    }
    times
}

/// Asserts that the times of a stream go up by `step` ms, give or take what is left of a millisecond.
fn assert_even(times: &[u32], step: f64) {
    for (n, &time) in times.iter().enumerate() {
        let expected = f64::from(times[0]) + n as f64 * step;
        assert!((f64::from(time) - expected).abs() <= 1.0, "{n}: {time} instead of {expected}");
    }
}

#[test]
fn only_rtmp_is_told_times() {
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    let now = Instant::now();
    let reads = |output: &str| clock(now, &output.parse().unwrap()).is_some();
    assert!(reads("rtmp://127.0.0.1/live/key") && !reads("srt://127.0.0.1:9000"));
}

const PICTURE: f64 = 40.0;
const SOUND: f64 = 1024.0 / 48.0;

#[test]
fn times_are_the_streams_whenever_it_comes() {
    let payloads = stream(8);
    let count = payloads.len();
    // When each payload comes, by its number: as it should, all at once, with a stop of 3 s, and in heaps.
    let even = |n: usize| Duration::from_secs(8) * n as u32 / count as u32;
    let at_once = |_| Duration::ZERO;
    let stopped = |n: usize| if (count / 3..count / 2).contains(&n) { even(count / 2) } else { even(n) };
    let heaps = |n: usize| even(n.next_multiple_of(count / 5));
    let expected = forwarded(payloads.iter().enumerate().map(|(n, payload)| (even(n), payload)));
    assert!(
        expected[0].len() >= 195 && expected[1].len() >= 365,
        "{} {}",
        expected[0].len(),
        expected[1].len()
    );
    assert_even(&expected[0], PICTURE);
    assert_even(&expected[1], SOUND);
    for comes in [&at_once as &dyn Fn(usize) -> Duration, &stopped, &heaps] {
        let times = forwarded(payloads.iter().enumerate().map(|(n, payload)| (comes(n), payload)));
        assert_eq!(times, expected);
    }
}

/// From before, or as if from long before, or after: times go on.
#[test]
fn a_stream_may_begin_anew() {
    let payloads = stream(6);
    let at = |eighth: usize| payloads.len() * eighth / 8;
    // A second back; all of it; and ahead by more than streams leave out: all is given, and then a part again.
    let later = stream(30).split_off(at(8) * 4);
    let parts = [&payloads[at(7)..], &payloads[..], &payloads[at(2)..], &later[..]];
    for (n, part) in parts.into_iter().enumerate() {
        let both = payloads.iter().chain(part).enumerate();
        let times = forwarded(both.map(|(n, payload)| (Duration::from_millis(20) * n as u32, payload)));
        let before = forwarded(payloads.iter().map(|payload| (Duration::ZERO, payload)));
        for (times, before) in times.iter().zip(before) {
            assert!(times.is_sorted(), "{n}: {times:?}");
            let known = before.len() - 2;
            assert!(times.len() > known && times[..known] == before[..known], "{n}: {times:?}");
        }
    }
}

#[test]
fn pictures_do_not_need_the_sound_that_is_announced() {
    for sounds in [1, 48] {
        let payloads = encoded(100, sounds, 65);
        let times = forwarded(payloads.iter().map(|payload| (Duration::ZERO, payload)));
        assert!(times[0].len() >= 98, "{}", times[0].len());
        assert_even(&times[0], PICTURE);
    }
}

#[test]
fn what_becomes_another_stream_is_told() {
    #[expect(clippy::disallowed_methods, reason = "it comes at once")]
    let now = Instant::now();
    crate::pipeline::init().unwrap();
    let pipeline = rtmp::to("fakesink sync=false async=false").unwrap();
    let mut forward = Forward::start(pipeline, Some(Clock::new(now))).unwrap();
    for payload in [encoded(50, 90, 65), encoded(50, 90, 300)].concat() {
        if forward.write(now, &payload).is_err() {
            return;
        }
    }
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let told = forward.pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::NONE, &ends);
    assert!(matches!(told.as_ref().and_then(event), Some(BusEvent::Eos | BusEvent::Error(_))), "{told:?}");
}

#[test]
fn addresses_are_cut_from_messages() {
    let text = "rtmp: cannot be used: Could not connect (rtmp://host/app/key refused)";
    assert_eq!(without_address(text), "rtmp: cannot be used: Could not connect … refused)");
}
