//! The flags of `strata rist`, and what they configure.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValue, RangedI64ValueParser};
use clap::{ArgAction, Args, ValueEnum};
use strata_media::bond::{AdaptationParams, Mode, SchedulerParams};
use strata_media::net::{self, AesType, Passphrase, ReceiverConfig, RistUrls, SenderConfig, Verifiers};
use strata_media::rist::tunnel::DEFAULT_DESTINATION;

use tracing_subscriber::filter::LevelFilter;

use super::udp::UdpUrl;
use crate::cli::{LOGS_PLACE, OF_KEYS, OF_LOGS, OF_STREAMS};
use crate::end::Failure;
use crate::units::bits;

/// Take a stream from UDP, and send it by RIST over one link or several.
#[derive(Debug, Args)]
#[command(after_long_help = SEND_EXAMPLES, next_help_heading = OF_STREAMS)]
pub(crate) struct Send {
    /// Where the stream comes in, one RTP payload (usually 1316 bytes of MPEG-TS) per datagram:
    /// udp://ADDRESS:PORT[?miface=INTERFACE&stream-id=N],…, or rtp://… whose headers are taken off; a multicast group is joined,
    /// port 0 takes a free one
    ///
    /// Several are as many streams, each by all links, only with main. A receiver tells them apart by stream-id, an even number, the
    /// port within the tunnel: every input needs one of its own, 1968 if none is given.
    #[arg(short, long, alias = "inputurl", value_name = "URL,…", value_delimiter = ',', required = true)]
    input: Vec<Unshown>,
    /// The receiver, once for every link: rist://HOST:PORT[?NAME=VALUE&…],…; rist://@ADDRESS:PORT waits for it to call
    ///
    /// HOST may be a multicast group, with --profile simple and ttl=HOPS. Parameters of a link: source=ADDRESS, interface=NAME (or
    /// miface), weight=N (a hint), backup=1 (only when the others do not suffice), metered=1 (last of all), cap=MB. Of the stream, in
    /// any of the URLs: buffer=MS (latency), profile=simple|main, secret, aes-type=128|256, key-rotation, rver=0|1, username, password,
    /// cname, null-packet-deletion=1, sequence-extension=1, full-datagrams=1, virt-dst-port=PORT, fec=0 (no repair packets).
    /// librist's others are checked, and a warning says that they have no effect.
    #[arg(short, long, alias = "outputurl", value_name = "URL,…")]
    output: Unshown,
    /// How it speaks where no URL has a profile; main needs one port per link and can encrypt, simple two ports, an even one
    /// and the one above
    #[arg(short, long, value_name = "PROFILE", default_value = "main")]
    profile: Profile,
    /// How much is sent that may turn out not to have been needed: economy repeats what is lost; balanced also copies
    /// keyframes and tables to a second link, and spends a tenth of what the links have to spare on copies; robust
    /// copies keyframes and tables to all links, and spends half
    #[arg(short, long, value_name = "MODE", default_value_t)]
    mode: Mode,
    /// Let only these users call links that wait for it: a file as ristsrppasswd prints it, a line per user; only with main
    #[arg(short = 'F', long, alias = "srpfile", value_name = "FILE", help_heading = OF_KEYS)]
    users: Option<PathBuf>,
    /// Leave null packets out, which the receiver restores; only with main
    #[arg(short, long)]
    null_packet_deletion: bool,
    /// Number packets with 32 bits, which more than 100 Mbit/s need at a latency of 1 s; only with main, for a receiver that knows
    /// them
    #[arg(long)]
    sequence_extension: bool,
    /// Send whole datagrams of IPv4 in the tunnel, for a receiver that takes no others; only with main, 24 bytes more for each
    #[arg(long)]
    full_datagrams: bool,
    /// Say in the statistics, as target_bps, how much the source should make for the links to carry it: bit/s, from
    /// FLOOR (as long as the links carry that) to CEILING. A line is written whenever it changes; only with --stats
    #[arg(long, value_name = "FLOOR..CEILING", value_parser = source_rate, requires = "stats")]
    #[arg(help_heading = OF_SOURCES)]
    adapt: Option<AdaptationParams>,
    /// How fast target_bps rises again: percent of CEILING per second, 1 to 1000
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000), requires = "adapt")]
    #[arg(help_heading = OF_SOURCES, allow_negative_numbers = true)]
    ramp: u16,
    /// Taken as ristsender does; a warning says that 0 has no effect.
    #[arg(short = 'f', long = "fast-start", value_name = "0|1", hide = true, value_parser = clap::value_parser!(u8).range(0..=1))]
    #[arg(allow_negative_numbers = true)]
    fast_start: Option<u8>,
    #[command(flatten)]
    common: Common,
    /// Write statistics to this file once per second, a JSON object per line; - is standard output
    #[arg(long, value_name = "FILE", help_heading = OF_LOGS, display_order = LOGS_PLACE)]
    pub(crate) stats: Option<PathBuf>,
}

/// Receive a stream by RIST on one port or several, and pass it on by UDP.
#[derive(Debug, Args)]
#[command(after_long_help = RECEIVE_EXAMPLES, next_help_heading = OF_STREAMS)]
pub(crate) struct Receive {
    /// Where to listen, once for every port: rist://@ADDRESS:PORT[?NAME=VALUE&…],…; port 0 takes a free one. A
    /// rist://HOST:PORT without the @ calls a sender that waits for it, by main
    ///
    /// All of them are one stream, unless outputs have a stream-id, whichever profile a sender speaks: main comes to the port, simple to it and the
    /// one above, so that it has to be even. A multicast group is joined, by miface=INTERFACE. Parameters: buffer=MS (latency),
    /// secret, aes-type=128|256, cname, fec=0 (no repair packets); of who is called: username, password, source, interface.
    /// librist's others are checked, and a warning says that they have no effect.
    #[arg(short, long, alias = "inputurl", value_name = "URL,…")]
    input: Unshown,
    /// Where the stream goes: udp://HOST:PORT[?miface=INTERFACE&ttl=HOPS&stream-id=N],…, or rtp://… with headers; may be a
    /// multicast group
    ///
    /// With a stream-id in any of them, what comes to the ports is several streams, up to 64, of as many senders: each goes to the
    /// outputs of its stream-id, the port within the tunnel of main, and to those without one.
    #[arg(short, long, alias = "outputurl", value_name = "URL,…", value_delimiter = ',', required = true)]
    output: Vec<Unshown>,
    /// Let only these users in: a file as ristsrppasswd prints it, a line per user. Who has no password, or does not
    /// speak the Main Profile, is not heard
    #[arg(short = 'F', long, alias = "srpfile", value_name = "FILE", help_heading = OF_KEYS)]
    users: Option<PathBuf>,
    /// Taken as ristreceiver does; a warning says that it has no effect, as both profiles are understood.
    #[arg(short, long, value_name = "PROFILE", hide = true)]
    profile: Option<Profile>,
    #[command(flatten)]
    common: Common,
    /// Write statistics to this file once per second, a JSON object per line; - is standard output
    #[arg(long, value_name = "FILE", help_heading = OF_LOGS, display_order = LOGS_PLACE)]
    pub(crate) stats: Option<PathBuf>,
}

/// Heading of what is for sources that can change their rate.
const OF_SOURCES: &str = "Source adaptation";

/// What URLs may say too, and then win.
#[derive(Debug, Args)]
struct Common {
    /// Latency where no URL has a buffer, ms; 1000 if that is not given either
    #[arg(short, long, value_name = "MS", value_parser = RangedI64ValueParser::<u64>::new().range(1..=60_000))]
    #[arg(help_heading = OF_STREAMS, allow_negative_numbers = true)]
    buffer: Option<u64>,
    /// Passphrase where no URL has a secret; better in the variable, as everyone on this machine sees command lines
    #[arg(short, long, value_name = "PASSPHRASE", env = "STRATA_RIST_SECRET", hide_env_values = true)]
    #[arg(help_heading = OF_KEYS)]
    secret: Option<Unshown>,
    /// Length of the key where no URL has an aes-type, bits
    #[arg(short, long, value_name = "BITS", value_parser = key_length)]
    #[arg(help_heading = OF_KEYS, allow_negative_numbers = true)]
    encryption_type: Option<KeyLength>,
    /// Send logs, and statistics once per second, to this place as well: a datagram of UDP per line
    #[arg(short, long, value_name = "HOST:PORT", help_heading = OF_LOGS, display_order = LOGS_PLACE + 2)]
    remote_logging: Option<String>,
    /// Taken as librist's tools do: this help has what the URLs may say.
    #[arg(short = 'u', long = "help-url", hide = true, action = ArgAction::HelpLong)]
    _help_url: Option<bool>,
    /// Time between two statistics, in --stats, on a terminal and for --remote-logging, ms; 0: none
    #[arg(short = 'S', long = "statsinterval", value_name = "MS", default_value_t = 1000, value_parser = RangedI64ValueParser::<u64>::new().range(0..=3_600_000))]
    #[arg(help_heading = OF_LOGS, display_order = LOGS_PLACE + 1, allow_negative_numbers = true)]
    stats_interval: u64,
    /// What is logged where --log says nothing, by librist's numbers: -1 nothing, 3 errors, 4 warnings, 6 information, 7 more
    #[arg(short = 'v', long = "verbose-level", value_name = "LEVEL", allow_negative_numbers = true)]
    #[arg(help_heading = OF_LOGS, display_order = LOGS_PLACE + 3)]
    verbose_level: Option<i8>,
}

/// A passphrase, or a URL that may have one, as it was given. `clap` shows the values that it refuses: it is checked later.
#[derive(Clone)]
struct Unshown(String);

impl FromStr for Unshown {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Unshown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// [`net::Profile`], by ristsender's numbers too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Profile(net::Profile);

impl ValueEnum for Profile {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self(net::Profile::Simple), Self(net::Profile::Main)]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self.0 {
            net::Profile::Simple => PossibleValue::new("simple").alias("0"),
            net::Profile::Main => PossibleValue::new("main").alias("1"),
        })
    }
}

/// Limits of the source's rate.
fn source_rate(text: &str) -> Result<AdaptationParams, String> {
    let (floor, ceiling) = text.split_once("..").ok_or("expected FLOOR..CEILING, such as 500k..8M")?;
    let mut params = AdaptationParams::new(bits(ceiling)?);
    params.floor_bps = bits(floor)?;
    if params.floor_bps == 0 {
        return Err("a floor of 0: expected what the source makes at least, such as 500k".to_owned());
    }
    if params.floor_bps > params.ceiling_bps {
        return Err("the floor is above the ceiling".to_owned());
    }
    Ok(params)
}

/// What is said of the key: nothing with 0, which is what librist's tools have when nothing is said.
#[derive(Debug, Clone, Copy)]
struct KeyLength(Option<AesType>);

fn key_length(text: &str) -> Result<KeyLength, String> {
    match text {
        "0" => Ok(KeyLength(None)),
        "128" => Ok(KeyLength(Some(AesType::Aes128))),
        "256" => Ok(KeyLength(Some(AesType::Aes256))),
        _ => Err("expected 128 or 256".to_owned()),
    }
}

impl Common {
    /// Time between two statistics, if there are to be any.
    fn interval(&self, stats: Option<&Path>) -> Result<Option<Duration>, Failure> {
        match self.stats_interval {
            0 if stats.is_some() => {
                Err(Failure::Usage("--stats: there are none with --statsinterval 0".to_owned()))
            }
            0 => Ok(None),
            ms => Ok(Some(Duration::from_millis(ms))),
        }
    }

    /// What is logged, by the levels of syslog(3), and librist's 100 for all there is.
    fn verbosity(&self) -> Option<LevelFilter> {
        Some(match self.verbose_level? {
            ..0 => LevelFilter::OFF,
            0..=3 => LevelFilter::ERROR,
            4 => LevelFilter::WARN,
            5 | 6 => LevelFilter::INFO,
            7 => LevelFilter::DEBUG,
            8.. => LevelFilter::TRACE,
        })
    }

    fn urls(&self, flag: &str, Unshown(text): &Unshown) -> Result<RistUrls, Failure> {
        let urls = text.parse::<RistUrls>().map_err(|error| Failure::Usage(format!("{flag}: {error}")))?;
        let urls = match self.buffer {
            Some(ms) => urls.or_buffer(Duration::from_millis(ms)),
            None => urls,
        };
        let urls = match &self.secret {
            Some(Unshown(text)) => urls.or_secret(Passphrase::new(text).map_err(|error| {
                Failure::Usage(format!("--secret (or STRATA_RIST_SECRET in the environment): {error}"))
            })?),
            None => urls,
        };
        match self.encryption_type.and_then(|KeyLength(bits)| bits) {
            Some(bits) if urls.has_secret() => Ok(urls.or_aes_type(bits)),
            Some(_) => Err(Failure::Usage("--encryption-type: only with a secret".to_owned())),
            None => Ok(urls),
        }
    }
}

/// Reads a URL of a flag. Not left to `clap`, which shows what it refuses, and someone may have mixed the flags up: a
/// `rist://` URL has secrets.
fn udp_url(flag: &str, Unshown(text): &Unshown) -> Result<UdpUrl, Failure> {
    text.parse().map_err(|error| Failure::Usage(format!("{flag}: {error}")))
}

/// Reads the file of `--users`.
fn users(path: Option<&Path>) -> Result<Option<Verifiers>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let named = |error: &dyn fmt::Display| format!("--users: {}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| Failure::Open(named(&error)))?;
    Verifiers::parse(&text).map(Some).map_err(|error| Failure::Usage(named(&error)))
}

impl Send {
    /// Where logs go too.
    pub(super) fn remote(&self) -> Option<&str> {
        self.common.remote_logging.as_deref()
    }

    /// Where streams come in.
    pub(super) fn inputs(&self) -> Result<Vec<UdpUrl>, Failure> {
        let urls = self.input.iter().map(|text| match udp_url("--input", text)? {
            UdpUrl { hops: Some(_), .. } => {
                Err(Failure::Usage("--input: ttl: only for an output".to_owned()))
            }
            url => Ok(url),
        });
        urls.collect()
    }

    /// Time between two statistics, if there are to be any.
    pub(super) fn interval(&self) -> Result<Option<Duration>, Failure> {
        self.common.interval(self.stats.as_deref())
    }

    /// What is logged, if that is said here.
    pub(super) fn verbosity(&self) -> Option<LevelFilter> {
        self.common.verbosity()
    }

    /// Tells which flags have no effect.
    pub(super) fn tell_unused(&self) {
        if self.fast_start == Some(0) {
            tracing::warn!(
                "--fast-start 0 has no effect: nothing is held back until a receiver has answered"
            );
        }
    }

    /// Limits of the source's rate, if it is to follow the links.
    pub(super) fn adaptation(&self) -> Option<AdaptationParams> {
        let mut params = self.adapt.clone()?;
        params.ramp = f64::from(self.ramp) / 100.0;
        Some(params)
    }

    /// The links, as they are written.
    pub(super) fn urls(&self) -> Result<RistUrls, Failure> {
        let Profile(profile) = self.profile;
        let urls = self.common.urls("--output", &self.output)?.or_profile(profile);
        Ok(urls
            .or_null_packet_deletion(self.null_packet_deletion)
            .or_sequence_extension(self.sequence_extension)
            .or_full_datagrams(self.full_datagrams))
    }

    /// The senders over links that are resolved, of what comes in at each of `inputs`.
    pub(super) fn configs(&self, urls: &RistUrls, inputs: &[UdpUrl]) -> Result<Vec<SenderConfig>, Failure> {
        let configs: Vec<_> =
            inputs.iter().map(|input| self.config(urls, input)).collect::<Result<_, _>>()?;
        if configs.len() > 1 && configs.iter().any(|config| config.profile == net::Profile::Simple) {
            let reason =
                "--input: several only with the profile main; simple has nothing that tells streams apart";
            return Err(Failure::Usage(reason.to_owned()));
        }
        let mut streams = BTreeSet::new();
        for config in &configs {
            let stream = config.virtual_port.unwrap_or(DEFAULT_DESTINATION);
            if !streams.insert(stream) {
                return Err(Failure::Usage(format!(
                    "--input: stream-id: {stream} of more than one ({DEFAULT_DESTINATION} where none is given): every input \
                     needs one of its own, as a receiver takes those that share it for one stream"
                )));
            }
        }
        Ok(configs)
    }

    fn config(&self, urls: &RistUrls, input: &UdpUrl) -> Result<SenderConfig, Failure> {
        let mut config = urls.sender().map_err(|error| Failure::Usage(format!("--output: {error}")))?;
        let fec = config.scheduler.fec;
        config.scheduler = SchedulerParams::new(self.mode);
        config.scheduler.fec = fec;
        config.users = users(self.users.as_deref())?;
        if input.stream.is_some() && config.profile == net::Profile::Simple {
            return Err(Failure::Usage("--input: stream-id: only with the profile main".to_owned()));
        }
        if self.input.len() > 1 && config.links.iter().any(|link| link.listens) {
            let reason =
                "--input: several only where links call; one that waits for a receiver carries one stream";
            return Err(Failure::Usage(reason.to_owned()));
        }
        config.virtual_port = input.stream.or(config.virtual_port);
        Ok(config)
    }
}

impl Receive {
    /// Time between two statistics, if there are to be any.
    pub(super) fn interval(&self) -> Result<Option<Duration>, Failure> {
        self.common.interval(self.stats.as_deref())
    }

    /// What is logged, if that is said here.
    pub(super) fn verbosity(&self) -> Option<LevelFilter> {
        self.common.verbosity()
    }

    /// Tells which flags have no effect.
    pub(super) fn tell_unused(&self) {
        if self.profile.is_some() {
            tracing::warn!("--profile has no effect: a receiver understands both profiles");
        }
    }

    /// Where logs go too.
    pub(super) fn remote(&self) -> Option<&str> {
        self.common.remote_logging.as_deref()
    }

    /// Where the stream goes.
    pub(super) fn outputs(&self) -> Result<Vec<UdpUrl>, Failure> {
        self.output.iter().map(|text| udp_url("--output", text)).collect()
    }

    /// The ports, as they are written.
    pub(super) fn urls(&self) -> Result<RistUrls, Failure> {
        self.common.urls("--input", &self.input)
    }

    /// The receiver at ports whose addresses are resolved.
    pub(super) fn config(&self, urls: &RistUrls) -> Result<ReceiverConfig, Failure> {
        let mut config = urls.receiver().map_err(|error| Failure::Usage(format!("--input: {error}")))?;
        config.users = users(self.users.as_deref())?;
        if self.profile == Some(Profile(net::Profile::Simple)) && !config.calls.is_empty() {
            let reason = "--input: only by the profile main can a sender be called";
            return Err(Failure::Usage(reason.to_owned()));
        }
        Ok(config)
    }
}

const SEND_EXAMPLES: &str = "\
Examples:
  Over two modems to one receiver, with 300 ms to repeat what is lost:
    strata rist send --input udp://127.0.0.1:5000 \\
      --output 'rist://host:6000?buffer=300&interface=wwan0,rist://host:6002?interface=wwan1'
  Encrypted, with statistics for a program:
    STRATA_RIST_SECRET='correct horse' strata rist send --input udp://127.0.0.1:5000 \\
      --output 'rist://host:6000?aes-type=256' --stats -
  To a receiver of the Simple Profile, such as GStreamer's ristsrc:
    strata rist send --profile simple --input 'udp://239.1.1.1:5000?miface=eth0' \\
      --output rist://host:6000
  To a receiver that cannot be reached, and calls:
    strata rist send --input udp://127.0.0.1:5000 --output rist://@0.0.0.0:6000
    strata rist receive --input rist://sender:6000 --output udp://127.0.0.1:5002

SIGINT or SIGTERM ends it: what has come in is sent, and repeated where it is lost, for the latency;
a second signal ends it at once.

Exit codes:
  0         ended by a signal
  1         failed while running; the last line says why
  2         bad usage; the message names the flag, and the URL's parameter
  3         the input, all links, or the file of --stats or --users cannot be opened, or a name has
            no address
  130, 143  ended at once by a second SIGINT, SIGTERM";

const RECEIVE_EXAMPLES: &str = "\
Examples:
  A stream that comes over two links, played with 300 ms of latency:
    strata rist receive --input 'rist://@0.0.0.0:6000?buffer=300,rist://@0.0.0.0:6002' \\
      --output udp://127.0.0.1:5002
    ffplay udp://127.0.0.1:5002
  Encrypted, to a multicast group, with statistics for a program:
    STRATA_RIST_SECRET='correct horse' strata rist receive --input 'rist://@[::]:6000' \\
      --output 'udp://239.1.1.1:5002?miface=eth0&ttl=4' --stats -

SIGINT or SIGTERM ends it: what has come in is played out first, which takes the latency at most;
a second signal ends it at once.

Exit codes:
  0         ended by a signal
  1         failed while running; the last line says why
  2         bad usage; the message names the flag, and the URL's parameter
  3         a port, an output, or the file of --stats or --users cannot be opened, or a name has no
            address
  130, 143  ended at once by a second SIGINT, SIGTERM";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        send: Send,
    }

    #[test]
    fn flags_of_ristsender_are_taken() {
        let line =
            "send -p 0 -b 500 -S 0 -v 4 -f 1 -s secret -e 0 -i udp://127.0.0.1:0 -o rist://127.0.0.1:8";
        assert!(Line::try_parse_from(line.split(' ')).is_ok());
        for (level, expected) in [
            ("-1", LevelFilter::OFF),
            ("3", LevelFilter::ERROR),
            ("4", LevelFilter::WARN),
            ("6", LevelFilter::INFO),
            ("7", LevelFilter::DEBUG),
            ("100", LevelFilter::TRACE),
        ] {
            let line = line.replace("-v 4", &format!("-v {level}"));
            let send = Line::try_parse_from(line.split(' ')).unwrap().send;
            assert_eq!((send.verbosity(), send.interval().unwrap()), (Some(expected), None), "{line}");
        }
        let unsaid = Line::parse_from(line.replace("-S 0 ", "").split(' ')).send;
        assert_eq!(unsaid.interval().unwrap(), Some(Duration::from_secs(1)));
        let often = Line::parse_from(line.replace("-S 0", "-S 250").split(' ')).send;
        assert_eq!(often.interval().unwrap(), Some(Duration::from_millis(250)));
        let never = Line::parse_from(format!("{line} --stats -").split(' ')).send;
        assert!(never.interval().is_err());
    }

    /// What is wrapped again breaks in odd places.
    #[test]
    fn examples_fit_in_a_hundred_columns() {
        let lines = [SEND_EXAMPLES, RECEIVE_EXAMPLES].map(str::lines).into_iter().flatten();
        assert_eq!(lines.filter(|line| line.chars().count() > 100).collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn a_source_is_told_to_make_more_by_its_ramp() {
        let line = |more: &str| {
            let line = format!("send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8 --stats - {more}");
            Line::try_parse_from(line.trim_end().split(' ')).map(|line| line.send.adaptation())
        };
        assert_eq!(line("").unwrap(), None);
        assert_eq!(line("--adapt 1M..5M").unwrap().unwrap().ramp, 0.1);
        assert_eq!(line("--adapt 1M..5M --ramp 50").unwrap().unwrap().ramp, 0.5);
        for wrong in ["--ramp 50", "--adapt 1M..5M --ramp 0", "--adapt 1M..5M --ramp 1001"] {
            assert!(line(wrong).is_err(), "{wrong}");
        }
    }

    #[derive(Debug, Parser)]
    struct Other {
        #[command(flatten)]
        receive: Receive,
    }

    #[test]
    fn what_is_shown_of_flags_holds_no_secret() {
        let (rist, udp) = ("rist://127.0.0.1:8?secret=horse", "udp://anna:horse@127.0.0.1:8");
        let shown = [
            format!("{:?}", Line::parse_from(["send", "-i", udp, "-o", rist, "-s", "horse"])),
            format!("{:?}", Other::parse_from(["receive", "-i", rist, "-o", udp, "-o", rist, "-s", "horse"])),
        ];
        assert!(!shown.concat().contains("horse"), "{shown:?}");
    }

    #[test]
    fn limits_of_the_source_are_two_rates_in_order() {
        let params = source_rate("500k..8M").unwrap();
        assert_eq!((params.floor_bps, params.ceiling_bps), (500_000, 8_000_000));
        assert!(source_rate("8M").unwrap_err().contains("FLOOR..CEILING"));
        assert!(source_rate("8M..500k").unwrap_err().contains("above"));
        assert!(source_rate("0..8M").is_err() && source_rate("1M..8Q").is_err());
    }

    #[test]
    fn the_length_of_a_key_goes_with_a_secret_from_a_url() {
        let output = "rist://127.0.0.1:8,rist://127.0.0.1:10?secret=s";
        let line = ["send", "-i", "udp://127.0.0.1:0", "-o", output, "-e", "256"];
        let send = Line::parse_from(line).send;
        let config = send.configs(&send.urls().unwrap(), &send.inputs().unwrap()).unwrap().remove(0);
        assert_eq!(config.psk.unwrap().aes_type, AesType::Aes256);
    }
}
