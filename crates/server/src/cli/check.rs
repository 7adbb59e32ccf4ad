//! `loomgate check-config`.

use std::io::Write;

use clap::Args;
use loomgate_gateway::Provider;

use super::{ConfigArgs, Failure};
use crate::config::{Config, DEFAULT_FILE};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print a file with every option, its default and an explanation
    #[arg(long)]
    print_default: bool,
}

pub(super) fn run(args: &CheckArgs, out: &mut dyn Write) -> Result<(), Failure> {
    if args.print_default {
        out.write_all(DEFAULT_FILE.as_bytes())?;
        return Ok(());
    }
    summary(&args.config.load()?, out)?;
    Ok(())
}

/// What the configuration amounts to. No secrets.
fn summary(config: &Config, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "The configuration is valid.")?;
    writeln!(out, "listen        {}", config.listen)?;
    writeln!(out, "data_dir      {}", config.data_dir.display())?;
    let default = config.virtual_keys.default_name();
    for (name, target) in config.virtual_keys.targets_by_name() {
        let provider = match &target.provider {
            Provider::Echo => "echo, the built-in model".to_owned(),
            Provider::Http(openai) => match openai.base_url.host_str() {
                Some(host) => format!("openai, at {host}"),
                None => "openai".to_owned(),
            },
        };
        let mark = if default.is_some_and(|default| **default == *name) {
            " (default)"
        } else {
            ""
        };
        writeln!(out, "virtual key   {name}: {provider}{mark}")?;
    }
    for key in &config.api_keys {
        let (name, workspace, virtual_key) = (
            &key.name,
            &key.workspace,
            key.settings.default_virtual_key.as_deref().unwrap_or("-"),
        );
        writeln!(
            out,
            "API key       {name}: workspace {workspace}, virtual key {virtual_key}"
        )?;
    }
    if config.api_keys.is_empty() {
        writeln!(
            out,
            "API key       none here: one is made at the first start"
        )?;
    }
    for note in &config.notes {
        writeln!(out, "note          {note}")?;
    }
    Ok(())
}
