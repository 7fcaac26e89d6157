//! The guest's side: a process that makes one engine and does what its host asks.
//!
//! It talks through its standard input, a socket, and learns of cancellations through its standard output, another one; both are
//! moved away from there at once, so that nothing that prints can disturb them.

use std::io::{ErrorKind as Io, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use lota_runtime::host::{Cancel, with_stack};
use lota_script::{Error, ErrorKind, Files, Map, Result, Value};
use rustix::event::PollFlags;

use crate::apart::border::{Border, Caller};
use crate::apart::confine::{Bounds, Confined, InForce};
use crate::apart::message::{Ask, Parts, Said, packed_names};
use crate::apart::ready;
use crate::apart::settings::{Settings, unpacked};
use crate::apart::wire::{self, Fault};
use crate::apart::{ENTER, ENTERED};
use crate::engine::Engine;

/// Makes this program a guest, if a host started it as one, and does not come back then; otherwise does nothing.
///
/// A program that gives engines a process of their own ([`Isolation::Process`]) calls this first in its `main`, before it starts a
/// thread or reads its arguments.
///
/// ```no_run
/// use lota::isolation::{Isolation, Process, enter};
/// use lota::{Engine, Language, Limits};
///
/// enter();
/// let engine = Engine::builder(Language::Lua)
///     .limits(Limits::untrusted())
///     .isolation(Isolation::Process(Process::new()))
///     .build()
///     .unwrap();
/// let sum: i64 = engine.call("add", (1, 2)).unwrap_or_default();
/// ```
pub fn enter() {
    ENTERED.store(true, Ordering::SeqCst);
    let Some(most) = std::env::var_os(ENTER) else { return };
    let most = most.to_str().and_then(|most| most.parse().ok()).unwrap_or(64 << 20);
    let code = match live(most) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            70
        }
    };
    std::process::exit(code)
}

/// A guest, as the thread that runs its scripts sees it.
struct Guest {
    reader: Mutex<Reader>,
    writer: Mutex<UnixStream>,
    border: Border,
    calls: Arc<Calls>,
    most: usize,
    engine: OnceLock<Engine>,
}

struct Reader {
    pipe: UnixStream,
    bytes: Vec<u8>,
    taken: usize,
}

/// Which call is under way, for the thread that hears of cancellations.
struct Calls {
    state: Mutex<Current>,
    cancel: Cancel,
}

#[derive(Default)]
struct Current {
    number: u64,
    depth: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lives as a guest until the host has no more to ask. `most` is the size of a message.
fn live(most: usize) -> Result<()> {
    let io =
        |what: &'static str| move |e: std::io::Error| Error::new(ErrorKind::Host, format!("{what}: {e}"));
    let (pipe, control) = take_pipes().map_err(io("the guest's pipes"))?;
    pipe.set_nonblocking(true).map_err(io("the guest's pipe"))?;
    ignore_signals();
    let mut reader =
        Reader { pipe: pipe.try_clone().map_err(io("the guest's pipe"))?, bytes: Vec::new(), taken: 0 };
    let border = Border::new(true);
    let begin = reader.message(&border, most).and_then(|value| {
        let (_, kind, parts) = Parts::open(value)?;
        Ask::unpack(kind, parts)
    });
    let Ok(Ask::Start(map)) = begin else {
        return Err(Error::new(ErrorKind::Host, "no host began to speak"));
    };
    let calls = Arc::new(Calls { state: Mutex::default(), cancel: Cancel::default() });
    let guest = Arc::new(Guest {
        reader: Mutex::new(reader),
        writer: Mutex::new(pipe),
        border,
        calls: calls.clone(),
        most,
        engine: OnceLock::new(),
    });
    let caller: Arc<dyn Caller> = guest.clone();
    guest.border.called_by(Arc::downgrade(&caller));
    let begun = begin_confined(map);
    let (settings, confined) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            guest.say(Said::Done(Err(error)));
            return Ok(());
        }
    };
    std::thread::Builder::new()
        .name("lota control".into())
        .stack_size(256 << 10)
        .spawn(move || listen(control, &calls))
        .map_err(io("a thread of the guest"))?;
    // Work on a thread that is one of those that compute, with a stack that is mapped once and not for each call.
    let work = std::thread::Builder::new().name("lota guest".into()).spawn(move || {
        with_stack(|| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(settings.threads).use_current_thread();
            let made = pool
                .build_global()
                .map_err(|e| Error::new(ErrorKind::Host, format!("the guest's threads: {e}")))
                .and_then(|()| guest.clone().engine(settings))
                .and_then(|engine| Ok((engine, confined.close()?)));
            match made {
                Ok((engine, in_force)) => {
                    let engine = guest.engine.get_or_init(|| engine);
                    guest.say(Said::Done(Ok(packed_force(in_force))));
                    guest.serve(engine);
                }
                Err(error) => guest.say(Said::Done(Err(error))),
            }
        });
    });
    let ended = work.map_err(io("a thread of the guest"))?.join();
    ended.map_err(|_| Error::new(ErrorKind::Host, "the guest's thread panicked"))
}

/// The settings, and the process without its files.
fn begin_confined(map: Map) -> Result<(Settings, Confined)> {
    let settings = Settings::unpack(map)?;
    let bounds = Bounds { roots: settings.roots.clone(), system: settings.system };
    Ok((settings, Confined::begin(bounds)?))
}

/// What is in force, for the host.
fn packed_force(in_force: InForce) -> Value {
    Value::List(vec![in_force.landlock.map_or(Value::Nil, Value::Str), Value::Bool(in_force.seccomp)])
}

/// Waits for the number of a call that is to stop, and ends the process when its host is there no longer.
fn listen(mut control: UnixStream, calls: &Calls) {
    let mut number = [0; 8];
    while control.read_exact(&mut number).is_ok() {
        let state = lock(&calls.state);
        if state.depth > 0 && state.number == u64::from_le_bytes(number) {
            calls.cancel.cancel();
        }
    }
    std::process::exit(0);
}

impl Reader {
    /// The next message. The process ends where there is none: its host has gone.
    fn message(&mut self, border: &Border, most: usize) -> Result<Value, Fault> {
        loop {
            let ready = &self.bytes[self.taken..];
            if let Some(length) = wire::length(ready, most)?.filter(|length| *length <= ready.len()) {
                let value = wire::value(&ready[4..length], border, most)?;
                self.taken += length;
                if self.taken == self.bytes.len() {
                    self.bytes.clear();
                    self.taken = 0;
                    self.bytes.shrink_to(1 << 20);
                }
                return Ok(value);
            }
            let came = ready::awake(|| self.read());
            if !came.unwrap_or_else(|_| gone()) && ready::sleep(&self.pipe, PollFlags::IN).is_err() {
                gone();
            }
        }
    }
}

impl Reader {
    /// Reads what there is; false where there is nothing yet.
    fn read(&mut self) -> std::io::Result<bool> {
        let mut more = [0; 16 << 10];
        match self.pipe.read(&mut more) {
            Ok(0) => gone(),
            Ok(count) => {
                self.bytes.extend_from_slice(&more[..count]);
                Ok(true)
            }
            Err(e) if matches!(e.kind(), Io::WouldBlock | Io::Interrupted) => Ok(false),
            Err(e) => Err(e),
        }
    }
}

/// Ends a guest whose host is there no longer.
fn gone() -> ! {
    std::process::exit(0)
}

impl Guest {
    /// The engine that the host described.
    fn engine(self: Arc<Self>, settings: Settings) -> Result<Engine> {
        let files = match settings.roots {
            None => Files::everything(),
            Some(roots) => Files::roots(roots),
        };
        let (printer, teller) = (self.clone(), self.clone());
        let (name, args) = settings.script;
        let mut builder = Engine::builder(settings.language)
            .threads(settings.threads)
            .reference(settings.reference)
            .compute(settings.compute)
            .files(files)
            .open(settings.open)
            .limits(settings.limits)
            .cancel(self.calls.cancel.clone())
            .script(name, args)
            .output(move |text| printer.print(text))
            .on_event(move |event| teller.say(Said::Event(event.clone())));
        for record in settings.primitives {
            let (primitive, guest) = (unpacked(record)?, self.clone());
            let name = primitive.name().to_string();
            builder = builder.primitive(primitive.forward(move |_, arguments| {
                guest.ask_host(Said::Primitive { name: name.clone(), arguments })
            }));
        }
        builder.build()
    }

    /// Does what the host asks until it has gone.
    fn serve(&self, engine: &Engine) -> ! {
        loop {
            match self.hear() {
                Ask::Answer(_) => self.nonsense("an answer that nobody asked for"),
                ask => self.answer(engine, ask),
            }
        }
    }

    fn hear(&self) -> Ask {
        let heard = lock(&self.reader).message(&self.border, self.most).and_then(|value| {
            let (gone, kind, parts) = Parts::open(value)?;
            self.border.release(&gone);
            Ask::unpack(kind, parts)
        });
        heard.unwrap_or_else(|fault| self.nonsense(&fault))
    }

    fn nonsense(&self, what: &str) -> ! {
        eprintln!("the host sent {what}");
        std::process::exit(70)
    }

    fn answer(&self, engine: &Engine, ask: Ask) {
        self.calls.begin();
        let answer = self.result(engine, ask);
        self.calls.end();
        self.say(Said::Done(answer));
    }

    fn result(&self, engine: &Engine, ask: Ask) -> Result<Value> {
        match ask {
            Ask::Run { source, name, folder } => {
                engine.run_in(&source, &name, folder.map(PathBuf::from).as_deref())
            }
            Ask::Call { name, arguments } => engine.call(&name, arguments),
            Ask::Invoke { id, arguments } => match self.border.kept(id) {
                Some(Value::Function(function)) => engine.metered(|| function.call(&arguments)),
                _ => Err(Error::new(ErrorKind::Host, "a function that is there no longer")),
            },
            Ask::Eval { input, keep } => engine.eval_keeping(&input, &keep).map(Value::List),
            Ask::Load { source, name, folder } => {
                engine.load_in(&source, &name, folder.map(PathBuf::from).as_deref()).map(|()| Value::Nil)
            }
            Ask::Check(input) => engine.check(&input).map(|()| Value::Nil),
            Ask::Names(path) => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                Ok(packed_names(engine.names(&path)))
            }
            Ask::Imports => Ok(Value::List(engine.imports().into_iter().map(Value::Str).collect())),
            Ask::Forget(names) => {
                engine.forget(&names);
                Ok(Value::Nil)
            }
            Ask::Start(_) | Ask::Answer(_) => Err(Error::new(ErrorKind::Host, "the host asked out of turn")),
        }
    }

    /// Says something to the host. What is too large to be said becomes an error in its place.
    fn say(&self, said: Said) {
        let (is_answer, is_event) = (matches!(said, Said::Done(_)), matches!(said, Said::Event(_)));
        let framed = self.frame(said).or_else(|fault| {
            if is_answer {
                self.frame(Said::Done(Err(too_much("the result", &fault))))
            } else if is_event {
                let notice = "something happened that is too large to be told".to_string();
                self.frame(Said::Event(lota_runtime::host::Event::Notice(notice)))
            } else {
                Err(fault)
            }
        });
        if let Ok(bytes) = framed {
            self.write(&bytes);
        }
    }

    fn frame(&self, said: Said) -> Result<Vec<u8>, Fault> {
        wire::frame(&said.pack(self.border.gone()), &self.border, self.most)
    }

    fn write(&self, mut bytes: &[u8]) {
        let mut pipe = lock(&self.writer);
        while !bytes.is_empty() {
            match pipe.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(e) if e.kind() == Io::Interrupted => {}
                Err(e) if e.kind() == Io::WouldBlock => {
                    if ready::sleep(&*pipe, PollFlags::OUT).is_err() {
                        gone();
                    }
                }
                Err(_) => gone(),
            }
        }
    }

    /// Prints, in pieces that a message can hold.
    fn print(&self, mut text: &str) {
        let most = (self.most / 2).max(64);
        while text.len() > most {
            let (piece, rest) =
                text.split_at((0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(most));
            self.say(Said::Print(piece.to_string()));
            text = rest;
        }
        self.say(Said::Print(text.to_string()));
    }

    /// Asks the host, and does what it asks meanwhile.
    fn ask_host(&self, said: Said) -> Result<Value> {
        let bytes = self.frame(said).map_err(|fault| too_much("what is given to the host", &fault))?;
        self.write(&bytes);
        loop {
            match (self.hear(), self.engine.get()) {
                (Ask::Answer(answer), _) => return answer,
                (ask, Some(engine)) => self.answer(engine, ask),
                (_, None) => self.nonsense("a question before there is an engine"),
            }
        }
    }
}

fn too_much(what: &str, fault: &str) -> Error {
    Error::new(ErrorKind::Limit, format!("{what} cannot be sent between processes: {fault}"))
}

impl Caller for Guest {
    fn invoke(&self, id: u64, arguments: &[Value]) -> Result<Value> {
        self.ask_host(Said::Invoke { id, arguments: arguments.to_vec() })
    }
}

impl Calls {
    fn begin(&self) {
        let mut state = lock(&self.state);
        if state.depth == 0 {
            state.number += 1;
        }
        state.depth += 1;
    }

    /// Takes a cancellation back that was meant for the call that ends here.
    fn end(&self) {
        let mut state = lock(&self.state);
        state.depth -= 1;
        if state.depth == 0 {
            self.cancel.reset();
        }
    }
}

/// The two sockets that stand where standard input and output were; nothing stands there afterwards.
fn take_pipes() -> std::io::Result<(UnixStream, UnixStream)> {
    let (pipe, control) =
        (rustix::io::dup(rustix::stdio::stdin())?, rustix::io::dup(rustix::stdio::stdout())?);
    close_others(&pipe, &control);
    #[expect(clippy::disallowed_methods, reason = "no path of a script")]
    let nothing = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    Ok((pipe.into(), control.into()))
}

/// Closes files that the host had open when it started this process and did not mean for it.
#[cfg(target_os = "linux")]
fn close_others(pipe: &impl std::os::fd::AsRawFd, control: &impl std::os::fd::AsRawFd) {
    let last = pipe.as_raw_fd().max(control.as_raw_fd());
    let own = [pipe.as_raw_fd(), control.as_raw_fd()];
    let close = |first: i32, last: u32| {
        // SAFETY: this is the beginning of the process, which has one thread and has opened nothing but what is left out here, so no
        // owner of a descriptor is left without it. The call touches no memory.
        unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    };
    (3..=last).filter(|fd| !own.contains(fd)).for_each(|fd| close(fd, fd as u32));
    close(last + 1, u32::MAX);
}

#[cfg(not(target_os = "linux"))]
fn close_others(_: &impl std::os::fd::AsRawFd, _: &impl std::os::fd::AsRawFd) {}

/// A file that grows too large is an error of the one who writes it, not the end of the process.
fn ignore_signals() {
    // SAFETY: the signal's disposition is set to a constant of the system, before any other thread is there.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}
