//! `loomgate check-config`.

use std::io::Write;

use clap::Args;
use loomgate_domain::limit::Allowance;
use loomgate_gateway::Provider;

use super::{ConfigArgs, Failure};
use crate::config::{Config, ConfiguredKey, DEFAULT_FILE, Database, allowance};

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
    match &config.database {
        Database::Sqlite => writeln!(out, "database      SQLite, in data_dir")?,
        Database::Postgres(postgres) => {
            writeln!(out, "database      PostgreSQL, {}", postgres.url)?;
        }
    }
    let default = config.virtual_keys.default_name();
    for (name, key) in config.virtual_keys.iter() {
        let target = &key.target;
        let provider = match &target.provider {
            Provider::Echo => "echo, the built-in model".to_owned(),
            Provider::Http(account) => match account.base_url.host_str() {
                Some(host) => format!("{}, at {host}", target.brand),
                None => target.brand.to_string(),
            },
        };
        let mark = if default.is_some_and(|default| **default == *name) {
            " (default)"
        } else {
            ""
        };
        let relayed = if target.assistants_upstream {
            "; assistants are relayed"
        } else {
            ""
        };
        let limits = limits(&key.allowance);
        writeln!(
            out,
            "virtual key   {name}: {provider}{mark}{relayed}{limits}"
        )?;
    }
    for name in config.saved_configs.keys() {
        writeln!(out, "config        {name}")?;
    }
    for key in &config.api_keys {
        let ConfiguredKey {
            name,
            workspace,
            settings,
            ..
        } = key;
        let way = match (&settings.default_config, &settings.default_virtual_key) {
            (Some(config), _) => format!("config {config}"),
            (None, Some(virtual_key)) => format!("virtual key {virtual_key}"),
            (None, None) => "no default".to_owned(),
        };
        let limits = limits(&settings.allowance);
        writeln!(
            out,
            "API key       {name}: workspace {workspace}, {way}{limits}"
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

fn limits(allowance: &Allowance) -> String {
    if *allowance == Allowance::default() {
        String::new()
    } else {
        format!("; {}", allowance::words(allowance))
    }
}
