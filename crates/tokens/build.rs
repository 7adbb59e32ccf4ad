//! Writes the vocabularies in a third of the bytes that they have as the text that they are published
//! as: tokens by their rank, each as its length and its bytes, deflated.

use std::{env, error::Error, fs::File, io::Write as _, path::Path};

use flate2::{Compression, write::ZlibEncoder};
use tiktoken_rs::CoreBPE;

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build where to write in its environment"
)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = env::var("OUT_DIR")?;
    let folder = Path::new(&folder);
    write(
        &tiktoken_rs::cl100k_base()?,
        100_256,
        &folder.join("cl100k_base"),
    )?;
    write(
        &tiktoken_rs::o200k_base()?,
        199_998,
        &folder.join("o200k_base"),
    )
}

fn write(vocabulary: &CoreBPE, tokens: u32, path: &Path) -> Result<(), Box<dyn Error>> {
    let mut out = ZlibEncoder::new(File::create(path)?, Compression::best());
    for token in vocabulary._decode_native_and_split((0..tokens).collect()) {
        out.write_all(&[u8::try_from(token.len())?])?;
        out.write_all(&token)?;
    }
    out.finish()?;
    Ok(())
}
