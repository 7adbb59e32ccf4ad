//! `loomgate virtual-keys create`.

use std::{collections::BTreeMap, io::Write};

use clap::{Args, ValueEnum};
use loomgate_domain::{
    Clock as _, Timestamp, WorkspaceId,
    virtual_key::{VirtualKey, VirtualKeySettings},
};
use loomgate_gateway::Provider;
use secrecy::SecretString;

use super::{
    super::{ConfigArgs, Failure, expect_workspace, limits::LimitArgs, open},
    Sealer, expect_callable,
    secret::SecretArgs,
};
use crate::{
    account::{self, AccountError, Built, PROVIDERS},
    clock::SystemClock,
    config::{Config, is_name},
    start::DEFAULT_WORKSPACE,
};

/// Options of providers that `--option` sets.
const OPTIONS: [&str; 5] = [
    "resource_name",
    "deployment_name",
    "api_version",
    "organization",
    "project",
];

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// What callers name it by
    #[arg(long)]
    slug: String,
    /// A name for people [default: the slug]
    #[arg(long)]
    name: Option<String>,
    /// Whose account it is: openai (also for servers that speak like it), azure-openai, anthropic,
    /// google, ollama, vllm, llama.cpp, openrouter, groq, mistral, deepseek, together or echo
    #[arg(long)]
    provider: String,
    /// Another address than the provider's own; it has to be public, or among [egress] allow
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// An option of the provider: `resource_name`, `deployment_name` or `api_version` of Azure,
    /// `organization` or `project` of `OpenAI`; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    option: Vec<String>,
    #[command(flatten)]
    secret: SecretArgs,
    /// The workspace that may use it; made when it is new
    #[arg(long, default_value = DEFAULT_WORKSPACE)]
    workspace: String,
    /// Where assistants live: here, or at the provider
    #[arg(long, value_enum, default_value_t = Assistants::Native)]
    assistants: Assistants,
    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Assistants {
    /// Here; their model calls go to the provider
    Native,
    /// At the provider; their calls are relayed
    Upstream,
}

pub(super) async fn run(args: CreateArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let config = args.config.load()?;
    args.check_names(&config)?;
    let options = args.options()?;
    let allowance = args.limits.allowance()?;
    let secret = args.secret.read()?;
    let built = args.account(&config, secret.clone(), &options)?;
    let (foundation, store) = open(&config)?;
    let workspace = store.workspaces().ensure(&args.workspace).await?;
    let now = SystemClock.now();
    let settings = VirtualKeySettings {
        base_url: args.base_url.clone(),
        options,
        assistants_upstream: args.assistants == Assistants::Upstream,
        allowance,
        usage_since: now,
        ..VirtualKeySettings::default()
    };
    let mut key = args.record(workspace, built.brand, settings, now);
    let sealer = Sealer::new(&config, &foundation)?;
    if let Some(secret) = &secret {
        sealer.put(&mut key, secret);
    }
    let masked = key.masked_key.clone();
    match store.virtual_keys().insert(key, None).await {
        Ok(()) => {}
        Err(loomgate_store::Error::Duplicate) => return Err(taken(&args.slug)),
        Err(error) => return Err(error.into()),
    }
    drop(sealer);
    store.close().await;
    let CreateArgs {
        slug, workspace, ..
    } = &args;
    writeln!(out, "virtual key: {slug} (workspace {workspace})")?;
    if let Some(masked) = masked {
        writeln!(out, "key: {masked}, kept sealed")?;
    }
    Ok(())
}

impl CreateArgs {
    fn check_names(&self, config: &Config) -> Result<(), Failure> {
        expect_workspace(&self.workspace)?;
        if !is_name(&self.slug) {
            return Err(Failure::misused(
                "--slug: a name has 1 to 64 characters".to_owned(),
                "out of letters, digits, `-`, `_` and `.`",
            ));
        }
        if config.virtual_keys.get(&self.slug).is_some() {
            return Err(taken(&self.slug));
        }
        Ok(())
    }

    fn options(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut options = BTreeMap::new();
        for text in &self.option {
            let known = |(name, value): (&str, &str)| {
                let is_known = OPTIONS.contains(&name) && !value.is_empty();
                is_known.then(|| (name.to_owned(), value.to_owned()))
            };
            let Some((name, value)) = text.split_once('=').and_then(known) else {
                return Err(Failure::misused(
                    "--option: not NAME=VALUE with a name that is known".to_owned(),
                    format!("known: {}", OPTIONS.join(", ")),
                ));
            };
            options.insert(name, value);
        }
        Ok(options)
    }

    /// Errors unless an account can be made of it, at an address that may be called.
    fn account(
        &self,
        config: &Config,
        secret: Option<SecretString>,
        options: &BTreeMap<String, String>,
    ) -> Result<Built, Failure> {
        let mut all = options.clone();
        if let Some(url) = &self.base_url {
            all.insert("base_url".to_owned(), url.clone());
        }
        let has_secret = secret.is_some();
        let built = account::build(&self.provider, secret, &all).map_err(|error| told(&error))?;
        let set = all.keys().map(String::as_str);
        for option in set.chain(has_secret.then_some("api_key")) {
            if !account::takes(&built, option) {
                return Err(Failure::misused(
                    format!("the provider \"{}\" takes no `{option}`", built.brand),
                    "leave it out",
                ));
            }
        }
        if self.assistants == Assistants::Upstream
            && !account::can_relay_assistants(&built.provider)
        {
            return Err(Failure::misused(
                format!("the provider \"{}\" has no assistants API", built.brand),
                "--assistants native: they live here, and their model calls go to the provider",
            ));
        }
        if let Provider::Http(account) = &built.provider {
            if account.base_url.query().is_some() {
                return Err(Failure::misused(
                    "--base-url: a key in its query would not be sealed".to_owned(),
                    "--key-env NAME or --key-stdin, or the virtual key in the configuration",
                ));
            }
            expect_callable(account.base_url.as_str(), config)?;
        }
        Ok(built)
    }

    fn record(
        &self,
        workspace: WorkspaceId,
        brand: &str,
        settings: VirtualKeySettings,
        now: Timestamp,
    ) -> VirtualKey {
        VirtualKey {
            workspace,
            slug: self.slug.clone(),
            name: self.name.clone().unwrap_or_else(|| self.slug.clone()),
            provider: brand.to_owned(),
            sealed_key: None,
            masked_key: None,
            settings,
            created_at: now,
            updated_at: now,
        }
    }
}

fn told(error: &AccountError) -> Failure {
    match error {
        AccountError::UnknownProvider => Failure::misused(
            "--provider: there is no such provider".to_owned(),
            format!("known: {}", PROVIDERS.join(", ")),
        ),
        AccountError::NoKey(_) => {
            Failure::misused(error.to_string(), "--key-env NAME or --key-stdin")
        }
        AccountError::NoAddress(_) | AccountError::BaseUrl(_) | AccountError::ResourceName => {
            Failure::misused(error.to_string(), "--base-url URL or --option NAME=VALUE")
        }
    }
}

fn taken(slug: &str) -> Failure {
    Failure::failed(
        format!("there is a virtual key `{slug}` already"),
        "`loomgate virtual-keys list` shows them; rotate-key gives one another key",
    )
}
