//! The flags of `strata rist`, and what they configure.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use strata_media::bond::{Mode, SchedulerParams};
use strata_media::net::{self, AesType, Passphrase, ReceiverConfig, RistUrls, SenderConfig, Verifiers};

use super::udp::UdpUrl;
use crate::end::Failure;

/// Take a stream from UDP, and send it by RIST over one link or several.
#[derive(Debug, Args)]
#[command(after_long_help = SEND_EXAMPLES)]
pub(crate) struct Send {
    /// Where the stream comes in, one RTP payload (usually 1316 bytes of MPEG-TS) per datagram:
    /// udp://ADDRESS:PORT[?miface=INTERFACE]; a multicast group is joined, port 0 takes a free one
    #[arg(short, long, alias = "inputurl", value_name = "URL")]
    input: String,
    /// The receiver, once for every link: rist://HOST:PORT[?NAME=VALUE&…],…
    ///
    /// Parameters of a link: source=ADDRESS, interface=NAME (or miface), weight=N (a hint), backup=1 (only when the
    /// others do not suffice), metered=1 (last of all), cap=MB. Of the stream, in any of the URLs: buffer=MS (latency), secret, aes-type=128|256, key-rotation, username, password, cname.
    /// librist's others are checked, and a warning says that they have no effect.
    #[arg(short, long, alias = "outputurl", value_name = "URL,…")]
    output: String,
    /// How it speaks; main needs one port per link and can encrypt, simple two ports, an even one and the one above
    #[arg(short, long, value_name = "PROFILE", default_value = "main")]
    profile: Profile,
    /// How much is sent that may turn out not to have been needed: economy repeats what is lost; balanced also copies
    /// keyframes and tables to a second link, and spends a tenth of what the links have to spare on copies; robust
    /// copies keyframes and tables to all links, and spends half
    #[arg(short, long, value_name = "MODE", default_value_t)]
    mode: Mode,
    /// Leave null packets out, which the receiver restores; only with main
    #[arg(short, long)]
    null_packet_deletion: bool,
    #[command(flatten)]
    common: Common,
    /// Write statistics to this file once per second, a JSON object per line; - is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) stats: Option<PathBuf>,
}

/// Receive a stream by RIST on one port or several, and pass it on by UDP.
#[derive(Debug, Args)]
#[command(after_long_help = RECEIVE_EXAMPLES)]
pub(crate) struct Receive {
    /// Where to listen, once for every port: rist://@ADDRESS:PORT[?NAME=VALUE&…],…; port 0 takes a free one
    ///
    /// All of them are one stream, whichever profile a sender speaks: main comes to the port, simple to it and the
    /// one above, so that it has to be even. Parameters: buffer=MS (latency), secret, aes-type=128|256, cname.
    /// librist's others are checked, and a warning says that they have no effect.
    #[arg(short, long, alias = "inputurl", value_name = "URL,…")]
    input: String,
    /// Where the stream goes: udp://HOST:PORT[?miface=INTERFACE&ttl=HOPS],…; may be a multicast group
    #[arg(short, long, alias = "outputurl", value_name = "URL,…", value_delimiter = ',', required = true)]
    output: Vec<String>,
    /// Let only these users in: a file as ristsrppasswd prints it, a line per user. Who has no password, or does not
    /// speak the Main Profile, is not heard
    #[arg(short = 'F', long, alias = "srpfile", value_name = "FILE")]
    users: Option<PathBuf>,
    /// Taken as ristreceiver does; both profiles are understood in any case
    #[arg(short, long, value_name = "PROFILE", hide = true)]
    profile: Option<Profile>,
    #[command(flatten)]
    common: Common,
    /// Write statistics to this file once per second, a JSON object per line; - is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) stats: Option<PathBuf>,
}

/// What URLs may say too, and then win.
#[derive(Debug, Args)]
struct Common {
    /// Latency where no URL has a buffer, ms; 1000 if that is not given either
    #[arg(short, long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    buffer: Option<u64>,
    /// Passphrase where no URL has a secret; better in the variable, as everyone on this machine sees command lines
    #[arg(short, long, value_name = "PASSPHRASE", env = "STRATA_RIST_SECRET", hide_env_values = true)]
    secret: Option<Secret>,
    /// Length of the key where no URL has an aes-type, bits
    #[arg(short, long, value_name = "BITS", value_parser = aes_type)]
    encryption_type: Option<AesType>,
}

/// A passphrase as it was given. `clap` shows the values that it refuses: it is checked later.
#[derive(Clone)]
struct Secret(String);

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
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

fn aes_type(text: &str) -> Result<AesType, String> {
    match text {
        "128" => Ok(AesType::Aes128),
        "256" => Ok(AesType::Aes256),
        _ => Err("expected 128 or 256".to_owned()),
    }
}

impl Common {
    fn urls(&self, flag: &str, text: &str) -> Result<RistUrls, Failure> {
        let urls = text.parse::<RistUrls>().map_err(|error| Failure::Usage(format!("{flag}: {error}")))?;
        let urls = match self.buffer {
            Some(ms) => urls.or_buffer(Duration::from_millis(ms)),
            None => urls,
        };
        let urls = match &self.secret {
            Some(Secret(text)) => urls.or_secret(Passphrase::new(text).map_err(|error| {
                Failure::Usage(format!("--secret (or STRATA_RIST_SECRET in the environment): {error}"))
            })?),
            None => urls,
        };
        match self.encryption_type {
            Some(bits) if urls.has_secret() => Ok(urls.or_aes_type(bits)),
            Some(_) => Err(Failure::Usage("--encryption-type: only with a secret".to_owned())),
            None => Ok(urls),
        }
    }
}

/// Reads a URL of a flag. Not left to `clap`, which shows what it refuses, and someone may have mixed the flags up: a
/// `rist://` URL has secrets.
fn udp_url(flag: &str, text: &str) -> Result<UdpUrl, Failure> {
    text.parse().map_err(|error| Failure::Usage(format!("{flag}: {error}")))
}

impl Send {
    /// Where the stream comes in.
    pub(super) fn input(&self) -> Result<UdpUrl, Failure> {
        let url = udp_url("--input", &self.input)?;
        match url.hops {
            Some(_) => Err(Failure::Usage("--input: ttl: only for an output".to_owned())),
            None => Ok(url),
        }
    }

    /// The links, as they are written.
    pub(super) fn urls(&self) -> Result<RistUrls, Failure> {
        self.common.urls("--output", &self.output)
    }

    /// The sender over links that are resolved.
    pub(super) fn config(&self, urls: &RistUrls) -> Result<SenderConfig, Failure> {
        let config = urls.sender().map_err(|error| Failure::Usage(format!("--output: {error}")))?;
        let Profile(profile) = self.profile;
        let mut config = config.with_profile(profile);
        config.null_packet_deletion = self.null_packet_deletion;
        config.scheduler = SchedulerParams::new(self.mode);
        Ok(config)
    }
}

impl Receive {
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
        if let Some(path) = &self.users {
            let named = |error: &dyn fmt::Display| format!("--users: {}: {error}", path.display());
            let text = std::fs::read_to_string(path).map_err(|error| Failure::Open(named(&error)))?;
            config.users = Some(Verifiers::parse(&text).map_err(|error| Failure::Usage(named(&error)))?);
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
    strata rist send --profile simple --input udp://239.1.1.1:5000?miface=eth0 --output rist://host:6000

SIGINT or SIGTERM ends it: what has come in is sent, and repeated where it is lost, for the latency; a second signal ends
it at once.

Exit codes:
  0         ended by a signal
  1         failed while running; the last line says why
  2         bad usage; the message names the flag, and the URL's parameter
  3         the input or no link can be opened, or a name has no address
  130, 143  ended at once by a second SIGINT, SIGTERM";

const RECEIVE_EXAMPLES: &str = "\
Examples:
  A stream that comes over two links, played with 300 ms of latency:
    strata rist receive --input 'rist://@0.0.0.0:6000?buffer=300,rist://@0.0.0.0:6002' --output udp://127.0.0.1:5002
    ffplay udp://127.0.0.1:5002
  Encrypted, to a multicast group, with statistics for a program:
    STRATA_RIST_SECRET='correct horse' strata rist receive --input 'rist://@[::]:6000' \\
      --output 'udp://239.1.1.1:5002?miface=eth0&ttl=4' --stats -

SIGINT or SIGTERM ends it: what has come in is played out first, which takes the latency at most; a second signal ends it
at once.

Exit codes:
  0         ended by a signal
  1         failed while running; the last line says why
  2         bad usage; the message names the flag, and the URL's parameter
  3         a port or output cannot be opened, or a name has no address
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
    fn the_length_of_a_key_goes_with_a_secret_from_a_url() {
        let output = "rist://127.0.0.1:8,rist://127.0.0.1:10?secret=s";
        let line = ["send", "-i", "udp://127.0.0.1:0", "-o", output, "-e", "256"];
        let send = Line::parse_from(line).send;
        let config = send.config(&send.urls().unwrap()).unwrap();
        assert_eq!(config.psk.unwrap().aes_type, AesType::Aes256);
    }
}
