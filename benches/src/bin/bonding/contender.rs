//! The tools that are compared, and how each is started.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use strata_e2e::program;

use crate::datagram::DATAGRAM_BYTES;
use crate::scenario::Scenario;

/// A tool with its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    /// `strata rist`, Simple Profile, with nothing set but the latency.
    Strata,
    /// The same, with a source that follows the links.
    Adapting,
    /// The same sender, and librist's receiver with a reorder buffer for the links' skew.
    ToLibrist,
    /// librist's tools, Simple Profile, with the links' capacities as weights and a reorder buffer for their skew.
    Librist,
    /// `srt-live-transmit` over the link with the most capacity.
    Srt,
    /// GStreamer's `ristsink` and `ristsrc`, round-robin.
    Gstreamer,
    /// As `Strata`, by the Main Profile with a key.
    StrataAes128,
    /// As `Librist`, by the Main Profile with a key.
    LibristAes128,
}

/// What a scenario shows beside bonding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    Nothing,
    /// A source that follows its links: they change within the stream.
    Adapted,
    /// What packets cost, and with a key.
    Speed,
}

/// Where the ends of a run are.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Where the sending tool takes the stream.
    pub(crate) input: SocketAddr,
    /// The near ends of the links; RTCP goes one port above.
    pub(crate) links: Vec<SocketAddr>,
    /// Where what goes in at each link comes out.
    pub(crate) receivers: Vec<SocketAddr>,
    /// Where the receiving tool puts the stream out.
    pub(crate) output: SocketAddr,
}

/// A program and its arguments.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
}

/// Beyond the skew of the links: what jitter may add to it.
const JITTER_MS: u128 = 50;

impl Contender {
    pub(crate) const ALL: [Self; 8] = [
        Self::Strata,
        Self::Adapting,
        Self::ToLibrist,
        Self::Librist,
        Self::Srt,
        Self::Gstreamer,
        Self::StrataAes128,
        Self::LibristAes128,
    ];

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Strata => "Strata",
            Self::Adapting => "Strata, adapting",
            Self::ToLibrist => "Strata to librist",
            Self::Librist => "librist",
            Self::Srt => "SRT",
            Self::Gstreamer => "GStreamer",
            Self::StrataAes128 => "Strata, AES-128",
            Self::LibristAes128 => "librist, AES-128",
        }
    }

    /// Its name in those of files and on the command line, where a comma ends one: `strata-adapting`.
    pub(crate) fn slug(self) -> String {
        self.name().replace(", ", "-").replace(' ', "-").to_lowercase()
    }

    /// Whether it runs in a scenario without being asked for.
    pub(crate) fn is_shown(self, scenario: &Scenario) -> bool {
        match self {
            Self::Adapting => scenario.shows == Shown::Adapted,
            Self::StrataAes128 | Self::LibristAes128 => scenario.shows == Shown::Speed,
            _ => true,
        }
    }

    /// Whether the source follows what its sender says of the links.
    pub(crate) fn adapts(self) -> bool {
        self == Self::Adapting
    }

    /// Whether its receiver has one address for all links: librist makes a stream of each address it listens at.
    pub(crate) fn one_receiver(self) -> bool {
        matches!(self, Self::Librist | Self::LibristAes128 | Self::ToLibrist)
    }

    /// Whether it speaks the Main Profile, with a key.
    fn encrypts(self) -> bool {
        matches!(self, Self::StrataAes128 | Self::LibristAes128)
    }

    /// What its URLs say of the key.
    fn key(self) -> &'static str {
        if self.encrypts() { KEY } else { "" }
    }

    /// The link it uses, when it can use but one.
    pub(crate) fn only_link(self, scenario: &Scenario) -> Option<usize> {
        let links = scenario.links.iter().enumerate();
        (self == Self::Srt).then(|| links.max_by_key(|(_, link)| link.mean_bps).map_or(0, |(index, _)| index))
    }

    pub(crate) fn receiver(self, scenario: &Scenario, ends: &Ends) -> Result<Call> {
        let (latency, output) = (scenario.latency.as_millis(), ends.output);
        let call = match self {
            Self::Strata | Self::Adapting | Self::StrataAes128 => {
                let key = self.key();
                let inputs = each(&ends.receivers, |_, addr| format!("rist://@{addr}?buffer={latency}{key}"));
                let output = format!("udp://{output}");
                Call {
                    program: program::find("strata")?,
                    args: words(&["rist", "receive", "--input", &inputs, "--output", &output]),
                }
            }
            Self::Librist | Self::LibristAes128 | Self::ToLibrist => {
                let url = format!("rist://@{}?{}", ends.receivers[0], self.librist_options(scenario));
                self.librist("ristreceiver", scenario, &url, &format!("udp://{output}"))
            }
            Self::Srt => {
                let addr = ends.receivers[self.only_link(scenario).unwrap_or(0)];
                let url = format!("srt://{addr}?mode=listener&latency={latency}{SRT_BUFFERS}");
                srt(&url, &format!("udp://{output}"))
            }
            Self::Gstreamer => {
                let addresses = each(&ends.receivers, |_, addr| addr.to_string());
                let buffers: String = (0..ends.receivers.len())
                    .map(|link| format!(" rist_rtp_udpsrc{link}::buffer-size={SOCKET_BYTES}"))
                    .collect();
                let line = format!(
                    "ristsrc bonding-addresses={addresses} receiver-buffer={latency}{buffers} ! rtpmp2tdepay ! \
                     udpsink host={} port={}",
                    output.ip(),
                    output.port()
                );
                gst_launch(&line)
            }
        };
        Ok(call)
    }

    pub(crate) fn sender(self, scenario: &Scenario, ends: &Ends) -> Result<Call> {
        let (latency, input) = (scenario.latency.as_millis(), ends.input);
        let call = match self {
            Self::Strata | Self::Adapting | Self::ToLibrist | Self::StrataAes128 => {
                let key = self.key();
                let outputs = each(&ends.links, |_, addr| format!("rist://{addr}?buffer={latency}{key}"));
                let input = format!("udp://{input}");
                let profile = if self.encrypts() { "main" } else { "simple" };
                let mut args =
                    words(&["rist", "send", "--profile", profile, "--input", &input, "--output", &outputs]);
                if self.adapts() {
                    let limits = format!("{}..{}", scenario.rate_bps / 10, scenario.rate_bps);
                    args.extend(words(&["--adapt", &limits, "--stats", "-"]));
                }
                Call { program: program::find("strata")?, args }
            }
            Self::Librist | Self::LibristAes128 => {
                let weight = |index: usize| (scenario.links[index].mean_bps / 100_000).max(1);
                let options = self.librist_options(scenario);
                let urls = each(&ends.links, |index, addr| {
                    format!("rist://{addr}?weight={}&{options}", weight(index))
                });
                self.librist("ristsender", scenario, &format!("udp://@{input}"), &urls)
            }
            Self::Srt => {
                let addr = ends.links[self.only_link(scenario).unwrap_or(0)];
                let url = format!("srt://{addr}?latency={latency}{SRT_BUFFERS}");
                srt(&format!("udp://{input}?rcvbuf={SOCKET_BYTES}"), &url)
            }
            Self::Gstreamer => {
                let addresses = each(&ends.links, |_, addr| addr.to_string());
                let line = format!(
                    "udpsrc address={} port={} buffer-size={SOCKET_BYTES} \
                     caps=video/mpegts,systemstream=(boolean)true,packetsize=(int)188 ! rtpmp2tpay ! \
                     ristsink bonding-addresses={addresses} bonding-method=round-robin sender-buffer={latency}",
                    input.ip(),
                    input.port()
                );
                gst_launch(&line)
            }
        };
        Ok(call)
    }

    /// What somebody who knows the links sets: enough bandwidth, and a reorder buffer for their skew.
    fn librist_options(self, scenario: &Scenario) -> String {
        let delays = || scenario.links.iter().map(|link| link.up.delay);
        let skew = delays().max().unwrap_or_default() - delays().min().unwrap_or_default();
        let skewed = if skew > Duration::ZERO { skew.as_millis() + JITTER_MS } else { 0 };
        let reorder = if skewed > 0 { format!("&reorder-buffer={skewed}") } else { String::new() };
        format!("buffer={}&bandwidth=1000000{reorder}{}", scenario.latency.as_millis(), self.key())
    }

    /// One of librist's tools, without statistics and with nothing but warnings in its log.
    fn librist(self, tool: &str, scenario: &Scenario, from: &str, to: &str) -> Call {
        let profile = if self.encrypts() { "1" } else { "0" };
        let latency = scenario.latency.as_millis().to_string();
        let args = ["-p", profile, "-S", "0", "-v", "4", "-b", &latency, "-i", from, "-o", to];
        Call { program: tool.into(), args: words(&args) }
    }
}

/// Of both ends: the largest socket buffer that is asked for, as Strata does.
const SOCKET_BYTES: usize = 4 << 20;
/// Buffers of SRT that hold 3 s at 100 Mbit/s; by default they hold 12 MB, and the window 8192 packets.
const SRT_BUFFERS: &str = "&transtype=live&rcvbuf=100000000&sndbuf=100000000&fc=100000";
const KEY: &str = "&secret=correct-horse&aes-type=128";

fn srt(from: &str, to: &str) -> Call {
    let chunk = DATAGRAM_BYTES.to_string();
    Call { program: "srt-live-transmit".into(), args: words(&["-q", "-chunk", &chunk, from, to]) }
}

fn gst_launch(line: &str) -> Call {
    Call { program: "gst-launch-1.0".into(), args: words(&line.split_whitespace().collect::<Vec<_>>()) }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn each(addrs: &[SocketAddr], text: impl Fn(usize, SocketAddr) -> String) -> String {
    let texts: Vec<_> = addrs.iter().enumerate().map(|(index, &addr)| text(index, addr)).collect();
    texts.join(",")
}
