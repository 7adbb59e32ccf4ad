//! `loomgate backup`.

mod objects;

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use clap::Args;
use loomgate_store::backup::{Progress, backup};

use self::objects::Copied;
use super::{ConfigArgs, Failure, progress::ProgressLine};
use crate::{
    config::{Database, FilesPlace},
    data_dir::{self, Secrets},
    start::StartError,
};

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The folder to make; must not exist
    #[arg(value_name = "FOLDER")]
    to: PathBuf,
}

pub(super) async fn run(args: BackupArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let config = args.config.load()?;
    if !matches!(config.database, Database::Sqlite) {
        return Err(Failure::misused(
            "the records are in PostgreSQL, which has its own way to be saved".to_owned(),
            "use pg_dump, and copy the files hash-key and master-key; see docs/operations.md",
        ));
    }
    if args.to.symlink_metadata().is_ok() {
        return Err(Failure::failed(
            format!("{} is there already", args.to.display()),
            "a backup is never written over something: name a folder that does not exist",
        ));
    }
    let saved = tokio::task::spawn_blocking(move || {
        let draft = draft(&args.to);
        let place = &config.files.place;
        let saved = save((&config.data_dir, place), &draft, &args.to);
        if saved.is_err() {
            // The failure is told; what is left of the draft says by its name what it is.
            let _ = fs::remove_dir_all(&draft);
        }
        saved
    });
    let saved = saved.await.map_err(io::Error::other)?;
    for line in saved? {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Where the backup is made, until it is whole.
fn draft(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(format!(".draft-{}", std::process::id()));
    to.with_file_name(name)
}

/// Fills the draft and gives it its name. Returns what to tell.
fn save(
    (data_dir, files): (&Path, &FilesPlace),
    draft: &Path,
    to: &Path,
) -> Result<Vec<String>, Failure> {
    let cannot = |error: io::Error| {
        Failure::failed(
            format!("cannot write {}: {error}", draft.display()),
            "name a folder on a disk with room, in a folder that this user can write to",
        )
    };
    fs::DirBuilder::new()
        .mode(0o700)
        .create(draft)
        .map_err(cannot)?;
    let keys = secrets(data_dir)?;
    let mut copied = Copied::default();
    let copy_objects = |copied: &mut Copied| match files {
        FilesPlace::Local => {
            let part = Path::new("objects");
            let from = data_dir::files(data_dir).join(part);
            objects::copy(&from, &data_dir::files(draft).join(part), copied).map_err(cannot)
        }
        FilesPlace::Bucket(_) => Ok(()),
    };
    copy_objects(&mut copied)?;
    let mut line = ProgressLine::new();
    let saved = backup(&data_dir::database(data_dir), draft, &mut |step| {
        let Progress {
            database,
            bytes,
            of,
        } = step;
        line.show(
            database,
            format_args!("saving {database}: {bytes} of about {of} bytes"),
        );
    });
    line.end();
    let saved = saved.map_err(Failure::from)?;
    copy_objects(&mut copied)?;
    // A rotation of the master key meanwhile would leave secrets that these keys do not open.
    if secrets(data_dir)? != keys {
        return Err(Failure::failed(
            "the keys in the data folder were changed during the backup".to_owned(),
            "start it again",
        ));
    }
    let mut told = Vec::new();
    for saved in &saved {
        let name = saved.file.file_name().unwrap_or_default();
        told.push(format!(
            "{:<16}{:>12} bytes, read back and whole",
            name.display(),
            saved.bytes
        ));
    }
    match files {
        FilesPlace::Local => told.push(format!(
            "{:<16}{:>12} bytes in {} objects",
            "files", copied.bytes, copied.objects
        )),
        FilesPlace::Bucket(_) => {
            told.push("The bytes of files are in a bucket, and not in this backup.".to_owned());
        }
    }
    for (name, text) in &keys {
        data_dir::write_secret(&draft.join(name), text).map_err(cannot)?;
        told.push(format!("{name:<16}{:>12} bytes", text.len()));
    }
    fs::rename(draft, to).map_err(cannot)?;
    let parent = to.parent().filter(|parent| *parent != Path::new(""));
    fs::File::open(parent.unwrap_or(Path::new(".")))
        .and_then(|folder| folder.sync_all())
        .map_err(cannot)?;
    told.push(format!("Everything is saved in {}.", to.display()));
    Ok(told)
}

fn secrets(data_dir: &Path) -> Result<Secrets, Failure> {
    let found = data_dir::secret_files(data_dir).map_err(|source| StartError::DataDir {
        path: data_dir.to_owned(),
        source,
    });
    Ok(found?)
}
