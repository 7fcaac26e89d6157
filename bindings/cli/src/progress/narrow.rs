//! A terminal that seems a few columns narrower than it is.
//!
//! A bar fills its line. What the terminal itself writes behind it, as `^C` when that key is pressed, would begin the next
//! line, and then that one would be cleared instead of the bar's.

use std::io;

use console::Term;
use indicatif::TermLike;

/// Room for `^C`, twice.
const ROOM: u16 = 4;

/// Standard error, without its last columns.
#[derive(Debug)]
pub(super) struct Narrow(Term);

impl Narrow {
    /// Standard error, if it is a terminal on which lines can be drawn again.
    pub(super) fn stderr() -> Option<Self> {
        let dumb = std::env::var_os("TERM").is_some_and(|name| name == "dumb");
        Some(Term::buffered_stderr()).filter(|term| term.is_term() && !dumb).map(Self)
    }
}

impl TermLike for Narrow {
    fn width(&self) -> u16 {
        self.0.size().1.saturating_sub(ROOM).max(1)
    }

    fn height(&self) -> u16 {
        self.0.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_left(n)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.0.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}
