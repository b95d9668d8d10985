//! Wrong configuration: every daemon names the key, says what it expects, and does not start.

use std::path::{Path, PathBuf};

use anyhow::Result;
use strata_e2e::daemon::run;

/// Runs a daemon that must refuse to start; gives what it says.
async fn refusal<S: AsRef<std::ffi::OsStr>>(program: &str, args: &[S]) -> Result<String> {
    let (code, stdout, stderr) = run(program, args, "").await?;
    assert!(code > 0, "{program} ended with {code}: {stderr}");
    assert!(!stdout.contains("listening"), "{stdout}");
    Ok(stderr)
}

fn write(dir: &Path, text: &str) -> Result<PathBuf> {
    let file = dir.join("wrong.toml");
    std::fs::write(&file, text)?;
    Ok(file)
}

async fn refuses(program: &str, text: &str, expected: &[&str]) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = write(dir.path(), &text.replace("DIR", &dir.path().display().to_string()))?;
    let said = refusal(program, &["--config".as_ref(), file.as_os_str()]).await?;
    for part in expected {
        assert!(said.contains(part), "{part:?} is missing in: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn strata_control_names_an_unknown_key() -> Result<()> {
    refuses("strata-control", "data_dir = 'DIR'\ndata_dri = 'x'\n", &["data_dri"]).await?;
    refuses("strata-control", "data_dir = 'DIR'\n[streams]\nprots = '1-2'\n", &["streams", "prots"]).await
}

#[tokio::test]
async fn strata_control_names_a_bad_port_range() -> Result<()> {
    for range in ["16000-15000", "15000", "80-90", "15000-70000", "15001-15002"] {
        let text = format!("data_dir = 'DIR'\n[streams]\nports = '{range}'\n");
        refuses("strata-control", &text, &["streams.ports"]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn strata_agent_names_an_unknown_key() -> Result<()> {
    refuses("strata-agent", "state_dir = 'DIR'\nstate_dri = 'x'\n", &["state_dri"]).await
}

#[tokio::test]
async fn strata_agent_names_a_bad_value() -> Result<()> {
    refuses("strata-agent", "state_dir = 'DIR'\nscan_interval_s = 'often'\n", &["scan_interval_s"]).await
}

#[tokio::test]
async fn strata_receiver_names_a_bad_port_list_and_an_unknown_flag() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let socket = dir.path().join("control.sock").display().to_string();
    let good =
        ["--stream-id", "str_1", "--bind", "127.0.0.1", "--control-socket", &socket, "--latency-ms", "1000"];
    for ports in ["15001", "x", "65536", "15000,"] {
        let said = refusal("strata-receiver", &[&good[..], &["--ports", ports]].concat()).await?;
        assert!(said.contains("--ports"), "{ports}: {said}");
    }
    let said = refusal("strata-receiver", &[&good[..], &["--prots", "15000"]].concat()).await?;
    assert!(said.contains("--prots"), "{said}");
    Ok(())
}
