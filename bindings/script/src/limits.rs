//! How much a script may use, and the count of what it has used: the same for every language.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use lota_host::{Cancel, is_stack_low, with_stack};

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

/// What one call of the host (`run`, `eval`, `call`) may use; `None` is no limit.
///
/// A limit that is reached ends the script with an error of kind [`ErrorKind::Limit`], which no `pcall` of the
/// script can catch. The engine can be used again afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the interpreter: its tables, strings and functions, what earlier calls left there included. In Rhai it is
    /// counted by the program's allocator, which must be a [`Counting`](crate::Counting) one, and looked at between
    /// operations: no value may be larger than a quarter of it, and one operation may go beyond it by as much as it
    /// makes.
    pub script_memory: Option<u64>,
    /// Bytes of tensors, models, tokenizers and other objects that values of the script keep alive, and of what is made
    /// while a primitive works: each is asked for before it is made.
    pub tensor_memory: Option<u64>,
    /// The time on the clock.
    pub time: Option<Duration>,
    /// Instructions of the interpreter, counted in steps of some hundreds; in Rhai its operations, each.
    pub instructions: Option<u64>,
    /// Bytes printed.
    pub output: Option<u64>,
    /// Script functions that have not returned, looked at every some hundred instructions; in Rhai never more
    /// than 64.
    pub call_depth: Option<u32>,
    /// Files held open from one primitive to the next, as a run folder's metrics are.
    pub open_files: Option<u32>,
}

impl Limits {
    /// No limits.
    pub fn none() -> Self {
        Self::default()
    }

    /// Limits for a script from somebody unknown: 64 MiB of script, 1 GiB of tensors, a minute, 10^9
    /// instructions, 1 MiB of output, 200 calls deep, 16 files.
    pub fn untrusted() -> Self {
        Self {
            script_memory: Some(64 << 20),
            tensor_memory: Some(1 << 30),
            time: Some(Duration::from_secs(60)),
            instructions: Some(1_000_000_000),
            output: Some(1 << 20),
            call_depth: Some(200),
            open_files: Some(16),
        }
    }
}

/// Bytes of an object that a script holds, about, whatever is in it.
const HANDLE: u64 = 512;

/// What has been used, and the first limit that was reached.
pub struct Meter {
    limits: Limits,
    cancel: Cancel,
    ended: AtomicBool,
    reached: Mutex<Option<Error>>,
    instructions: AtomicU64,
    output: AtomicU64,
    files: Arc<AtomicUsize>,
    nested: AtomicUsize,
    clock: Clock,
    rung: AtomicBool,
}

impl Meter {
    /// Counts for an engine that this switch stops.
    pub fn new(limits: Limits, cancel: Cancel) -> Self {
        Self {
            limits,
            cancel,
            ended: AtomicBool::new(false),
            reached: Mutex::default(),
            instructions: AtomicU64::new(0),
            output: AtomicU64::new(0),
            files: Arc::default(),
            nested: AtomicUsize::new(0),
            clock: Clock::default(),
            rung: AtomicBool::new(false),
        }
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The error that ends the script: a limit that was reached, or a cancellation.
    pub fn check(&self) -> Result<()> {
        if self.ended.load(Relaxed)
            && let Some(error) = &*self.reached.lock().unwrap_or_else(PoisonError::into_inner)
        {
            return Err(error.clone());
        }
        if self.cancel.is_cancelled() { Err(Error::cancelled()) } else { Ok(()) }
    }

    /// Notes that a limit was reached; the first one stays the reason.
    pub(crate) fn reach(&self, text: impl Into<String>) -> Error {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let error = reached.get_or_insert_with(|| Error::new(ErrorKind::Limit, text)).clone();
        self.ended.store(true, Relaxed);
        error
    }

    /// Counts instructions, and checks.
    pub(crate) fn spend(&self, instructions: u64) -> Result<()> {
        if self.limits.instructions.is_none() {
            return self.check();
        }
        let used = self.instructions.fetch_add(instructions, Relaxed) + instructions;
        match self.limits.instructions {
            Some(most) if used > most => {
                Err(self.reach(format!("the script ran more than the {most} instructions it may run")))
            }
            _ => self.check(),
        }
    }

    /// Counts printed bytes.
    pub(crate) fn print(&self, bytes: usize) -> Result<()> {
        let used = self.output.fetch_add(bytes as u64, Relaxed) + bytes as u64;
        match self.limits.output {
            Some(most) if used > most => {
                Err(self.reach(format!("the script printed more than the {most} bytes it may print")))
            }
            _ => self.check(),
        }
    }

    /// The error of a script that has used up its memory.
    pub(crate) fn out_of_memory(&self) -> Error {
        match self.limits.script_memory {
            Some(most) => {
                self.reach(format!("the script needs more than the {} it may use", bytes_text(most)))
            }
            None => self.reach("not enough memory for the script"),
        }
    }

    /// The error of a script whose calls go too deep.
    #[cfg(feature = "lua")]
    pub(crate) fn too_deep(&self, most: u32) -> Error {
        self.reach(format!("the script's calls are more than {most} deep"))
    }

    /// What an object takes beside what it says of itself: without this a script could hold any number of small ones.
    pub(crate) fn handle(&self) -> u64 {
        if self.limits.tensor_memory.is_some() { HANDLE } else { 0 }
    }

    /// The error of a script whose calls, values or texts go deeper than the stack does, where they come near its end.
    pub(crate) fn deep(&self) -> Result<()> {
        if is_stack_low() {
            return Err(self.reach("the script's calls and values go deeper than the stack that it may use"));
        }
        Ok(())
    }

    /// Refuses, before it is made, a value of a script that takes about `bytes`.
    pub fn value(&self, bytes: u64) -> Result<()> {
        match self.limits.script_memory {
            Some(most) if bytes > most => Err(self.out_of_memory()),
            _ => Ok(()),
        }
    }

    /// Refuses tensors of `live` bytes where they are more than may be.
    pub fn tensors(&self, live: u64) -> Result<()> {
        match self.limits.tensor_memory {
            Some(most) if live > most => Err(self.reach(format!(
                "the script's tensors need {}; it may use {}",
                bytes_text(live),
                bytes_text(most)
            ))),
            _ => Ok(()),
        }
    }

    /// A file that stays open, until the permit is dropped.
    pub fn open_file(&self) -> Result<OpenFile> {
        let permit = OpenFile(self.files.clone());
        let open = self.files.fetch_add(1, Relaxed) + 1;
        match self.limits.open_files {
            Some(most) if open > most as usize => {
                Err(self.reach(format!("the script holds more than the {most} files open that it may")))
            }
            _ => Ok(permit),
        }
    }

    /// Runs `work` with fresh counts. Inside another call of the same engine the counts go on.
    pub fn run<T>(self: &Arc<Self>, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let _nested = Nested(&self.nested);
        if self.nested.fetch_add(1, Relaxed) > 0 {
            return work();
        }
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.ended.store(false, Relaxed);
        self.instructions.store(0, Relaxed);
        self.output.store(0, Relaxed);
        let clock = self.start_clock()?;
        // A guest decides how deep it goes, and a host how large the stack is that it is called on.
        let result = if self.limits == Limits::none() { work() } else { with_stack(work) };
        drop(clock);
        let by_clock = self.rung.swap(false, Relaxed);
        let reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.ended.store(false, Relaxed);
        if by_clock {
            self.cancel.reset();
        }
        match (result, reached) {
            // The clock may ring while the last instruction runs: what is finished is finished.
            (Err(error), Some(reached)) if error.kind() != ErrorKind::Limit => {
                Err(reached.at(error.place().map(String::from)))
            }
            (result, _) => result,
        }
    }
}

impl Meter {
    /// Lets the clock stop the script when its time is over. It throws the switch, so that long work inside a primitive stops as
    /// well. It runs until what is given back is dropped; nothing where there is no limit of time, or one that never comes.
    fn start_clock(self: &Arc<Self>) -> Result<Option<Running<'_>>> {
        let Some(time) = self.limits.time else { return Ok(None) };
        let Some(end) = Instant::now().checked_add(time) else { return Ok(None) };
        let meter: Weak<Self> = Arc::downgrade(self);
        let ring = move || {
            if let Some(meter) = meter.upgrade().filter(|meter| !meter.cancel.is_cancelled()) {
                meter.rung.store(true, Relaxed);
                meter.reach(format!("the script ran longer than the {} s it may run", time.as_secs_f64()));
                meter.cancel.cancel();
            }
        };
        let failed = |e| {
            Error::new(ErrorKind::Host, format!("no thread could be started for the script's clock: {e}"))
        };
        self.clock.start(end, ring).map_err(failed)?;
        Ok(Some(Running(&self.clock)))
    }
}

/// Stops the clock, in a panic too.
struct Running<'a>(&'a Clock);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Takes the mark of a running call back, in a panic too.
struct Nested<'a>(&'a AtomicUsize);

impl Drop for Nested<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// A file that counts as open.
pub struct OpenFile(Arc<AtomicUsize>);

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn bytes_text(bytes: u64) -> String {
    match bytes {
        b if b >= 1 << 20 => format!("{:.1} MiB", b as f64 / f64::from(1 << 20)),
        b => format!("{b} bytes"),
    }
}
