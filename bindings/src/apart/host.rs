//! The host's side: an interpreter that lives in another process, as a [`Frontend`].
//!
//! A call is a message, and the host then does what the guest says until it says that it is done: prints, shows events, calls the
//! host's primitives and functions. It looks at the switch and at the clock all the while. A guest that does not stop in time is
//! killed, and one that has ended, however it did, is an error of the call.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{ErrorKind as Io, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use lota_script::{Ctx, Error, ErrorKind, Frontend, Map, Name, Prompt, Registry, Result, Value, panic_text};
use parking_lot::ReentrantMutex;
use rustix::event::{PollFd, PollFlags, poll};

use super::border::{Border, Caller};
use super::confine::InForce;
use super::death::{self, Killed};
use super::message::{Ask, Parts, Said, names, texts_of};
use super::ready;
use super::wire;
use super::{ENTER, Process, entered};

/// How long a guest may take to be there.
const START: Duration = Duration::from_secs(10);
/// How much later than its limit of time a guest is killed that has not stopped by itself.
const LATE: Duration = Duration::from_millis(60);
/// How often the switch is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How much of what a guest writes to its standard error is kept.
const TOLD: usize = 4 << 10;

/// An interpreter in another process.
pub(crate) struct Remote {
    link: Arc<Link>,
    folder: Mutex<Option<PathBuf>>,
    in_force: InForce,
}

/// The process and the way to it.
struct Link {
    own: Weak<Link>,
    state: ReentrantMutex<RefCell<State>>,
    border: Border,
    ctx: Arc<Ctx>,
    registry: Arc<Registry>,
    /// The primitives that the guest may call.
    offered: BTreeSet<String>,
    process: Process,
    time: Option<Duration>,
    /// Bytes that the guest may print in a call.
    output: Option<u64>,
}

struct State {
    child: Child,
    pipe: UnixStream,
    control: UnixStream,
    stderr: Option<ChildStderr>,
    inbox: Vec<u8>,
    told: Vec<u8>,
    ended: Option<Error>,
    /// The calls under way, one inside the other, and the number of the outermost.
    depth: usize,
    number: u64,
    deadline: Option<Instant>,
    /// When a guest that was asked to stop is killed.
    patience: Option<Instant>,
    /// Bytes that the guest has printed in the outermost call.
    printed: u64,
}

impl Remote {
    /// Starts a guest and waits until its engine is there.
    pub(crate) fn start(
        ctx: Arc<Ctx>,
        registry: Arc<Registry>,
        offered: BTreeSet<String>,
        process: Process,
        (time, output): (Option<Duration>, Option<u64>),
        settings: Map,
    ) -> Result<Self> {
        let state = ReentrantMutex::new(RefCell::new(State::spawn(&process)?));
        let link = Arc::new_cyclic(|own: &Weak<Link>| Link {
            own: own.clone(),
            state,
            border: Border::new(false),
            ctx,
            registry,
            offered,
            process,
            time,
            output,
        });
        let caller: Weak<dyn Caller> = link.own.clone();
        link.border.called_by(caller);
        let in_force = link.request(Ask::Start(settings), Some(START)).map_err(|e| match e.kind() {
            ErrorKind::Limit => {
                Error::new(ErrorKind::Host, format!("the guest was not there in {} s", START.as_secs()))
            }
            _ => e,
        })?;
        let in_force = match in_force {
            Value::List(parts) => match &parts[..] {
                [Value::Str(version), Value::Bool(seccomp)] => {
                    InForce { landlock: Some(version.clone()), seccomp: *seccomp }
                }
                [Value::Nil, Value::Bool(seccomp)] => InForce { landlock: None, seccomp: *seccomp },
                _ => InForce::default(),
            },
            _ => InForce::default(),
        };
        Ok(Self { link, folder: Mutex::default(), in_force })
    }

    /// What holds the guest's process.
    pub(crate) fn in_force(&self) -> &InForce {
        &self.in_force
    }

    /// The number of the guest's process.
    pub(crate) fn process_id(&self) -> u32 {
        self.link.state.lock().borrow().child.id()
    }

    fn ask(&self, ask: Ask) -> Result<Value> {
        self.link.request(ask, self.link.time)
    }

    fn folder(&self) -> Option<String> {
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        folder.as_ref().map(|path| path.to_string_lossy().into_owned())
    }
}

impl Frontend for Remote {
    fn set_folder(&self, folder: Option<&Path>) {
        let full = folder.map(|path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf()));
        *self.folder.lock().unwrap_or_else(PoisonError::into_inner) = full;
    }

    fn run(&self, source: &str, name: &str) -> Result<Value> {
        self.ask(Ask::Run { source: source.into(), name: name.into(), folder: self.folder() })
    }

    fn call_function(&self, name: &str, arguments: Vec<Value>) -> Result<Value> {
        self.ask(Ask::Call { name: name.into(), arguments })
    }

    fn recover(&self) {
        // The guest's engine does it in its own process.
    }
}

impl Prompt for Remote {
    fn eval_keeping(&self, input: &str, names: &[String]) -> Result<Vec<Value>> {
        match self.ask(Ask::Eval { input: input.into(), keep: names.to_vec() })? {
            Value::List(values) => Ok(values),
            value => Ok(vec![value]),
        }
    }

    fn load(&self, source: &str, name: &str) -> Result<()> {
        self.ask(Ask::Load { source: source.into(), name: name.into(), folder: self.folder() }).map(drop)
    }

    fn check(&self, input: &str) -> Result<()> {
        self.ask(Ask::Check(input.into())).map(drop)
    }

    fn names(&self, path: &[&str]) -> Vec<Name> {
        let path = path.iter().map(|name| (*name).to_string()).collect();
        self.ask(Ask::Names(path)).map(names).unwrap_or_default()
    }

    fn imports(&self) -> Vec<String> {
        self.ask(Ask::Imports).map(texts_of).unwrap_or_default()
    }

    fn forget(&self, names: &[String]) {
        // A guest that has ended has no variables.
        let _ = self.ask(Ask::Forget(names.to_vec()));
    }
}

impl Caller for Link {
    fn invoke(&self, id: u64, arguments: &[Value]) -> Result<Value> {
        self.request(Ask::Invoke { id, arguments: arguments.to_vec() }, self.time)
    }
}

impl Link {
    /// Asks, and does what the guest says until it is done.
    fn request(&self, ask: Ask, time: Option<Duration>) -> Result<Value> {
        let state = self.state.lock();
        let frame = wire::frame(&ask.pack(self.border.gone()), &self.border, self.process.message).map_err(
            |fault| Error::argument(format!("what is asked of the guest cannot be sent: {fault}")),
        )?;
        self.begin(&state, time)?;
        let done = self.send(&state, &frame).and_then(|()| self.attend(&state));
        state.borrow_mut().depth -= 1;
        done
    }

    fn begin(&self, state: &RefCell<State>, time: Option<Duration>) -> Result<()> {
        let mut state = state.borrow_mut();
        if let Some(ended) = &state.ended {
            return Err(ended.clone());
        }
        if state.depth == 0 {
            if self.ctx.host.cancel.is_cancelled() {
                return Err(Error::cancelled());
            }
            // The first message is no call: the guest counts from the one after it.
            state.number += 1;
            state.deadline = time.and_then(|time| Instant::now().checked_add(time.saturating_add(LATE)));
            state.patience = None;
            state.printed = 0;
        }
        state.depth += 1;
        Ok(())
    }

    /// Does what the guest says until it has answered.
    fn attend(&self, state: &RefCell<State>) -> Result<Value> {
        loop {
            match self.hear(state)? {
                Said::Done(answer) => return answer,
                Said::Print(text) => {
                    let printed = state.borrow().printed.saturating_add(text.len() as u64);
                    state.borrow_mut().printed = printed;
                    if self.output.is_some_and(|most| printed > most) {
                        // Its own engine prints no more than it may.
                        return Err(self.kill(state, Killed::Nonsense("more text than it may print".into())));
                    }
                    // It fails where the call was cancelled; the guest is told of that elsewhere.
                    let _ = self.ctx.print(&text);
                }
                Said::Event(event) => self.ctx.host.events.emit(event),
                Said::Primitive { name, arguments } => {
                    let primitive = self.registry.get(&name).filter(|_| self.offered.contains(&name));
                    let Some(primitive) = primitive.cloned() else {
                        let what = "a call of a primitive that it was not given".into();
                        return Err(self.kill(state, Killed::Nonsense(what)));
                    };
                    self.tell(state, primitive.invoke(&self.ctx, arguments))?;
                }
                Said::Invoke { id, arguments } => match self.border.kept(id) {
                    Some(Value::Function(function)) => {
                        let call = std::panic::AssertUnwindSafe(|| function.call(&arguments));
                        let answer = std::panic::catch_unwind(call).unwrap_or_else(|panic| {
                            let text = format!("a function of the host panicked: {}", panic_text(&*panic));
                            Err(Error::new(ErrorKind::Host, text))
                        });
                        self.tell(state, answer)?;
                    }
                    _ => {
                        let what = "a call of a function that it was not given".into();
                        return Err(self.kill(state, Killed::Nonsense(what)));
                    }
                },
            }
        }
    }

    /// Answers a question of the guest.
    fn tell(&self, state: &RefCell<State>, answer: Result<Value>) -> Result<()> {
        let frame = |answer| {
            wire::frame(&Ask::Answer(answer).pack(self.border.gone()), &self.border, self.process.message)
        };
        let bytes = frame(answer).or_else(|fault| {
            frame(Err(Error::new(ErrorKind::Limit, format!("what the host gives cannot be sent: {fault}"))))
        });
        match bytes {
            Ok(bytes) => self.send(state, &bytes),
            Err(fault) => Err(Error::new(ErrorKind::Host, fault)),
        }
    }

    /// The next thing that the guest says.
    fn hear(&self, state: &RefCell<State>) -> Result<Said> {
        loop {
            // Also where there is always something to read.
            self.look(state)?;
            let most = self.process.message;
            let ready = {
                let mut state = state.borrow_mut();
                match wire::length(&state.inbox, most) {
                    Ok(Some(length)) if length <= state.inbox.len() => {
                        let value = wire::value(&state.inbox[4..length], &self.border, most);
                        state.inbox.drain(..length);
                        Some(value)
                    }
                    Ok(_) => None,
                    Err(fault) => Some(Err(fault)),
                }
            };
            let Some(value) = ready else {
                let grew = || {
                    let mut state = state.borrow_mut();
                    let before = state.inbox.len();
                    match state.read() {
                        Ok(true) => Ok(state.inbox.len() > before),
                        Ok(false) | Err(_) => Err(()),
                    }
                };
                // `wait` tells why a pipe is closed or fails.
                if !ready::awake(grew).unwrap_or(false) {
                    self.wait(state, PollFlags::IN)?;
                }
                continue;
            };
            let said = value.and_then(|value| {
                let (gone, kind, parts) = Parts::open(value)?;
                self.border.release(&gone);
                Said::unpack(kind, parts)
            });
            return said.map_err(|fault| self.kill(state, Killed::Nonsense(fault)));
        }
    }

    /// Sends all bytes. What the guest says meanwhile is kept.
    fn send(&self, state: &RefCell<State>, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let sent = state.borrow().pipe.write_ready(bytes);
            match sent {
                Ok(count) => bytes = &bytes[count..],
                Err(e) if e.kind() == Io::Interrupted => {}
                Err(e) if e.kind() == Io::WouldBlock => self.wait(state, PollFlags::IN | PollFlags::OUT)?,
                Err(_) => return Err(self.died(state)),
            }
        }
        Ok(())
    }

    /// Waits until the guest can be read from (or written to), the switch is thrown or the time is over; reads what there is.
    fn wait(&self, state: &RefCell<State>, what: PollFlags) -> Result<()> {
        self.look(state)?;
        let mut state_now = state.borrow_mut();
        let ends = [state_now.deadline, state_now.patience].into_iter().flatten().min();
        let time = ends.map_or(LOOK, |end| end.saturating_duration_since(Instant::now()).min(LOOK));
        let (readable, told, closed) = {
            let State { pipe, stderr, .. } = &*state_now;
            let pipe = PollFd::from_borrowed_fd(pipe.as_fd(), what);
            let stderr =
                stderr.as_ref().map(|stderr| PollFd::from_borrowed_fd(stderr.as_fd(), PollFlags::IN));
            let mut watched: Vec<PollFd> = std::iter::once(pipe).chain(stderr).collect();
            let wait = time.try_into().ok();
            match poll(&mut watched, wait.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(Error::new(ErrorKind::Host, format!("waiting for a guest: {e}"))),
            }
            let came = |fd: Option<&PollFd>, flags| fd.is_some_and(|fd| fd.revents().intersects(flags));
            let ends = PollFlags::HUP | PollFlags::ERR;
            (
                came(watched.first(), PollFlags::IN | ends),
                came(watched.get(1), PollFlags::IN),
                came(watched.get(1), ends) && !came(watched.get(1), PollFlags::IN),
            )
        };
        if told {
            state_now.keep_told();
        } else if closed {
            state_now.stderr = None;
        }
        if readable {
            let full = state_now.inbox.len() > self.process.message.saturating_add(4);
            match if full { Ok(false) } else { state_now.read() } {
                Ok(true) => {}
                // More than a message, and not looked at yet: it waits.
                Ok(false) if full => {}
                Ok(false) | Err(_) => {
                    drop(state_now);
                    return Err(self.died(state));
                }
            }
        }
        Ok(())
    }

    /// Looks at the switch and at the clock.
    fn look(&self, state: &RefCell<State>) -> Result<()> {
        let now = Instant::now();
        let mut state_now = state.borrow_mut();
        if state_now.patience.is_none() && self.ctx.host.cancel.is_cancelled() {
            let number = state_now.number - 1;
            // Should it not be heard, patience ends all the same.
            let _ = state_now.control.write(&number.to_le_bytes());
            state_now.patience = now.checked_add(self.process.grace);
        }
        let killed = if state_now.patience.is_some_and(|end| now >= end) {
            Killed::Cancelled
        } else if state_now.deadline.is_some_and(|end| now >= end) {
            Killed::Time(self.time.unwrap_or_default())
        } else {
            return Ok(());
        };
        drop(state_now);
        Err(self.kill(state, killed))
    }

    /// Ends the guest, and gives the error of the call.
    fn kill(&self, state: &RefCell<State>, why: Killed) -> Error {
        let mut state = state.borrow_mut();
        state.end();
        state.ended = Some(death::ended());
        why.error()
    }

    /// The error of the call in which the guest ended.
    fn died(&self, state: &RefCell<State>) -> Error {
        let mut state = state.borrow_mut();
        let status = state.status();
        state.end();
        state.keep_told();
        state.ended = Some(death::ended());
        death::error(status, &state.told, self.process.memory)
    }
}

impl State {
    fn spawn(process: &Process) -> Result<Self> {
        let failed = |what: &str, e: std::io::Error| Error::new(ErrorKind::Host, format!("{what}: {e}"));
        let program = match &process.program {
            Some(program) => program.clone(),
            None if entered() => this_program().map_err(|e| failed("this program", e))?,
            None => {
                return Err(Error::argument(
                    "an engine in a process of its own starts this program again as a guest; call lota::isolation::enter() first in \
                     `main`, or name a program that does (the program lota is one)",
                ));
            }
        };
        let pair = || UnixStream::pair().map_err(|e| failed("a pipe to a guest", e));
        let ((pipe, theirs), (control, hears)) = (pair()?, pair()?);
        pipe.set_nonblocking(true).map_err(|e| failed("a pipe to a guest", e))?;
        control.set_nonblocking(true).map_err(|e| failed("a pipe to a guest", e))?;
        let mut command = Command::new(&program);
        command
            .env_clear()
            .env(ENTER, process.message.to_string())
            // mimalloc, if the program has it, reserves this much at once: a whole GiB otherwise, within the limit of memory.
            .env("MIMALLOC_ARENA_RESERVE", "65536")
            // glibc maps 64 MiB for each thread that allocates, and twice that on the way.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stdout(Stdio::from(std::os::fd::OwnedFd::from(hears)))
            .stderr(Stdio::piped())
            // Ctrl-C at a terminal is for the host, which asks its guests to stop.
            .process_group(0);
        // Libraries that the program is linked with.
        for name in ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        let mut child = command.spawn().map_err(|e| failed(&format!("{}", program.display()), e))?;
        let stderr = child.stderr.take();
        if let Some(stderr) = &stderr {
            rustix::io::ioctl_fionbio(stderr, true).map_err(|e| failed("a pipe to a guest", e.into()))?;
        }
        Ok(Self {
            child,
            pipe,
            control,
            stderr,
            inbox: Vec::new(),
            told: Vec::new(),
            ended: None,
            depth: 0,
            number: 0,
            deadline: None,
            patience: None,
            printed: 0,
        })
    }

    /// Reads what there is; false where the guest has closed its end.
    fn read(&mut self) -> std::io::Result<bool> {
        let mut bytes = [0; 16 << 10];
        match self.pipe.read(&mut bytes) {
            Ok(count) => {
                self.inbox.extend_from_slice(&bytes[..count]);
                Ok(count > 0)
            }
            Err(e) if matches!(e.kind(), Io::WouldBlock | Io::Interrupted) => Ok(true),
            Err(e) => Err(e),
        }
    }

    /// Keeps the end of what the guest wrote to its standard error.
    fn keep_told(&mut self) {
        let mut bytes = [0; 4 << 10];
        while let Some(Ok(count @ 1..)) = self.stderr.as_mut().map(|stderr| stderr.read(&mut bytes)) {
            self.told.extend_from_slice(&bytes[..count]);
            let more = self.told.len().saturating_sub(TOLD);
            self.told.drain(..more);
        }
    }

    /// How the guest ended, whose pipe is closed; none if it does not end.
    fn status(&mut self) -> Option<std::process::ExitStatus> {
        for _ in 0..100 {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) => std::thread::sleep(Duration::from_micros(500)),
                Err(_) => return None,
            }
        }
        None
    }

    /// Ends the guest.
    fn end(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.end();
    }
}

/// A write that does not wait.
trait WriteReady {
    fn write_ready(&self, bytes: &[u8]) -> std::io::Result<usize>;
}

impl WriteReady for UnixStream {
    fn write_ready(&self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut pipe = self;
        pipe.write(bytes)
    }
}

/// This program, also where its file has been replaced since it was started.
fn this_program() -> std::io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}
