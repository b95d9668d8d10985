//! Who may join, and who may start what: races and refusals with real processes.

use anyhow::{Result, bail};
use strata_e2e::agent::Agent;
use strata_e2e::clip::Clip;
use strata_e2e::control::PATIENCE;
use strata_e2e::stage::{Setup, Stage};
use strata_e2e::wait::eventually;
use strata_proto::control::{Presence, StreamLife, Topic};
use strata_proto::token::EnrollmentToken;

async fn stage() -> Result<Stage> {
    Stage::new(Setup::new(Clip::SMALL.file().await?)).await
}

/// Waits until an agent was refused, and says so.
async fn refused(agent: &Agent, code: &str) -> Result<()> {
    eventually(format!("{} in {}", code, agent.daemon.log().display()), PATIENCE, async || {
        agent.daemon.logged(code).then_some(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_agents_with_one_token_exactly_one_enrols() -> Result<()> {
    let stage = stage().await?;
    let created = stage.rest.create_sender("contested").await?;
    let agents = [stage.enroll("one", &created)?, stage.enroll("two", &created)?];
    stage.presence(&created.sender.id, Presence::Online).await?;
    let loser = eventually("one is refused", PATIENCE, async || {
        agents.iter().position(|agent| agent.daemon.logged("invalid_enrollment_token"))
    });
    let loser = loser.await?;
    let [one, two] = agents;
    let (mut winner, mut loser) = if loser == 0 { (two, one) } else { (one, two) };
    assert!(!winner.daemon.logged("invalid_enrollment_token"));

    loser.daemon.terminate(PATIENCE).await?;
    winner.daemon.terminate(PATIENCE).await?;
    stage.presence(&created.sender.id, Presence::Offline).await?;
    winner.start_again()?;
    stage.presence(&created.sender.id, Presence::Online).await?;
    stage.done();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_works_once_and_a_wrong_one_never() -> Result<()> {
    let stage = stage().await?;
    let created = stage.rest.create_sender("sender").await?;
    let mut wrong = created.clone();
    let token = EnrollmentToken::generate([7; 32]);
    wrong.enrollment_uri = wrong.enrollment_uri.replace(created.enrollment_token.expose(), token.expose());
    let impostor = stage.enroll("impostor", &wrong)?;
    refused(&impostor, "invalid_enrollment_token").await?;
    assert!(!stage.rest.sender(&created.sender.id).await?.enrolled);

    let _first = stage.enroll("first", &created)?;
    stage.presence(&created.sender.id, Presence::Online).await?;
    let late = stage.enroll("late", &created)?;
    refused(&late, "invalid_enrollment_token").await?;
    stage.done();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_is_disconnected_at_once_and_stays_out() -> Result<()> {
    let stage = stage().await?;
    let (mut agent, sender) = stage.device("agent").await?;
    let mut live = stage.live(vec![Topic::Sender(sender.id.clone())]).await?;
    stage.rest.delete_sender(&sender.id).await?;
    let told = live.until("the sender is gone", PATIENCE, |event| {
        (event.topic == Topic::Sender(sender.id.clone())).then_some(())
    });
    told.await?;
    refused(&agent, "sender was decommissioned").await?;
    match stage.rest.sender(&sender.id).await {
        Err(error) if error.refusal().is_some_and(|(status, _)| status == 404) => {}
        Err(error) => bail!("expected 404, got {error}"),
        Ok(sender) => bail!("a deleted sender is still there: {sender:?}"),
    }
    agent.daemon.terminate(PATIENCE).await?;
    agent.start_again()?;
    refused(&agent, "revoked").await?;
    stage.done();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_starts_at_once_one_wins_and_the_other_gets_409() -> Result<()> {
    let stage = stage().await?;
    let (_agent, sender) = stage.device("agent").await?;
    let (broadcast, other) = (stage.broadcast()?, stage.control.rest().await?);
    let both = tokio::join!(stage.rest.start(&sender.id, &broadcast), other.start(&sender.id, &broadcast));
    let (won, lost) = match both {
        (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
        both => bail!("expected one stream and one refusal, got {both:?}"),
    };
    assert_eq!(lost.refusal().map(|(status, _)| status), Some(409), "{lost}");
    stage.state(&won.id, StreamLife::Live, PATIENCE).await?;
    assert_eq!(stage.receivers().len(), 1);
    stage.rest.stop(&sender.id).await?;
    stage.state(&won.id, StreamLife::Ended, PATIENCE).await?;
    stage.done();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offline_sender_cannot_start() -> Result<()> {
    let stage = stage().await?;
    let created = stage.rest.create_sender("nobody").await?;
    let refusal = stage.rest.start(&created.sender.id, &stage.broadcast()?).await;
    let error = refusal.err().map(|error| error.to_string());
    assert!(error.as_ref().is_some_and(|e| e.contains("409") && e.contains("sender_offline")), "{error:?}");
    stage.done();
    Ok(())
}
