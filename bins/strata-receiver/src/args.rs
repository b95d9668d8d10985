//! The command line.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};
use strata_daemon::logs::{LogFormat, filter};
use strata_media::pipeline::Output;
use strata_proto::id::StreamId;
use tracing_subscriber::filter::Targets;

use crate::config;

/// Receive one bonded RIST stream; write it to a file and pass it on to SRT and RTMP.
#[derive(Debug, Parser)]
#[command(version, after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// TOML file of settings: the flags by their names, as in latency_ms = 500. Variables and flags win over it
    #[arg(long, env = "STRATA_RECEIVER_CONFIG", value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
    /// Name of the stream, str_…; only said back in events and logs
    #[arg(long, env = "STRATA_RECEIVER_STREAM_ID", default_value = "str_manual")]
    pub(crate) stream_id: StreamId,
    /// Address to listen at
    #[arg(long, env = "STRATA_RECEIVER_BIND", default_value = "127.0.0.1")]
    pub(crate) bind: IpAddr,
    /// RTP ports, one per link, even; RTCP uses the port above each. 0 takes a free pair
    #[arg(long, env = "STRATA_RECEIVER_PORTS", value_name = "PORT,…", value_delimiter = ',', required = true,
          value_parser = port)]
    pub(crate) ports: Vec<u16>,
    /// Time from the arrival of an undelayed packet to its playout: what can be repeated within it is not lost
    #[arg(long, env = "STRATA_RECEIVER_LATENCY_MS", value_name = "MS", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub(crate) latency_ms: u64,
    /// End after so long without input, seconds; 0 = never
    #[arg(long, env = "STRATA_RECEIVER_IDLE_TIMEOUT_S", value_name = "S", default_value_t = 60)]
    pub(crate) idle_timeout_s: u64,
    /// Write the transport stream to this file. An existing one is not touched: the new one gets a number
    #[arg(long, env = "STRATA_RECEIVER_RECORD", value_name = "FILE.ts")]
    pub(crate) record: Option<PathBuf>,
    /// Pass it on: srt://host:port, srt://:port?mode=listener, file:///path.ts; may be repeated. RTMP is not taken
    /// here: its address holds a key, and everyone on this machine sees command lines
    #[arg(long = "output", value_name = "URI", value_parser = output)]
    pub(crate) outputs: Vec<Output>,
    /// Read further outputs from the first line of standard input: {"cmd":"update_forward","outputs":[{"uri":"rtmp://…"}]}
    #[arg(long)]
    pub(crate) output_stdin_json: bool,
    /// Unix socket for a control plane: JSON lines, mode 0600; removed at the end. Its directory must be there
    #[arg(long, env = "STRATA_RECEIVER_CONTROL_SOCKET", value_name = "PATH")]
    pub(crate) control_socket: Option<PathBuf>,
    /// What is logged to standard error: off, error, warn, info, debug, trace, or target=level pairs such as
    /// info,strata_media=debug
    #[arg(long, env = "STRATA_RECEIVER_LOG", value_name = "FILTER", default_value = "info", value_parser = filter)]
    pub(crate) log: Targets,
    /// How it is logged
    #[arg(long, env = "STRATA_RECEIVER_LOG_FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

const PREFIX: &str = "STRATA_RECEIVER_";

const EXAMPLES: &str = "\
Examples:
  Record a stream that comes over two links:
    strata-receiver --bind 0.0.0.0 --ports 15000,15002 --record match.ts
  Let people fetch it by SRT (ffplay srt://this-host:9000):
    strata-receiver --bind 0.0.0.0 --ports 15000 --output 'srt://:9000?mode=listener'
  Send it to an RTMP server, key unseen:
    echo '{\"cmd\":\"update_forward\",\"outputs\":[{\"uri\":\"rtmp://host/app/key\"}]}' |
      strata-receiver --ports 15000 --output-stdin-json

Control socket (one JSON object per line):
  {\"cmd\":\"stats\"}   {\"cmd\":\"stop\"}   {\"cmd\":\"update_forward\",\"outputs\":[{\"uri\":\"srt://…\"}]}
  It answers with the events ready (first), stats (every second), error and stopped (last).

It ends at SIGTERM or SIGINT, at {\"cmd\":\"stop\"}, or without input for the idle timeout; what is buffered is
written first. A second SIGTERM or SIGINT meanwhile ends it at once.

Exit codes:
  0         ended so
  1         failed while running; the last log line says why
  2         bad usage, or a bad configuration file
  3         a port cannot be bound
  4         the control socket cannot be made
  130, 143  ended at once by a second SIGINT, SIGTERM";

impl Args {
    /// Reads a command line, and checks what one argument alone cannot tell, and that each of `variables` (names of
    /// the environment) that is for a receiver is known.
    ///
    /// # Errors
    /// What to print instead of running: a fault, or the help.
    pub(crate) fn read(
        line: impl IntoIterator<Item = OsString>,
        variables: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, clap::Error> {
        let args = Self::parse_with_file(line.into_iter().collect())?;
        if let Some(reason) = variables.into_iter().find_map(|name| unknown(&name.to_string_lossy())) {
            return Err(Self::command().error(ErrorKind::UnknownArgument, reason));
        }
        let mut seen = BTreeSet::new();
        match args.ports.iter().find(|port| **port != 0 && !seen.insert(**port)) {
            Some(port) => {
                let reason = format!("--ports: {port} is there twice: every link needs a pair of its own");
                Err(Self::command().error(ErrorKind::ValueValidation, reason))
            }
            None => Ok(args),
        }
    }

    /// Reads the command line, and then once more with what the file says beside it.
    fn parse_with_file(mut line: Vec<OsString>) -> Result<Self, clap::Error> {
        let mut command = Self::command().mut_arg("ports", |ports| ports.required(false));
        let given = command.try_get_matches_from_mut(&line)?;
        let Some(file) = given.get_one::<PathBuf>("config") else { return Self::try_parse_from(line) };
        let refused =
            |kind, reason: &str| Self::command().error(kind, format!("{}: {reason}", file.display()));
        let flags = config::flags(file, &command, &given);
        line.extend(flags.map_err(|reason| refused(ErrorKind::InvalidValue, &reason))?);
        Self::try_parse_from(line).map_err(|error| match error.kind() {
            ErrorKind::MissingRequiredArgument => error,
            // The line itself was fine: the file is to blame.
            kind => {
                let text = error.to_string();
                refused(kind, text.lines().next().unwrap_or_default().trim_start_matches("error: "))
            }
        })
    }
}

/// What to say of a variable that is for a receiver and not known. Those that Kubernetes sets for a Service named
/// `strata-receiver` (`STRATA_RECEIVER_SERVICE_HOST`, `STRATA_RECEIVER_PORT_15000_UDP`) are for nobody.
fn unknown(name: &str) -> Option<String> {
    let is_of_a_service = name.contains("_SERVICE_") || name.ends_with("_PORT") || name.contains("_PORT_");
    if !name.starts_with(PREFIX) || is_of_a_service {
        return None;
    }
    let command = Args::command();
    let known: Vec<_> = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str()).collect();
    let known = (!known.contains(&name)).then(|| known.join(", "))?;
    Some(format!("{name} is not known; these are: {known}"))
}

fn port(text: &str) -> Result<u16, String> {
    match text.trim().parse::<u16>() {
        Ok(port) if port % 2 == 0 => Ok(port),
        Ok(port) => Err(format!("{port} is odd: RTP uses even ports, RTCP the odd ones above them")),
        Err(_) => Err("expected even port numbers, such as 15000,15002".to_owned()),
    }
}

fn output(text: &str) -> Result<Output, String> {
    match text.parse::<Output>() {
        Ok(Output::Rtmp(_)) => {
            Err("an RTMP address holds a key, and everyone on this machine sees command lines: \
                                    use --output-stdin-json or the control socket"
                .to_owned())
        }
        Ok(output) => Ok(output),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Args, String> {
        let line = ["strata-receiver"].iter().chain(args).map(OsString::from);
        Args::read(line, []).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_is_refused_is_named_with_its_reason() {
        for (args, flag, reason) in [
            (&["--ports", "15001"][..], "--ports", "15001 is odd"),
            (&["--ports", "15000,15002,15000"], "--ports", "15000 is there twice"),
            (&["--ports", "15000", "--output", "rtmp://h/a/k"], "--output", "--output-stdin-json"),
            (&["--ports", "15000", "--log", "loud"], "--log", "expected off, error"),
            (&["--ports", "15000", "--log", "strata_media=loud"], "--log", "target=level"),
            (&["--ports", "15000", "--log", ""], "--log", "expected off, error"),
            (&[], "--ports", "required"),
        ] {
            let error = read(args).unwrap_err();
            assert!(error.contains(flag) && error.contains(reason), "{args:?}: {error}");
        }
    }

    #[test]
    fn variables_that_are_not_known_are_refused_and_a_services_are_not() {
        let read = |name: &str| {
            let line = ["strata-receiver", "--ports", "0"].map(OsString::from);
            Args::read(line, [OsString::from(name)]).map_err(|error| (error.exit_code(), error.to_string()))
        };
        for known in ["STRATA_RECEIVER_PORTS", "STRATA_RECEIVER_LATENCY_MS", "PATH", "STRATA_CONTROL_X"] {
            read(known).unwrap();
        }
        for of_a_service in ["SERVICE_HOST", "SERVICE_PORT_SRT", "PORT", "PORT_15000_UDP_ADDR"] {
            read(&format!("STRATA_RECEIVER_{of_a_service}")).unwrap();
        }
        for unknown in ["LATENCY", "OUTPUT", ""] {
            let (code, text) = read(&format!("STRATA_RECEIVER_{unknown}")).unwrap_err();
            assert_eq!(code, 2);
            let said = format!("STRATA_RECEIVER_{unknown} is not known; these are: ");
            assert!(text.contains(&said) && text.contains("STRATA_RECEIVER_LATENCY_MS"), "{text}");
        }
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "ports = [15000, 15002]\nlatency_ms = 500\nlog = \"warn\"\noutputs = [\"srt://h:1\", \"srt://h:2\"]\n";
        std::fs::write(&file, text).unwrap();
        let path = file.path().to_str().unwrap();
        let args = read(&["--config", path]).unwrap();
        assert_eq!((args.ports.as_slice(), args.latency_ms), (&[15000, 15002][..], 500));
        assert_eq!((args.outputs.len(), args.log.to_string().as_str()), (2, "warn"));
        let args = read(&["--config", path, "--ports", "0", "--latency-ms", "800"]).unwrap();
        assert_eq!((args.ports.as_slice(), args.latency_ms), (&[0][..], 800));
    }

    #[test]
    fn what_is_wrong_in_a_file_is_named_with_the_file() {
        for (text, reason) in [
            ("latency = 500", "latency is not known; these are: stream_id, bind"),
            ("config = \"x\"", "config is not known"),
            ("latency_ms = 5", "--latency-ms"),
            ("latency_ms = true", "latency_ms: expected a text, a whole number"),
            ("ports = [15001]", "15001 is odd"),
            ("ports = [", "TOML parse error"),
        ] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(&file, text).unwrap();
            let path = file.path().to_str().unwrap();
            let error = read(&["--config", path]).unwrap_err();
            assert!(error.contains(path) && error.contains(reason), "{text}: {error}");
        }
        let error = read(&["--config", "/no/such/file.toml"]).unwrap_err();
        assert!(error.contains("/no/such/file.toml: No such file"), "{error}");
    }

    #[test]
    fn free_pairs_and_filters_are_taken() {
        assert_eq!(read(&["--ports", "0,0,15000"]).unwrap().ports, [0, 0, 15000]);
        read(&["--ports", "0", "--log", "warn, strata_media=debug"]).unwrap();
    }
}
