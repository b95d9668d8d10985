//! Bonding side by side: the same stream over the same emulated links, by Strata and by its peers, one after another.
//!
//! ```text
//!  source ──UDP──► sending tool ──► relay per link ──► receiving tool ──UDP──► sink
//!  (this process)  (a process)      (this process)     (a process)            (this process)
//! ```

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a measurement of real processes")]

mod contender;
mod datagram;
mod plot;
mod report;
mod rig;
mod scenario;
mod sink;
mod source;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::contender::Contender;
use crate::report::Row;
use crate::scenario::Scenario;

/// Runs the scenarios with every contender, and prints one table.
///
/// Loss is what did not come within the latency and 500 ms; it is counted over the middle of the stream, without its
/// first five seconds. Wire is all bytes handed to the links (UDP payloads of both, media and control) for one byte of
/// payload. CPU is that of both ends, user and system, for 10⁹ bits of payload.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Seconds of stream per run; by default 45, with moving links 120 (S6) and 600 (S7).
    #[arg(long)]
    seconds: Option<u64>,
    /// Scenarios, by name, separated by commas; all when absent.
    #[arg(long, value_delimiter = ',')]
    scenarios: Vec<String>,
    /// Contenders, by name, separated by commas, such as strata-adapting; when absent all, but those with a key only in S5, and a
    /// source that adapts only in S7.
    #[arg(long, value_delimiter = ',')]
    contenders: Vec<String>,
    /// A folder of recorded capacities in Mahimahi's format, one link per file; made ones when absent.
    #[arg(long, env = "TRACES")]
    traces: Option<PathBuf>,
    /// Run the contenders of a scenario at the same time, each over links of its own: for long streams of a few Mbit/s.
    #[arg(long)]
    together: bool,
    /// Where the table, the figures and the logs of the tools go.
    #[arg(long, default_value = "target/bench-bonding")]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let scenarios = pick(&cli.scenarios, scenario::all(cli.traces.as_deref())?, |s| s.name.clone())?;
    let contenders = pick(&cli.contenders, Contender::ALL.to_vec(), |c| c.slug())?;
    std::fs::create_dir_all(&cli.out).with_context(|| cli.out.display().to_string())?;
    let mut rows = Vec::new();
    for scenario in &scenarios {
        let named = !cli.contenders.is_empty();
        let taking_part = contenders.iter().filter(|contender| named || contender.is_shown(scenario));
        let runs = stream::iter(taking_part.map(|contender| run(&cli, scenario, *contender)));
        let at_a_time = if cli.together { contenders.len() } else { 1 };
        let done: Vec<_> = runs.buffered(at_a_time).try_collect().await?;
        done.iter().for_each(|row| println!("{}", report::line(row)));
        rows.extend(done);
    }
    let table = report::table(&rows);
    std::fs::write(cli.out.join("table.md"), &table)?;
    println!("\n{table}");
    Ok(())
}

/// Measures; a contender that fails has a line that says so, and the others go on.
async fn run(cli: &Cli, scenario: &Scenario, contender: Contender) -> Result<Row> {
    let name = format!("{}-{}", scenario.name.to_lowercase(), contender.slug());
    let folder = cli.out.join(&name);
    let seconds = cli.seconds.unwrap_or(scenario.seconds);
    let measured = rig::run(scenario, contender, seconds, &folder).await;
    match &measured {
        Ok(measured) => plot::draw(&cli.out.join(format!("{name}.svg")), scenario, contender, measured)?,
        Err(error) => eprintln!("{name}: {error:#}; logs in {}", folder.display()),
    }
    Ok(report::row(scenario, contender, measured.as_ref().map_err(|error| format!("{error:#}"))))
}

/// Those that were named, or all.
fn pick<T: Clone>(names: &[String], all: Vec<T>, name: impl Fn(&T) -> String) -> Result<Vec<T>> {
    if names.is_empty() {
        return Ok(all);
    }
    let same = |one: &T, wanted: &str| name(one).eq_ignore_ascii_case(&wanted.trim().replace(' ', "-"));
    let find = |wanted: &String| match all.iter().find(|one| same(one, wanted)) {
        Some(found) => Ok(found.clone()),
        None => {
            let known: Vec<_> = all.iter().map(&name).collect();
            bail!("there is no {wanted:?}; there are: {}", known.join(", "))
        }
    };
    names.iter().map(find).collect()
}

/// Texts of the recordings in a folder, by name.
fn recordings(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            found.push((name, text));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn runs(scenario: &str) -> Vec<Contender> {
        let all = scenario::all(None).unwrap_or_default();
        let scenario = all.iter().find(|one| one.name == scenario);
        Contender::ALL.into_iter().filter(|one| scenario.is_some_and(|at| one.is_shown(at))).collect()
    }

    #[test]
    fn what_is_special_runs_where_it_shows() {
        use Contender::{Adapting, Gstreamer, Librist, LibristAes128, Srt, Strata, StrataAes128, ToLibrist};
        let everywhere = [Strata, ToLibrist, Librist, Srt, Gstreamer];
        assert_eq!(runs("S1@140"), everywhere);
        assert_eq!(runs("S5@1000"), [&everywhere[..], &[StrataAes128, LibristAes128]].concat());
        assert_eq!(runs("S7@1000"), [Strata, Adapting, ToLibrist, Librist, Srt, Gstreamer]);
    }

    #[test]
    fn every_contender_can_be_named() {
        let names = ["strata", "Strata to librist", "strata-adapting", "librist-aes-128"].map(str::to_owned);
        let picked = pick(&names, Contender::ALL.to_vec(), |c| c.slug()).unwrap_or_default();
        assert_eq!(
            picked,
            [Contender::Strata, Contender::ToLibrist, Contender::Adapting, Contender::LibristAes128]
        );
        let slugs: HashSet<_> = Contender::ALL.iter().map(|contender| contender.slug()).collect();
        assert!(
            slugs.len() == Contender::ALL.len() && slugs.iter().all(|slug| !slug.contains(',')),
            "{slugs:?}"
        );
        let unknown = pick(&["udt".to_owned()], Contender::ALL.to_vec(), |c| c.slug());
        assert!(unknown.is_err_and(|error| error.to_string().contains("strata-aes-128")));
    }
}
