//! What servers turned out not to understand.

use std::collections::HashSet;

use parking_lot::Mutex;
use url::Url;

use crate::{Account, Target};

/// Servers remembered. When there are more, all are forgotten, which costs each of them one
/// refused request.
const REMEMBERED: usize = 1_024;

/// Servers that refuse `stream_options`, which asks for token counts.
#[derive(Debug, Default)]
pub(crate) struct Quirks {
    without_stream_options: Mutex<HashSet<(String, Url)>>,
}

impl Quirks {
    /// Whether usage may be asked for in a streamed call.
    pub(crate) fn takes_stream_options(&self, target: &Target, account: &Account) -> bool {
        let known = self.without_stream_options.lock();
        known.is_empty() || !known.contains(&server(target, account))
    }

    /// This one refused it.
    pub(crate) fn refused_stream_options(&self, target: &Target, account: &Account) {
        let mut known = self.without_stream_options.lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(server(target, account));
    }
}

/// Whether an answer says that `stream_options` is what it does not like.
pub(crate) fn refuses_stream_options(status: u16, message: &str) -> bool {
    matches!(status, 400 | 422) && message.contains("stream_options")
}

fn server(target: &Target, account: &Account) -> (String, Url) {
    (target.name.to_string(), account.base_url.clone())
}
