//! Other products, as peers of relayed calls: started by a script that prints their address.

use std::path::PathBuf;

use loomgate_bench::process::Process;

use super::call::{Call, Kind};
use crate::frame::{NO_KEY, SERVER_CORE, cell::Arm};

pub(crate) const PORTKEY: Arm = "Portkey gateway";
pub(crate) const LITELLM: Arm = "LiteLLM";
/// The key of calls whose bodies a peer writes anew: the stand-in compares what they mean. That of
/// bench/peers/litellm, too.
pub(crate) const REWRITTEN: &str = "sk-rewritten-0000000000000000000000000000";

/// What starts them.
#[derive(Debug, clap::Args)]
pub(crate) struct Scripts {
    /// Starts the Portkey gateway: bench/peers/portkey/start.sh.
    #[arg(long)]
    portkey: Option<PathBuf>,
    /// Starts `LiteLLM`: bench/peers/litellm/start.sh.
    #[arg(long)]
    litellm: Option<PathBuf>,
}

/// One of them, running.
pub(crate) struct Peer {
    pub(crate) arm: Arm,
    pub(crate) process: Process,
}

impl Peer {
    /// Starts those for which there is a script, before this provider.
    pub(crate) async fn start(scripts: &Scripts, upstream: &str) -> anyhow::Result<Vec<Self>> {
        let scripts = [(PORTKEY, &scripts.portkey), (LITELLM, &scripts.litellm)];
        let mut peers = Vec::new();
        for (arm, script) in scripts {
            if let Some(script) = script {
                let process = Process::start(script, &[upstream], Some(SERVER_CORE)).await?;
                peers.push(Self { arm, process });
            }
        }
        Ok(peers)
    }

    /// Whether it relays such calls.
    pub(crate) fn relays(&self, call: Call) -> bool {
        self.arm == PORTKEY || call.kind == Kind::Chat
    }
}

/// Whether it writes bodies anew.
pub(crate) fn rewrites(arm: Arm, call: Call) -> bool {
    matches!(arm, PORTKEY | LITELLM) && call.kind == Kind::Chat
}

/// The key to call a peer with, and headers that it wants besides, each with its end of line.
pub(crate) fn headers(arm: Arm, call: Call, upstream: &str) -> (&'static str, String) {
    let key = if rewrites(arm, call) {
        REWRITTEN
    } else {
        NO_KEY
    };
    let headers = match arm {
        PORTKEY => {
            format!("x-portkey-provider: openai\r\nx-portkey-custom-host: http://{upstream}/v1\r\n")
        }
        _ => String::new(),
    };
    (key, headers)
}
