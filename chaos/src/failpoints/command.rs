//! Cases whose process is a command that changes the database: it is aborted, given again, and has to
//! come to its end then.

use std::process::ExitStatus;

use anyhow::ensure;
use hyper::Method;
use serde_json::{Value, json};

use super::{
    case::{self, Outcome, Plan},
    old,
    pen::{Ledger, Pen},
    place::{Place, SERVER},
    records,
    scene::{ADMIN, Played, Scene},
};
use crate::database::Records;

/// Gives the command of a scene. `ledger` is what was there before.
pub(super) async fn run(
    scene: Scene,
    place: &mut Place,
    ledger: &Ledger,
    plan: Option<&Plan>,
) -> anyhow::Result<Outcome> {
    place.arm(plan);
    let first = give(scene, place).await?;
    let mut outcome = Outcome {
        trace: place.trace()?,
        ..Outcome::default()
    };
    place.disarm();
    let mut broken = Vec::new();
    if outcome.trace.is_aborted {
        place.is_left().await?;
        let again = give(scene, place).await?;
        // A copy that was finished, and had nobody to tell, is refused as one over something.
        if !again.success() && scene != Scene::Copied {
            broken.push(format!("given again, it ended with {again}"));
        }
    } else if !first.success() {
        broken.push(format!("it ended with {first}"));
    }
    if scene == Scene::Migrated {
        outcome.left = old::dump(&place.records).await?;
    }
    if scene == Scene::Copied {
        bring_keys(place)?;
    }
    place.start().await?;
    if scene == Scene::Rotated {
        open_all(place, ledger).await?;
    }
    let played = Played {
        history: None,
        ledger: ledger.clone(),
    };
    broken.extend(case::check(played, place).await?);
    outcome.broken = broken;
    Ok(outcome)
}

async fn give(scene: Scene, place: &Place) -> anyhow::Result<ExitStatus> {
    let stage = &place.stage;
    let mut command = match scene {
        Scene::Rotated => stage.command(SERVER, &["secrets", "rotate"])?,
        Scene::Copied => {
            let from = format!("sqlite:{}", place.source().display());
            let to = match &place.records {
                Records::Sqlite(_) => format!("sqlite:{}", place.data().display()),
                Records::Postgres(url) => url.clone(),
            };
            stage.command(SERVER, &["copy", "--from", &from, "--to", &to])?
        }
        _ => stage.command(SERVER, &["migrate"])?,
    };
    if scene != Scene::Copied {
        stage.at_home(&mut command, "command");
    }
    Ok(command.stdout(std::process::Stdio::null()).status().await?)
}

/// A copied database wants the keys that it was written with.
fn bring_keys(place: &Place) -> anyhow::Result<()> {
    std::fs::create_dir_all(place.data())?;
    for name in ["hash-key", "master-key"] {
        std::fs::copy(place.source().join(name), place.data().join(name))?;
    }
    Ok(())
}

/// Uses everything that is sealed: a provider's key, what came with a run, and the answer with an API key.
async fn open_all(place: &Place, ledger: &Ledger) -> anyhow::Result<()> {
    let mut pen = Pen::new(place.api(ADMIN));
    let sealed = [("x-portkey-virtual-key", "sealed")];
    records::ask(&mut pen, &sealed).await?;
    for run in ledger.paths().filter(|path| path.contains("/runs/")) {
        let waiting = pen.becomes(run, "requires_action").await?;
        records::submit(&mut pen, run, &waiting).await?;
        pen.becomes(run, "completed").await?;
    }
    api_key(&mut pen).await?;
    let keys = pen.api.read("/api-keys").await?;
    let named = |key: &&Value| key["name"] == "sealed";
    let made = keys["data"]
        .as_array()
        .map(|it| it.iter().filter(named).count());
    ensure!(made == Some(1), "another key was made: {keys}");
    Ok(())
}

/// Makes an API key, once however often it is asked to.
async fn api_key(pen: &mut Pen) -> anyhow::Result<()> {
    let body = json!({"name": "sealed", "scopes": ["completions.write"]});
    let once = [("idempotency-key", "sealed")];
    let list = "/api-keys/workspace/service";
    pen.change_with(list, body, &once).await?;
    Ok(())
}

/// A server's records of all kinds, with a run that waits and holds what is sealed for it. What has to
/// be there then.
pub(super) async fn fill(place: &Place) -> anyhow::Result<Ledger> {
    let mut pen = Pen::new(place.api(ADMIN));
    records::records(&mut pen).await?;
    pen.ledger.forget_rows();
    let key = json!({
        "name": "sealed", "slug": "sealed", "provider": "openai", "key": "sk-0123456789",
        "base_url": format!("http://{}/v1", place.model.address),
    });
    pen.change(Method::POST, "/virtual-keys", key).await?;
    let sealed = [("x-portkey-config", r#"{"virtual_key":"sealed"}"#)];
    let made = records::begin(&mut pen, records::CALLING, &json!({}), &sealed).await?;
    let run = records::run_of(&made);
    pen.becomes(&run, "requires_action").await?;
    pen.ledger.has(run, json!({}));
    api_key(&mut pen).await?;
    Ok(pen.ledger)
}
