//! placeholder
pub struct Preset {
    pub name: &'static str,
    pub base_url: Option<&'static str>,
    pub needs_key: bool,
}
pub fn preset(name: &str) -> Option<&'static Preset> {
    static P: Preset = Preset {
        name: "openai",
        base_url: Some("https://api.openai.com/v1"),
        needs_key: true,
    };
    (name == "openai").then_some(&P)
}
