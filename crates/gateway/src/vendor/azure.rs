//! placeholder
use url::Url;
pub(crate) struct Azure {
    pub base: Url,
    pub deployment: Option<String>,
    pub api_version: Option<String>,
}
impl Azure {
    pub(crate) fn url(&self, _: &str, _: Option<&str>, _: Option<&str>) -> Url {
        self.base.clone()
    }
}
