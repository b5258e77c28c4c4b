//! The one way a file enters the archive: written beside its place under a hidden name, flushed to the disk, renamed.
//!
//! A process that dies at any instant leaves either no trace under a final name or a whole file. What it leaves under
//! hidden names is swept by the next writer.

use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use sha2::{Digest, Sha256};

use super::footer::Footer;
use crate::error::{Error, IoContext, Result};

const HIDDEN_SUFFIX: &str = ".part";
/// Batches that may wait for the thread that writes them.
const BATCHES_BEHIND: usize = 2;

/// A Parquet file on its way into the archive. Dropped without [`PendingFile::publish`], it leaves nothing.
#[derive(Debug)]
pub struct PendingFile {
    writer: ArrowWriter<File>,
    hidden: Hidden,
    folder: PathBuf,
    rows: u64,
}

/// A file under a hidden name, removed when dropped.
#[derive(Debug)]
struct Hidden(PathBuf);

impl Drop for Hidden {
    fn drop(&mut self) {
        // Nothing to do about a failure here: the next writer sweeps.
        let _ = fs::remove_file(&self.0);
    }
}

impl PendingFile {
    /// Begins a file in a folder of the archive, making the folder where needed.
    ///
    /// # Errors
    /// The folder or file cannot be made.
    pub fn create(folder: &Path, schema: SchemaRef, properties: WriterProperties) -> Result<Self> {
        create_folder(folder)?;
        let (hidden, file) = create_hidden(folder)?;
        let writer =
            ArrowWriter::try_new(file, schema, Some(properties)).map_err(|cause| Error::parquet(&hidden.0, cause))?;
        Ok(Self { writer, hidden, folder: folder.to_owned(), rows: 0 })
    }

    /// Appends rows.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).map_err(|cause| Error::parquet(&self.hidden.0, cause))
    }

    /// Rows appended so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Closes the file and makes it readable for the next step, still under its hidden name.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(mut self, footer: &Footer) -> Result<FinishedFile> {
        for (key, value) in footer.to_pairs() {
            self.writer.append_key_value_metadata(parquet::file::metadata::KeyValue::new(key, value));
        }
        // Taking the file out of its writer would hide the system's refusal in words.
        self.writer.finish().map_err(|cause| Error::parquet(&self.hidden.0, cause))?;
        self.writer.inner().sync_all().while_trying_to("flush to the disk", &self.hidden.0)?;
        Ok(FinishedFile { hidden: self.hidden, folder: self.folder })
    }

    /// Closes the file, flushes it to the disk and gives it its name. An existing file of that name is replaced whole.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn publish(self, footer: &Footer, name: &str) -> Result<PathBuf> {
        self.finish(footer)?.publish(name)
    }
}

/// A pending file whose encoding and compression run on a thread of their own, a few batches behind.
#[derive(Debug)]
pub struct BackgroundFile {
    /// `None` once nothing more will be handed over.
    sender: Option<SyncSender<RecordBatch>>,
    /// `None` once it was waited for.
    thread: Option<JoinHandle<Result<PendingFile>>>,
}

impl Drop for BackgroundFile {
    fn drop(&mut self) {
        // The thread removes its hidden file as it ends; a program that does not wait could end before that.
        self.sender = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl BackgroundFile {
    /// Begins as [`PendingFile::create`] does.
    ///
    /// # Errors
    /// The folder or file cannot be made.
    pub fn create(folder: &Path, schema: SchemaRef, properties: WriterProperties) -> Result<Self> {
        let mut file = PendingFile::create(folder, schema, properties)?;
        let (sender, receiver) = sync_channel::<RecordBatch>(BATCHES_BEHIND);
        let thread = std::thread::spawn(move || {
            for batch in receiver {
                file.write(&batch)?;
            }
            Ok(file)
        });
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }

    /// Hands rows over. A refusal of the disk is told by [`BackgroundFile::join`].
    ///
    /// Returns whether the file is still being written.
    #[must_use]
    pub fn write(&self, batch: RecordBatch) -> bool {
        self.sender.as_ref().is_some_and(|sender| sender.send(batch).is_ok())
    }

    /// Waits until everything handed over is written.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn join(mut self) -> Result<PendingFile> {
        self.sender = None;
        let thread = self.thread.take().expect("a file is waited for once");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// A whole file on the disk that has no name in the archive yet.
#[derive(Debug)]
pub struct FinishedFile {
    hidden: Hidden,
    folder: PathBuf,
}

impl FinishedFile {
    /// Where it lies for now.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.hidden.0
    }

    /// Eight digits that follow from what is in the file, by which equal files get equal names.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn id(&self) -> Result<String> {
        Ok(sha256(&self.hidden.0)?.chars().take(8).collect())
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn publish(self, name: &str) -> Result<PathBuf> {
        assert!(super::is_finished(name), "a finished file has a visible name ending in .parquet");
        let path = self.folder.join(name);
        fs::rename(&self.hidden.0, &path).while_trying_to("name the finished file", &path)?;
        // The name itself is durable only once the folder is.
        sync_folder(&self.folder)?;
        Ok(path)
    }
}

/// A small file that is whole on the disk and has no name yet, so that giving it one is all that can fail.
#[derive(Debug)]
pub(super) struct Unnamed {
    hidden: Hidden,
    folder: PathBuf,
}

impl Unnamed {
    /// Writes it.
    pub(super) fn write(folder: &Path, content: &[u8]) -> Result<Self> {
        let (hidden, mut file) = create_hidden(folder)?;
        file.write_all(content).and_then(|()| file.sync_all()).while_trying_to("write the file", &hidden.0)?;
        Ok(Self { hidden, folder: folder.to_owned() })
    }

    /// Gives it a name, from another file that has it too.
    pub(super) fn name(self, name: &str) -> Result<()> {
        let path = self.folder.join(name);
        fs::rename(&self.hidden.0, &path).while_trying_to("name the finished file", &path)?;
        sync_folder(&self.folder)
    }
}

/// The SHA-256 of a file's content, in hexadecimal.
pub(super) fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).while_trying_to("read the file", path)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut buffer).while_trying_to("read the file", path)?;
        if read == 0 {
            return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hash.update(&buffer[..read]);
    }
}

/// Makes a folder and those above it, each durable in its parent.
pub(crate) fn create_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() || folder.as_os_str().is_empty() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_folder(parent)?;
    }
    match fs::create_dir(folder) {
        Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made.while_trying_to("make the folder", folder),
    }?;
    folder.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_folder)
}

/// Takes a finished file out of the archive without losing it: it stays beside the others under a name that nothing reads.
/// Call it only while holding the write lock.
pub(super) fn set_aside(path: &Path) -> Result<PathBuf> {
    for number in 1_u32.. {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".aside-{number}"));
        let aside = PathBuf::from(name);
        if !aside.exists() {
            fs::rename(path, &aside).while_trying_to("set the file aside", path)?;
            path.parent().map_or(Ok(()), sync_folder)?;
            return Ok(aside);
        }
    }
    unreachable!("there are fewer than 2^32 files in one folder")
}

/// Removes the hidden files an interrupted writer left in a folder of the archive. Call it only while holding the write lock.
pub(super) fn sweep(folder: &Path) -> Result<()> {
    for name in super::entries(folder)?.iter().filter(|name| is_hidden(name)) {
        let path = folder.join(name);
        fs::remove_file(&path).while_trying_to("remove what an interrupted run left", &path)?;
    }
    Ok(())
}

/// Whether a name is one that [`create_hidden`] gives: `.<process>-<number>.part`.
fn is_hidden(name: &str) -> bool {
    let numbers =
        name.strip_prefix('.').and_then(|name| name.strip_suffix(HIDDEN_SUFFIX)).and_then(|name| name.split_once('-'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers.is_some_and(|(process, number)| is_number(process) && is_number(number))
}

fn create_hidden(folder: &Path) -> Result<(Hidden, File)> {
    // The write lock leaves one process; the counter tells its files apart.
    for number in 0_u32.. {
        let path = folder.join(format!(".{}-{number}{HIDDEN_SUFFIX}", std::process::id()));
        match fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((Hidden(path), file)),
            Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(cause) => return Err(cause).while_trying_to("make a file in the archive", &path),
        }
    }
    unreachable!("there are fewer than 2^32 files in one folder")
}

pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|handle| handle.sync_all()).while_trying_to("flush the folder to the disk", folder)
}
