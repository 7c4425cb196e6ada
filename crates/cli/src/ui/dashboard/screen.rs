//! The terminal while it belongs to the dashboard: another screen, keys without echo, ANSI sequences out.
//!
//! ratatui's own backends switch on features of crates under Burn; what one needs of a terminal for looking on is little.
//! Ctrl-C stays a signal, so that it means here what it means everywhere.

use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use ratatui::style::{Color, Modifier};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What the terminal was like before; `None` while it is.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Takes the terminal over.
pub fn enter() -> io::Result<()> {
    let before = tcgetattr(io::stdin())?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    // Ctrl-Z would leave the other screen standing.
    quiet.special_codes[SpecialCodeIndex::VSUSP] = 0;
    tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
    write!(io::stderr(), "\x1b[?1049h\x1b[?25l")
}

/// Gives it back; again and again does no harm.
pub fn leave() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // Nobody is left to be told when it fails.
        let _ = write!(io::stderr(), "\x1b[0m\x1b[?25h\x1b[?1049l");
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

/// Whether the dashboard has it.
pub fn is_taken() -> bool {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// The keys that were pressed, waiting a while for the first.
pub fn keys(patience: Duration) -> Vec<u8> {
    let patience = patience.try_into().ok();
    let stdin = io::stdin();
    let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
    let mut keys = [0; 64];
    match poll(&mut ready, patience.as_ref()) {
        Ok(1..) => stdin.lock().read(&mut keys).map(|n| keys[..n].to_vec()).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// Draws on stderr.
#[derive(Debug, Default)]
pub struct Ansi {
    text: String,
    /// Without colours, as `NO_COLOR` asks; bold, dim and reversed stay.
    plain: bool,
}

impl Ansi {
    /// As the environment asks for.
    pub fn new() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { text: String::new(), plain }
    }

    fn put(&mut self, code: &str) -> io::Result<()> {
        self.text += code;
        Ok(())
    }
}

/// What differs from plain text.
fn style(cell: &Cell, plain: bool) -> String {
    let mut codes = String::from("\x1b[0");
    for (modifier, code) in [(Modifier::BOLD, ";1"), (Modifier::DIM, ";2"), (Modifier::REVERSED, ";7")] {
        if cell.modifier.contains(modifier) {
            codes += code;
        }
    }
    // Only the sixteen colours that the user's own scheme decides.
    let number = |colour: Color| match colour {
        Color::Black => Some(0),
        Color::Red => Some(1),
        Color::Green => Some(2),
        Color::Yellow => Some(3),
        Color::Blue => Some(4),
        Color::Magenta => Some(5),
        Color::Cyan => Some(6),
        Color::Gray => Some(7),
        _ => None,
    };
    for (colour, base) in [(cell.fg, 30), (cell.bg, 40)] {
        if let Some(number) = number(colour).filter(|_| !plain) {
            // Written to a String: cannot fail.
            let _ = write!(codes, ";{}", base + number);
        }
    }
    codes + "m"
}

impl Backend for Ansi {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let (mut next, mut last_style) = (None, String::new());
        for (x, y, cell) in content {
            if next != Some((x, y)) {
                let _ = write!(self.text, "\x1b[{};{}H", y + 1, x + 1);
            }
            let style = style(cell, self.plain);
            if style != last_style {
                self.text += &style;
                last_style = style;
            }
            self.text += cell.symbol();
            next = Some((x + 1, y));
        }
        self.put("\x1b[0m")
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.put("\x1b[?25l")
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.put("\x1b[?25h")
    }

    /// The dashboard has none.
    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        self.put(&format!("\x1b[{};{}H", y + 1, x + 1))
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        self.put(match region {
            ClearType::All => "\x1b[2J",
            ClearType::AfterCursor => "\x1b[J",
            ClearType::BeforeCursor => "\x1b[1J",
            ClearType::CurrentLine => "\x1b[2K",
            ClearType::UntilNewLine => "\x1b[K",
        })
    }

    fn size(&self) -> io::Result<Size> {
        let size = tcgetwinsize(io::stderr())?;
        Ok(Size::new(size.ws_col, size.ws_row))
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        let size = tcgetwinsize(io::stderr())?;
        let pixels = Size::new(size.ws_xpixel, size.ws_ypixel);
        Ok(WindowSize { columns_rows: self.size()?, pixels })
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut stderr = io::stderr().lock();
        stderr.write_all(self.text.as_bytes())?;
        self.text.clear();
        stderr.flush()
    }
}
