//! Where a stream can go.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;
use url::Url;

/// Where a stream goes, parsed from `file:///…`, `srt://…`, `rtmp://…` or `rtmps://…`.
///
/// `Debug` and `Display` show the scheme and host only: the rest may hold a stream key or passphrase.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// A file for the transport stream as it is.
    File(PathBuf),
    /// An SRT peer: `srt://host:port` calls, `srt://:port?mode=listener` waits to be called; `latency`, `passphrase`,
    /// `pbkeylen` and `streamid` as parameters.
    Srt(Secret),
    /// An RTMP or RTMPS server, with the stream key in the path.
    Rtmp(Secret),
}

/// An address that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Srt(uri) | Self::Rtmp(uri) => match Url::parse(&uri.0) {
                Ok(url) => write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default()),
                Err(_) => f.write_str("an address"),
            },
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Output({self})")
    }
}

impl FromStr for Output {
    type Err = OutputError;

    fn from_str(text: &str) -> Result<Self, OutputError> {
        let scheme = text.split_once(':').map(|(scheme, _)| scheme).ok_or(OutputError::Scheme)?;
        match scheme {
            "file" => {
                let url = Url::parse(text).map_err(|_| OutputError::File)?;
                let path = url.to_file_path().map_err(|()| OutputError::File)?;
                if path.file_name().is_some() { Ok(Self::File(path)) } else { Err(OutputError::File) }
            }
            // A listener may leave out the host, which `Url` does not forbid for schemes it does not know.
            "srt" => match Url::parse(text) {
                Ok(url) if url.port().is_some() => Ok(Self::Srt(Secret(text.to_owned()))),
                _ if text.starts_with("srt://:") => Ok(Self::Srt(Secret(text.to_owned()))),
                _ => Err(OutputError::Srt),
            },
            "rtmp" | "rtmps" => match Url::parse(text) {
                Ok(url) if url.has_host() && url.path().len() > 1 => Ok(Self::Rtmp(Secret(text.to_owned()))),
                _ => Err(OutputError::Rtmp),
            },
            _ => Err(OutputError::Scheme),
        }
    }
}

/// A text that is not an output. Never contains it: it may hold a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OutputError {
    /// Not a kind of output there is.
    #[error(
        "unsupported output, expected file:///path, srt://host:port, rtmp://host/app/key or rtmps://host/app/key"
    )]
    Scheme,
    /// A `file:` address that is not a file.
    #[error("invalid file output, expected file:///absolute/path.ts")]
    File,
    /// An `srt:` address that leads nowhere.
    #[error("invalid SRT output, expected srt://host:port or srt://:port?mode=listener")]
    Srt,
    /// An `rtmp:` address that leads nowhere.
    #[error("invalid RTMP output, expected rtmp://host/app/key")]
    Rtmp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_known_by_their_scheme() {
        let parse = |text: &str| text.parse::<Output>();
        assert_eq!(parse("file:///tmp/a%20b.ts"), Ok(Output::File("/tmp/a b.ts".into())));
        assert!(matches!(parse("srt://example.com:9000?passphrase=x"), Ok(Output::Srt(_))));
        assert!(matches!(parse("srt://:9000?mode=listener"), Ok(Output::Srt(_))));
        assert!(matches!(parse("rtmps://a.rtmp.youtube.com/live2/key"), Ok(Output::Rtmp(_))));
        assert_eq!(parse("file://relative"), Err(OutputError::File));
        assert_eq!(parse("srt://example.com"), Err(OutputError::Srt));
        assert_eq!(parse("rtmp://example.com"), Err(OutputError::Rtmp));
        assert_eq!(parse("http://example.com/x"), Err(OutputError::Scheme));
        assert_eq!(parse("nothing"), Err(OutputError::Scheme));
    }

    #[test]
    fn keys_are_not_shown() {
        let output: Output = "rtmp://user:pass@example.com/live/secret-key".parse().unwrap();
        assert_eq!(format!("{output:?}"), "Output(rtmp://example.com)");
    }
}
