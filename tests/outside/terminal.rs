//! The prompt on a terminal: tmux types, and reads the screen.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A terminal with a prompt in it. It ends with the value.
struct Terminal {
    socket: String,
    folder: tempfile::TempDir,
}

impl Terminal {
    /// Starts a prompt.
    fn open(name: &str, environment: &str) -> Self {
        let terminal = Self::empty(name);
        terminal.start(environment);
        terminal
    }

    /// Starts a program that is not the prompt.
    fn run(name: &str, words: &str) -> Self {
        let terminal = Self::empty(name);
        terminal.begin(&format!("trap : INT; {} {words}; echo left $?; cat", env!("CARGO_BIN_EXE_lota")));
        terminal
    }

    fn empty(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { socket: format!("lota-{}-{name}", std::process::id()), folder }
    }

    fn start(&self, environment: &str) {
        self.begin(&self.program(environment));
        self.wait("lota 1>");
    }

    fn begin(&self, line: &str) {
        self.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "160", "-y", "40", "sh", "-c", line]);
    }

    /// Starts a second prompt in the terminal of the first. The session stays: a tmux without
    /// sessions ends at its own time, and until then refuses new ones.
    fn start_again(&self) {
        self.tmux(&["respawn-pane", "-k", "sh", "-c", &self.program("")]);
        self.wait("lota 1>");
    }

    fn program(&self, environment: &str) -> String {
        let state = self.folder.path().join("state");
        let program = env!("CARGO_BIN_EXE_lota");
        format!("{environment} XDG_STATE_HOME={} {program} repl; echo left; cat", state.display())
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.socket]).args(arguments).current_dir(self.folder.path()).env_remove("TMUX");
        // What the variables of the person who runs the test say must not matter.
        command.env_remove("NO_COLOR").env("TERM", "xterm-256color");
        let out = command.output().expect("tmux runs");
        assert!(out.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Types text, again if it was lost: the editor reads nothing between two lines.
    fn text(&self, text: &str) {
        for _ in 0..20 {
            self.tmux(&["send-keys", "-l", text]);
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(3) {
                if self.screen().trim_end().lines().last().is_some_and(|line| line.contains(text)) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            self.key("C-u");
        }
        panic!("'{text}' cannot be typed:\n{}", self.screen());
    }

    /// Presses a key.
    fn key(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Types a line. What is typed while an input runs may be lost, so each step waits for the one before.
    fn typed(&self, text: &str) {
        self.text(text);
        self.wait(text);
        self.key("Enter");
    }

    /// Types a line, and waits until it has run.
    fn line(&self, text: &str) {
        self.typed(text);
        self.until(&format!("a prompt after '{text}'"), |screen| {
            let last = screen.trim_end().lines().last().unwrap_or_default();
            last.starts_with("lota ") && last.ends_with('>')
        });
    }

    /// Waits until the screen shows a text.
    fn wait(&self, text: &str) {
        self.until(&format!("'{text}'"), |screen| screen.contains(text));
    }

    fn until(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let start = Instant::now();
        loop {
            let screen = self.screen();
            if holds(&screen) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "no {what} on the screen:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).output();
    }
}

pub fn a_prompt_is_typed_at() {
    let terminal = Terminal::open("typed", "");
    terminal.line("local x = 20 + 1");
    terminal.line("x * 2");
    terminal.wait("\n42\n");
    // An open input goes on, and is one entry of the history.
    terminal.typed("for i = 1, 2 do");
    terminal.typed("print('round ' .. i)");
    terminal.typed("end");
    terminal.wait("round 2");
    terminal.wait("lota 2>");
    // Tab completes a name as far as it is the only one.
    terminal.text("lota.mask.uni");
    terminal.key("Tab");
    terminal.wait("lota.mask.uni");
    terminal.text("o");
    terminal.key("Tab");
    terminal.wait("lota 2> lota.mask.union");
    terminal.text("(");
    terminal.wait("lota.mask.union(a, ...)");
    terminal.key("C-c");
    // What was typed before is offered, and taken with the right arrow.
    terminal.text("x *");
    terminal.wait("lota 2> x * 2");
    terminal.key("Right");
    terminal.text("0 + 2");
    terminal.key("Enter");
    terminal.wait("\n422\n");
    terminal.key("C-d");
    terminal.wait("left");
    assert!(terminal.folder.path().join("state/lota/history").is_file());
}

pub fn ctrl_c_stops_training_and_keeps_the_variables() {
    let terminal = Terminal::open("stopped", "");
    terminal.line("kept = 'this'; model = lota.model.builtin()");
    terminal.line(
        "examples = lota.data.examples(model:tokenizer(), {{prompt = 'ab', target = 'cd'}}, {max_len = 16, max_prompt = 8})",
    );
    terminal.line("stream = lota.data.batches(examples, {size = 1, seed = 1})");
    terminal
        .line("trainer = lota.train.new(model, {mask = lota.mask.all(model), lr = 1e-4, steps = 1000000})");
    terminal.typed("print 'training' trainer:fit(stream)");
    terminal.wait("\ntraining");
    std::thread::sleep(Duration::from_millis(200));
    terminal.key("C-c");
    terminal.wait("stopped");
    terminal.line("kept .. ' and that'");
    terminal.wait("\nthis and that");
    terminal.line("trainer:step(stream:next()).loss > 0");
    terminal.wait("\ntrue");
    terminal.typed("print 'endless' while true do pcall(error) end");
    terminal.wait("\nendless");
    terminal.key("C-c");
    terminal.until("a second stop", |screen| screen.matches("stopped").count() == 2);
    terminal.line("1 + 1");
    terminal.wait("\n2\n");
}

pub fn the_demo_shows_how_far_it_is() {
    let terminal = Terminal::run("demo", "demo");
    terminal.until("a bar with its time and loss", |screen| {
        let bar = screen.lines().find(|line| line.starts_with("adapt "));
        bar.is_some_and(|bar| bar.contains("/500 ") && bar.contains("(left ") && bar.contains("loss "))
    });
    terminal.key("C-c");
    terminal.wait("stopped\nleft 130");
}

pub fn a_terminal_is_as_it_was_when_a_signal_has_ended_a_prompt() {
    let terminal = Terminal::run("ended", "repl; stty -a | grep -o '[-]*icanon'");
    terminal.wait("lota 1>");
    let pane = terminal.tmux(&["list-panes", "-F", "#{pane_pid}"]);
    let ended = Command::new("pkill").args(["-TERM", "-P", pane.trim()]).status().expect("pkill runs");
    assert!(ended.success());
    terminal.wait("left");
    // It may stand behind the prompt that was ended.
    let whole = |line: &str| line.ends_with("icanon") && !line.ends_with("-icanon");
    terminal.until("a terminal that reads lines", |screen| screen.lines().any(whole));
}

pub fn a_pasted_script_is_one_input() {
    let terminal = Terminal::open("pasted", "");
    let script = "local a = 1\nlocal b = a + 1\nif b > 1 then\n\n\n  c = a + b\nend";
    let file = terminal.folder.path().join("clipboard");
    std::fs::write(&file, script).expect("writes");
    terminal.tmux(&["load-buffer", &file.to_string_lossy()]);
    terminal.tmux(&["paste-buffer", "-p"]);
    terminal.wait("\nend");
    terminal.key("Enter");
    terminal.line("{a, b, c}");
    terminal.wait("\n{1, 2, 3}\n");
}

pub fn colours_are_shown_unless_they_are_not_wanted() {
    let colours = |environment: &str| {
        let terminal = Terminal::open(if environment.is_empty() { "colour" } else { "plain" }, environment);
        terminal.text("local x = 'text'");
        terminal.wait("'text'");
        terminal.tmux(&["capture-pane", "-p", "-e"])
    };
    let (with, without) = (colours(""), colours("NO_COLOR=1"));
    assert!(with.contains("\u{1b}[35mlocal"), "{with:?}");
    assert!(!without.contains('\u{1b}'), "{without:?}");
}

pub fn history_is_there_the_next_time() {
    let terminal = Terminal::open("history", "");
    terminal.line("remembered = 1");
    terminal.key("C-d");
    terminal.wait("left");
    assert!(has(&terminal.folder.path().join("state/lota/history"), "remembered"));
    terminal.start_again();
    terminal.key("Up");
    terminal.wait("lota 1> remembered = 1");
}

fn has(file: &Path, text: &str) -> bool {
    std::fs::read_to_string(file).is_ok_and(|held| held.contains(text))
}
