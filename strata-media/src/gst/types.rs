//! What properties can be chosen from.

use gstreamer::glib;

use crate::bond::Mode;

/// [`Mode`] as a property.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstStrataSinkMode")]
#[non_exhaustive]
pub enum SinkMode {
    /// Nothing is sent twice beforehand.
    #[default]
    #[enum_value(name = "What is lost is repeated, nothing is sent twice beforehand", nick = "economy")]
    Economy,
    /// Critical packets go by two links.
    #[enum_value(
        name = "Keyframes and tables by two links, a tenth of what is spare for copies",
        nick = "balanced"
    )]
    Balanced,
    /// Critical packets go by all links.
    #[enum_value(
        name = "Keyframes and tables by all links, half of what is spare for copies",
        nick = "robust"
    )]
    Robust,
}

impl From<SinkMode> for Mode {
    fn from(mode: SinkMode) -> Self {
        match mode {
            SinkMode::Economy => Self::Economy,
            SinkMode::Balanced => Self::Balanced,
            SinkMode::Robust => Self::Robust,
        }
    }
}

/// [`Profile`](crate::net::Profile) as a property.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstStrataSinkProfile")]
#[non_exhaustive]
pub enum SinkProfile {
    /// What the URLs say; else Main with a secret or a password, something else that only Main has, or a link that waits to be called;
    /// else Simple.
    #[default]
    #[enum_value(
        name = "As the URLs say, or Main if they or properties ask for what only Main has, else Simple",
        nick = "auto"
    )]
    Auto,
    /// TR-06-1.
    #[enum_value(name = "Two ports per link, in clear (VSF TR-06-1)", nick = "simple")]
    Simple,
    /// TR-06-2.
    #[enum_value(name = "A tunnel to one port per link (VSF TR-06-2)", nick = "main")]
    Main,
}
