//! The tools that are compared, and how each is started.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use strata_e2e::program;

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
    pub(crate) const ALL: [Self; 6] =
        [Self::Strata, Self::Adapting, Self::ToLibrist, Self::Librist, Self::Srt, Self::Gstreamer];

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Strata => "Strata",
            Self::Adapting => "Strata, adapting",
            Self::ToLibrist => "Strata to librist",
            Self::Librist => "librist",
            Self::Srt => "SRT",
            Self::Gstreamer => "GStreamer",
        }
    }

    /// Whether the source follows what its sender says of the links: that is shown where they change.
    pub(crate) fn adapts(self) -> bool {
        self == Self::Adapting
    }

    /// Whether its receiver has one address for all links: librist makes a stream of each address it listens at.
    pub(crate) fn one_receiver(self) -> bool {
        matches!(self, Self::Librist | Self::ToLibrist)
    }

    /// The link it uses, when it can use but one.
    pub(crate) fn only_link(self, scenario: &Scenario) -> Option<usize> {
        let links = scenario.links.iter().enumerate();
        (self == Self::Srt).then(|| links.max_by_key(|(_, link)| link.mean_bps).map_or(0, |(index, _)| index))
    }

    pub(crate) fn receiver(self, scenario: &Scenario, ends: &Ends) -> Result<Call> {
        let (latency, output) = (scenario.latency.as_millis(), ends.output);
        let call = match self {
            Self::Strata | Self::Adapting => {
                let inputs = each(&ends.receivers, |_, addr| format!("rist://@{addr}?buffer={latency}"));
                let output = format!("udp://{output}");
                Call {
                    program: program::find("strata")?,
                    args: words(&["rist", "receive", "--input", &inputs, "--output", &output]),
                }
            }
            Self::Librist | Self::ToLibrist => {
                let url = format!("rist://@{}?{}", ends.receivers[0], librist_options(scenario));
                let args = [
                    "-p",
                    "0",
                    "-S",
                    "0",
                    "-v",
                    "4",
                    "-b",
                    &latency.to_string(),
                    "-i",
                    &url,
                    "-o",
                    &format!("udp://{output}"),
                ];
                Call { program: "ristreceiver".into(), args: words(&args) }
            }
            Self::Srt => {
                let addr = ends.receivers[self.only_link(scenario).unwrap_or(0)];
                let url = format!("srt://{addr}?mode=listener&latency={latency}");
                Call {
                    program: "srt-live-transmit".into(),
                    args: words(&["-q", &url, &format!("udp://{output}")]),
                }
            }
            Self::Gstreamer => {
                let addresses = each(&ends.receivers, |_, addr| addr.to_string());
                let line = format!(
                    "ristsrc bonding-addresses={addresses} receiver-buffer={latency} ! rtpmp2tdepay ! \
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
            Self::Strata | Self::Adapting | Self::ToLibrist => {
                let outputs = each(&ends.links, |_, addr| format!("rist://{addr}?buffer={latency}"));
                let input = format!("udp://{input}");
                let mut args =
                    words(&["rist", "send", "--profile", "simple", "--input", &input, "--output", &outputs]);
                if self.adapts() {
                    let limits = format!("{}..{}", scenario.rate_bps / 10, scenario.rate_bps);
                    args.extend(words(&["--adapt", &limits, "--stats", "-"]));
                }
                Call { program: program::find("strata")?, args }
            }
            Self::Librist => {
                let weight = |index: usize| (scenario.links[index].mean_bps / 100_000).max(1);
                let options = librist_options(scenario);
                let urls = each(&ends.links, |index, addr| {
                    format!("rist://{addr}?weight={}&{options}", weight(index))
                });
                let args = [
                    "-p",
                    "0",
                    "-S",
                    "0",
                    "-v",
                    "4",
                    "-b",
                    &latency.to_string(),
                    "-i",
                    &format!("udp://@{input}"),
                    "-o",
                    &urls,
                ];
                Call { program: "ristsender".into(), args: words(&args) }
            }
            Self::Srt => {
                let addr = ends.links[self.only_link(scenario).unwrap_or(0)];
                let url = format!("srt://{addr}?latency={latency}");
                Call {
                    program: "srt-live-transmit".into(),
                    args: words(&["-q", &format!("udp://{input}"), &url]),
                }
            }
            Self::Gstreamer => {
                let addresses = each(&ends.links, |_, addr| addr.to_string());
                let line = format!(
                    "udpsrc address={} port={} buffer-size=4194304 \
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
}

/// What somebody who knows the links sets: enough bandwidth, and a reorder buffer for their skew.
fn librist_options(scenario: &Scenario) -> String {
    let delays = || scenario.links.iter().map(|link| link.up.delay);
    let skew = delays().max().unwrap_or_default() - delays().min().unwrap_or_default();
    let skewed = if skew > Duration::ZERO { skew.as_millis() + JITTER_MS } else { 0 };
    let reorder = if skewed > 0 { format!("&reorder-buffer={skewed}") } else { String::new() };
    format!("buffer={}&bandwidth=1000000{reorder}", scenario.latency.as_millis())
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
