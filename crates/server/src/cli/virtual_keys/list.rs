//! `loomgate virtual-keys list`.

use std::io::Write;

use loomgate_domain::virtual_key::VirtualKey;
use loomgate_gateway::Provider;
use loomgate_store::Store;

use super::{
    super::{Failure, limits, open, table},
    shown,
};
use crate::config::{Config, ConfiguredVirtualKey, allowance};

const HEAD: [&str; 9] = [
    "SLUG",
    "WORKSPACE",
    "PROVIDER",
    "HOST",
    "KEY",
    "ASSISTANTS",
    "LIMITS",
    "MADE",
    "STATE",
];

pub(super) async fn run(config: &Config, out: &mut dyn Write) -> Result<(), Failure> {
    let (_, store) = open(config)?;
    let mut rows = vec![HEAD.map(str::to_owned)];
    let configured = config.virtual_keys.iter();
    rows.extend(configured.map(|(name, key)| of_config(name, key)));
    for key in store.virtual_keys().all().await? {
        rows.push(of_store(&store, &key).await?);
    }
    store.close().await;
    table::write(out, &rows)?;
    Ok(())
}

fn of_config(name: &str, key: &ConfiguredVirtualKey) -> [String; 9] {
    let host = match &key.target.provider {
        Provider::Echo => None,
        Provider::Http(account) => account.base_url.host_str(),
    };
    [
        name.to_owned(),
        "all".to_owned(),
        key.target.brand.to_string(),
        table::or_dash(host),
        table::or_dash(key.masked_key.as_deref()),
        assistants(key.target.assistants_upstream),
        allowance::words(&key.allowance),
        "-".to_owned(),
        "in the config".to_owned(),
    ]
}

async fn of_store(store: &Store, key: &VirtualKey) -> Result<[String; 9], Failure> {
    let settings = &key.settings;
    let url = settings.base_url.as_deref().map(url::Url::parse);
    let url = url.and_then(Result::ok);
    let host = url.as_ref().and_then(url::Url::host_str);
    Ok([
        key.slug.clone(),
        table::workspace(&key.workspace),
        key.provider.clone(),
        host.unwrap_or("the provider's own").to_owned(),
        table::or_dash(key.masked_key.as_deref()),
        assistants(settings.assistants_upstream),
        allowance::words(&settings.allowance),
        table::moment(key.created_at),
        limits::state(store, &shown::holder(key)).await?,
    ])
}

fn assistants(upstream: bool) -> String {
    if upstream { "upstream" } else { "native" }.to_owned()
}
